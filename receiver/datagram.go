package receiver

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"golang.org/x/sync/errgroup"
	"golang.org/x/sys/unix"

	"stockade/receiver/frame"
)

// packetConn is what net.UDPConn and net.UnixConn have in common.
type packetConn interface {
	net.PacketConn
	syscall.Conn
}

// datagrams serves a udp or unixgram listener: one goroutine a socket.
type datagrams struct {
	l       *Listener
	sockets []*datagramSocket
	links   *links // nil for unixgram
}

// datagramSocket is one socket and its drop count.
type datagramSocket struct {
	conn packetConn
	raw  syscall.RawConn

	dropped atomic.Int64 // as last read
	mu      sync.Mutex
}

func newDatagramSocket(c packetConn) (*datagramSocket, error) {
	raw, err := c.SyscallConn()
	if err != nil {
		return nil, err
	}
	return &datagramSocket{conn: c, raw: raw}, nil
}

// drops returns how many datagrams the kernel dropped, also after the socket was closed.
func (s *datagramSocket) drops() int64 {
	s.mu.Lock()
	defer s.mu.Unlock()
	_ = s.raw.Control(func(fd uintptr) { // fails once closed: the last count stands
		if now, ok := kernelDrops(int(fd)); ok {
			old := s.dropped.Load()
			s.dropped.Store(old + int64(now-uint32(old))) //nolint:gosec // the kernel's counter wraps
		}
	})
	return s.dropped.Load()
}

// countable reports whether the kernel tells how many datagrams it drops.
func (s *datagramSocket) countable() (ok bool) {
	err := s.raw.Control(func(fd uintptr) { _, ok = kernelDrops(int(fd)) })
	return ok && err == nil
}

func (d *datagrams) addr() net.Addr { return d.sockets[0].conn.LocalAddr() }

func (d *datagrams) drops() int64 {
	var n int64
	for _, s := range d.sockets {
		n += s.drops()
	}
	return n
}

func (d *datagrams) close() error {
	var errs []error
	for _, s := range d.sockets {
		s.drops()
		errs = append(errs, s.conn.Close())
	}
	return errors.Join(errs...)
}

func (d *datagrams) serve(ctx context.Context) error {
	g, ctx := errgroup.WithContext(ctx)
	for _, s := range d.sockets {
		g.Go(func() error { return d.read(ctx, s) })
	}
	return g.Wait()
}

// datagramReader is what the goroutine of one socket works with.
type datagramReader struct {
	*reader
	d       *datagrams
	ctx     context.Context //nolint:containedctx // of the one call of read that owns this
	batch   *batch
	from    Peer      // of the datagram at hand
	stopped time.Time // when ctx was first seen done
	err     error
}

func (d *datagrams) read(ctx context.Context, s *datagramSocket) error {
	r := &datagramReader{reader: newReader(d.l, true), d: d, ctx: ctx, batch: newBatch()}
	if d.links == nil {
		r.cuts.queue = queueLength()
	}
	defer r.sink.Flush()
	stop := context.AfterFunc(ctx, func() { _ = s.conn.SetReadDeadline(time.Unix(1, 0)) })
	defer stop()
	err := s.raw.Read(r.drain)
	if r.err != nil {
		return r.err
	}
	if errors.Is(err, os.ErrDeadlineExceeded) && ctx.Err() != nil {
		// What came between the last look and the deadline.
		err = s.raw.Control(func(fd uintptr) { r.drain(fd) })
	}
	if ctx.Err() != nil {
		return nil
	}
	return err
}

// drain takes datagrams until there are none and then reports false, so that the runtime waits
// for more; true ends the reading. At shutdown it goes on for the grace at most.
func (r *datagramReader) drain(fd uintptr) bool {
	for {
		n, err := r.batch.receive(int(fd))
		switch {
		case errors.Is(err, unix.EAGAIN):
			r.cuts.drained()
			r.sink.Flush()
			return false
		case errors.Is(err, unix.EINTR):
			continue
		case errors.Is(err, unix.ENOBUFS) || errors.Is(err, unix.ENOMEM):
			r.sink.Flush()
			select {
			case <-r.ctx.Done():
				return true
			case <-time.After(r.l.limits.pause):
			}
			continue
		case err != nil:
			r.err = fmt.Errorf("receive: %w", err)
			return true
		}
		now := time.Now()
		r.refresh()
		for i := range n {
			r.take(i, now)
		}
		if n < batchSize {
			r.cuts.drained()
		}
		if r.ctx.Err() == nil {
			continue
		}
		if r.stopped.IsZero() {
			r.stopped = now
		}
		if now.Sub(r.stopped) > r.l.limits.grace {
			return true
		}
	}
}

// take identifies the sender of datagram i of the batch, then decodes it.
func (r *datagramReader) take(i int, now time.Time) {
	data := r.batch.bytes(i)
	r.cuts.queued(len(data))
	p := &r.from
	*p = r.peer(i)
	if p.Level == LevelKernel && p.UID < 0 {
		r.l.refused.add(now, &refusal{reason: ReasonNoCredentials, peer: p, sample: data})
		return
	}
	s := r.sources.Resolve(r.l.cfg.Name, p)
	if s == nil {
		r.l.refused.add(now, &refusal{reason: ReasonUnknownPeer, peer: p, sample: data})
		return
	}
	if r.d.links != nil {
		p.Level = r.d.links.verdict(s, p.Addr.Addr(), ingress(r.batch.control(i)))
		if p.Level == LevelNone {
			r.l.refused.add(now, &refusal{reason: ReasonInterface, peer: p, source: s, sample: data,
				detail: "the datagram came in on an interface that is not its sender's"})
			return
		}
	}
	r.put(frame.Datagram(data, frame.DefaultMax), s, p, now)
}

func (r *datagramReader) peer(i int) Peer {
	if r.d.links == nil {
		return credentials(r.batch.control(i))
	}
	return Peer{Level: LevelSpoofable, Addr: r.batch.from(i), UID: -1, GID: -1, PID: -1}
}
