package receiver

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"sync/atomic"
	"time"

	"stockade/receiver/frame"
)

// conn is one connection of a stream listener. It belongs to the goroutine of serve, but for
// the methods wind, cut and evict, which others call to end it.
type conn struct {
	s       *streams
	nc      net.Conn  // the socket
	wire    *wire     // above it, on networks
	tls     *tls.Conn // above that, or nil
	src     io.Reader // the topmost of them
	proxied bool      // a PROXY header comes first
	peer    Peer
	source  *Source // nil until known
	key     string  // it is registered under
	group   *group  // while it is not identified

	r        *reader
	fr       *frame.Reader
	now      time.Time // of the last read
	inside   bool      // the last read began inside a frame
	mixed    bool      // the frame being read has a second writer
	head     []byte    // of the stream, for naming mistakes
	frames   int64
	armed    bool  // a read deadline is set
	armedFor int64 // the value of frames it was set for
	text     int64 // bytes that TLS delivered
	looked   struct{ raw, text int64 }

	known    atomic.Pointer[Peer]
	stopping atomic.Bool // at shutdown
	until    atomic.Int64
	removed  atomic.Bool // its source is gone
	evicted  atomic.Bool // its place was needed before it was identified
}

// refusedError ends a connection with a reason that is counted.
type refusedError struct{ reason, detail string }

func (e *refusedError) Error() string {
	if e.detail == "" {
		return e.reason
	}
	return e.reason + ": " + e.detail
}

const headSize = 16 // bytes of a stream that are kept for naming mistakes

func newConn(s *streams, nc net.Conn) *conn {
	c := &conn{s: s, nc: nc, peer: Peer{Level: LevelAddress, UID: -1, GID: -1, PID: -1}, now: time.Now()}
	if s.l.cfg.isUnix() {
		c.peer.Level = LevelKernel
		return c
	}
	c.wire = &wire{Conn: nc}
	c.src = c.wire
	if a, ok := nc.RemoteAddr().(*net.TCPAddr); ok {
		c.peer.Addr = unmapped(a.AddrPort())
	}
	for _, p := range s.proxies {
		c.proxied = c.proxied || p.Contains(c.peer.Addr.Addr())
	}
	return c
}

// serve runs the connection to its end.
func (c *conn) serve(ctx context.Context) {
	defer func() { _ = c.nc.Close() }()
	defer context.AfterFunc(ctx, c.wind)()
	if err := c.establish(ctx); err != nil {
		c.refuse(err)
		return
	}
	defer c.s.unregister(c)
	c.refuse(c.read())
	if c.tls != nil {
		_ = c.tls.Close() // says goodbye; a dead peer does not matter
	}
}

// establish finds out who the peer is, within the handshake deadline, and registers the
// connection.
func (c *conn) establish(ctx context.Context) error {
	if c.s.l.cfg.isUnix() {
		if err := c.openUnix(); err != nil {
			return err
		}
		return c.s.register(c, c.key)
	}
	if c.group != nil {
		defer c.s.pending.leave(c)
		deadline := c.now.Add(c.s.l.limits.handshake)
		if err := c.nc.SetDeadline(deadline); err != nil {
			return err
		}
		if c.proxied {
			if err := c.readProxyHeader(); err != nil {
				return err
			}
		}
		if c.s.l.cfg.isTLS() {
			if err := c.handshake(ctx, deadline); err != nil {
				return err
			}
		}
		if err := c.nc.SetDeadline(time.Time{}); err != nil {
			return err
		}
		if err := c.identify(); err != nil {
			return err
		}
	}
	return c.s.register(c, c.source.Name)
}

// identify finds the source of the peer.
func (c *conn) identify() error {
	c.source = c.s.l.o.Registry.Load().Resolve(c.s.l.cfg.Name, &c.peer)
	switch {
	case c.source != nil:
		known := c.peer
		c.known.Store(&known)
		return nil
	case c.peer.Level == LevelTLS:
		return &refusedError{reason: ReasonUnknownIdentity}
	}
	return &refusedError{reason: ReasonUnknownPeer}
}

