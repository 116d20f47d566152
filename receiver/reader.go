package receiver

import (
	"sync/atomic"
	"time"

	"stockade/receiver/decode"
	"stockade/receiver/frame"
)

// counters are what a listener's readers count together.
type counters struct {
	forms     [decode.Forms]atomic.Int64
	bytes     atomic.Int64
	truncated atomic.Int64
	malformed atomic.Int64
	accepted  atomic.Int64
}

// reader turns the frames of one socket or connection into entries. It belongs to one goroutine.
type reader struct {
	l        *Listener
	sink     Sink
	sources  *Sources // as of the last look
	entry    Entry
	strict   *strict // nil for format auto
	cuts     cuts
	decoders map[*time.Location]*decode.Decoder
}

func newReader(l *Listener, lossy bool) *reader {
	r := &reader{l: l, sink: l.o.Open(lossy), strict: newStrict(l.cfg.Format)}
	r.refresh()
	return r
}

// refresh takes the current sources and reports whether they are others than before.
func (r *reader) refresh() bool {
	now := r.l.o.Registry.Load()
	if now == r.sources {
		return false
	}
	r.sources = now
	r.decoders = make(map[*time.Location]*decode.Decoder)
	return true
}

// put decodes one frame of an identified peer and hands it to the sink. It allocates nothing
// in format auto.
func (r *reader) put(f frame.Frame, s *Source, p *Peer, now time.Time) {
	if len(f.Bytes) == 0 {
		return
	}
	e := &r.entry
	loc := s.Location()
	if r.strict != nil {
		if !r.strict.decode(f.Bytes, loc, now, &e.Message) {
			r.l.refused.add(now, &refusal{reason: ReasonFormat, peer: p, source: s, sample: f.Bytes,
				detail: "the line is not " + r.l.cfg.Format})
			return
		}
	} else {
		d := r.decoders[loc]
		if d == nil {
			d = decode.New(loc)
			r.decoders[loc] = d
		}
		d.Decode(f.Bytes, now, &e.Message)
	}
	e.Received, e.Listener, e.Source, e.Peer = now, r.l.cfg.Name, s, *p
	e.Origin = originOf(p)
	e.Raw, e.Continued = f.Bytes, r.cuts.continued(p, &e.Message, now)
	// The clean end of a plain stream ends its last line: many a script sends no terminator. Over TLS
	// somebody on the path can make such an end, at a place of his choice.
	e.Truncated = f.Truncated || f.Unterminated && r.l.cfg.isTLS()

	c := &r.l.counters
	c.forms[e.Form].Add(1)
	c.bytes.Add(int64(len(f.Bytes)))
	if e.Truncated {
		c.truncated.Add(1)
	}
	if e.Malformed {
		c.malformed.Add(1)
	}
	s.Seen(now)
	r.sink.Put(e)
}

// originOf says who wrote a line, as far as the transport knows: the kernel names the writer
// of a message on a unix socket, all other transports name a relay or a host.
func originOf(p *Peer) Origin {
	if p.Level != LevelKernel {
		return Origin{}
	}
	return Origin{Known: true, UID: uint32(p.UID)} //nolint:gosec // a kernel uid fits
}
