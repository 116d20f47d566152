package journald

import (
	"errors"
	"io"
	"net/http"
	"slices"
	"sync/atomic"
	"time"

	"stockade/receiver"
)

const quietTimeout = 50 * time.Millisecond // without a byte, after which nothing more has arrived, at the end

var (
	errStopping = errors.New("the listener stops")
	errShare    = errors.New("the sender has its share of uploads")
)

// stream is one request's body. It belongs to the goroutine of its request, but for cut and wind.
type stream struct {
	u       *Upload
	peer    receiver.Peer
	source  *receiver.Source
	sources *receiver.Sources // that source was found in
	body    io.Reader
	control *http.ResponseController
	sink    receiver.Sink
	q       *sequence
	r       *Reader
	records int64
	armed   bool
	armedAt int64 // the value of records the deadline was set for

	gone   atomic.Bool // its source left the configuration
	ending atomic.Bool
}

// enter lets a stream in, unless the listener stops or its source has three quarters of all.
func (u *Upload) enter(s *stream) error {
	u.mu.Lock()
	defer u.mu.Unlock()
	if u.winding {
		return errStopping
	}
	same := 0
	for other := range u.streams {
		if other.source.Name == s.source.Name {
			same++
		}
	}
	if most := u.most(); same >= most-most/4 {
		u.terminal.Refuse(receiver.ReasonConnections, errShare.Error(), &s.peer, s.source, nil)
		return errShare
	}
	u.streams[s] = struct{}{}
	u.handlers.Add(1)
	return nil
}

func (u *Upload) leave(s *stream) {
	u.mu.Lock()
	defer u.mu.Unlock()
	delete(u.streams, s)
	u.changed = true
	u.handlers.Done()
}

// wind ends all streams: what has arrived is still taken.
func (u *Upload) wind() {
	u.mu.Lock()
	defer u.mu.Unlock()
	u.winding = true
	for s := range u.streams {
		s.ending.Store(true)
		_ = s.control.SetReadDeadline(time.Now().Add(quietTimeout))
	}
}

// cut ends the stream because its source is gone.
func (s *stream) cut() {
	s.gone.Store(true)
	_ = s.control.SetReadDeadline(time.Unix(1, 0))
}

// Read flushes the sink before it may wait, and keeps the deadline of a record that has begun.
func (s *stream) Read(p []byte) (int, error) {
	s.flush()
	if s.gone.Load() {
		return 0, errStopping
	}
	if err := s.arm(); err != nil {
		return 0, err
	}
	return s.body.Read(p)
}

func (s *stream) arm() error {
	var at time.Time
	switch inside := s.r.Inside(); {
	case s.ending.Load():
		return s.control.SetReadDeadline(time.Now().Add(quietTimeout))
	case inside && (!s.armed || s.armedAt != s.records):
		s.armed, s.armedAt, at = true, s.records, time.Now().Add(s.u.record)
	case !inside && s.armed:
		s.armed = false
	default:
		return nil
	}
	if err := s.control.SetReadDeadline(at); err != nil {
		return err
	}
	switch { // its end came between: that deadline must stand
	case s.gone.Load():
		return errStopping
	case s.ending.Load():
		return s.control.SetReadDeadline(time.Now().Add(quietTimeout))
	}
	return nil
}

// take hands on the records of the stream. It returns io.EOF at its good end.
func (s *stream) take() error {
	s.sink = s.u.o.Open(false)
	s.r = NewReader(s)
	defer s.flush()
	for {
		rec, err := s.r.Next()
		if err != nil {
			return err
		}
		s.records++
		if now := s.u.o.Registry.Load(); now != s.sources {
			s.sources = now
			source := now.Resolve(s.u.o.Config.Name, &s.peer)
			if source == nil {
				s.gone.Store(true)
				return errStopping
			}
			s.flush()
			s.source, s.q = source, s.u.sequence(source.Name)
		}
		s.put(rec)
	}
}

// flush hands on what was gathered, and notes that it is.
func (s *stream) flush() {
	s.sink.Flush()
	if s.q != nil {
		s.q.mu.Lock()
		s.q.kept = append(s.q.kept[:0], s.q.seen.Last...)
		s.q.mu.Unlock()
	}
}

// flushed returns a copy of the positions that were handed on.
func (q *sequence) flushed() []position {
	q.mu.Lock()
	defer q.mu.Unlock()
	return slices.Clone(q.kept)
}

func (s *stream) put(rec *Record) {
	q, now := s.q, time.Now()
	q.mu.Lock()
	defer q.mu.Unlock()
	if id, n, at, ok := positionOf(rec); ok {
		if seen, _ := q.seen.advance(id, n, at); seen {
			s.source.Refused.Add(ReasonSeen, now, rec.Get(Message))
			return
		}
	}
	if rec.Oversize {
		s.u.terminal.Refuse(ReasonOversize, "", &s.peer, s.source, rec.Get(Message))
		return
	}
	s.source.Refused.AddN(ReasonSuppressed, now, rec.Get(Message), loss(rec))
	if len(rec.Get(Message)) == 0 {
		return
	}
	if !s.source.Vouches && rec.Get(UID) != nil {
		s.source.Refused.Add(ReasonOrigin, now, nil)
	}
	e := q.m.fill(rec, s.source, s.peer, s.source.Vouches, now)
	s.u.terminal.Took(e)
	s.sink.Put(e)
}