// read hands frame after frame to the sink, until the stream ends or is refused.
func (c *conn) read() error {
	c.r = newReader(c.s.l, false)
	defer c.r.sink.Flush()
	c.fr = frame.NewReader((*input)(c), frame.Options{Mode: c.s.mode})
	if c.source != nil {
		// From here on watch knows the connection; what changed before, it did not see.
		if err := c.identify(); err != nil {
			return &refusedError{reason: ReasonRemoved}
		}
	}
	for {
		f, err := c.fr.Next()
		if err != nil {
			c.tellEnd(err)
			return c.verdict(err)
		}
		c.frames++
		if err := c.take(f); err != nil {
			return err
		}
	}
}

func (c *conn) take(f frame.Frame) error {
	if c.r.refresh() || c.source == nil {
		was := c.source
		if err := c.identify(); err != nil {
			c.source = was
			if was != nil {
				return &refusedError{reason: ReasonRemoved}
			}
			return err
		}
	}
	if c.mixed {
		c.mixed = false
		c.s.l.refused.add(c.now, &refusal{reason: ReasonMixed, peer: &c.peer, source: c.source, sample: f.Bytes})
		return nil
	}
	c.r.put(f, c.source, &c.peer, c.now)
	return nil
}

// tellEnd tells the sink whether the sender ended the stream itself, at the edge of a frame.
func (c *conn) tellEnd(err error) {
	if errors.Is(err, io.EOF) && !c.inside {
		if l, ok := c.r.sink.(Leaver); ok {
			l.Left()
		}
		return
	}
	if b, ok := c.r.sink.(Breaker); ok {
		b.Broken()
	}
}

// verdict says what the end of the stream means: nil, or a refusal that is counted.
func (c *conn) verdict(err error) error {
	var refused *refusedError
	switch {
	case c.removed.Load():
		return &refusedError{reason: ReasonRemoved}
	case c.stopping.Load():
		return nil
	case errors.As(err, &refused):
		return err
	case errors.Is(err, frame.ErrFraming):
		return &refusedError{mistake(c.head, ReasonFraming), err.Error()}
	case errors.Is(err, os.ErrDeadlineExceeded):
		return &refusedError{ReasonPartial, fmt.Sprintf("a frame was not complete after %s", c.s.l.limits.partial)}
	case c.tls != nil && brokenTLS(err):
		return &refusedError{ReasonRecord, err.Error()}
	case c.inside && (c.fr.Mode() != frame.LF || !errors.Is(err, io.EOF)):
		return &refusedError{ReasonPartial, "the connection ended inside a frame"}
	}
	return nil // EOF, reset, a TLS alert: the sender's business
}

// brokenTLS tells an error that crypto/tls found in the peer's records from one of the network
// or an alert that the peer sent.
func brokenTLS(err error) bool {
	if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
		return false
	}
	var op *net.OpError
	return !errors.As(err, &op) || op.Op == "local error"
}

// refuse counts why a connection ends; nil is no refusal.
func (c *conn) refuse(err error) {
	if err == nil || c.stopping.Load() {
		return
	}
	x := refusal{reason: ReasonHandshake, peer: &c.peer, source: c.source, sample: c.head}
	var refused *refusedError
	switch {
	case c.evicted.Load():
		x.reason = ReasonPushedOut
	case errors.As(err, &refused):
		x.reason, x.detail = refused.reason, refused.detail
	default:
		x.detail = err.Error()
	}
	c.s.l.refused.add(time.Now(), &x)
}

// wind ends the connection at shutdown: what has arrived is read, for the grace at most.
func (c *conn) wind() {
	now := time.Now()
	c.until.Store(now.Add(c.s.l.limits.grace).UnixNano())
	c.stopping.Store(true)
	if c.known.Load() == nil && c.wire != nil {
		_ = c.nc.Close() // nothing of it may be read
		return
	}
	_ = c.nc.SetReadDeadline(now.Add(c.s.l.limits.quiet))
}

// cut ends the connection because its source is gone.
func (c *conn) cut() {
	c.removed.Store(true)
	_ = c.nc.Close()
}

// evict ends an unidentified connection for a newer one.
func (c *conn) evict() {
	c.evicted.Store(true)
	_ = c.nc.Close()
}
