package receiver

import (
	"errors"
	"net"
	"net/netip"
	"strings"
	"time"
)

// input is what the frame reader of a connection reads from. It flushes the sink before it may
// wait, and keeps the deadlines.
type input conn

var errStopped = errors.New("stopped")

// Read reads what the connection has. An idle connection at a frame edge has no deadline; one
// inside a frame has the partial-frame deadline, counted from that frame's first bytes.
func (in *input) Read(p []byte) (int, error) {
	c := (*conn)(in)
	c.r.sink.Flush()
	c.inside = c.fr.Partial()
	if err := c.arm(); err != nil {
		return 0, err
	}
	n, err := c.src.Read(p)
	c.now = time.Now()
	if n > 0 {
		c.text += int64(n)
		if c.head == nil {
			c.head = append([]byte(nil), p[:min(n, headSize)]...)
			if !c.proxied && isProxyHeader(c.head) {
				return 0, &refusedError{ReasonProxyHeader, "a PROXY header came from an address that proxies_from does not list"}
			}
		}
		if c.tls != nil && c.wasteful() {
			return 0, &refusedError{ReasonOverhead, "TLS records without text keep coming"}
		}
	}
	return n, err
}

// arm sets the read deadline that the state of the stream asks for.
func (c *conn) arm() error {
	now := time.Now()
	switch {
	case c.stopping.Load():
		if now.UnixNano() > c.until.Load() {
			return errStopped
		}
		return c.nc.SetReadDeadline(now.Add(c.s.l.limits.quiet))
	case c.inside && (!c.armed || c.armedFor != c.frames):
		c.armed, c.armedFor = true, c.frames
		if err := c.nc.SetReadDeadline(now.Add(c.s.l.limits.partial)); err != nil {
			return err
		}
	case !c.inside && c.armed:
		c.armed = false
		if err := c.nc.SetReadDeadline(time.Time{}); err != nil {
			return err
		}
	}
	if c.stopping.Load() { // wind came between: its deadline must stand
		return c.nc.SetReadDeadline(now.Add(c.s.l.limits.quiet))
	}
	return nil
}

// wasteful reports whether a TLS connection spends our work on records that carry no text: key
// updates cost us a key derivation each and the peer next to nothing.
func (c *conn) wasteful() bool {
	raw := c.wire.count - c.looked.raw
	if raw < overheadOf {
		return false
	}
	text := c.text - c.looked.text
	c.looked.raw, c.looked.text = c.wire.count, c.text
	return text*leastText < raw
}

// wire is the socket of a network connection. It counts bytes, and gives bytes back that were
// read too early.
type wire struct {
	net.Conn
	pushed []byte
	count  int64
	gate   *gate   // during a TLS handshake
	last   [7]byte // that a read of the handshake ended in: an alert's size
}

// Read reads the pushed bytes first. During a handshake it gives up the place among those that
// compute, while it waits for the peer.
func (w *wire) Read(p []byte) (int, error) {
	if len(w.pushed) > 0 {
		n := copy(p, w.pushed)
		w.pushed = w.pushed[n:]
		return n, nil
	}
	var n int
	var err error
	if w.gate != nil {
		if n, err = w.gate.read(w.Conn, p); n >= len(w.last) {
			copy(w.last[:], p[n-len(w.last):])
		}
	} else {
		n, err = w.Conn.Read(p)
	}
	w.count += int64(n)
	return n, err
}

// Write gives the peer little time: we write only handshakes, alerts and answers to key
// updates, which fit its window unless it means to hold us.
func (w *wire) Write(p []byte) (int, error) {
	if err := w.SetWriteDeadline(time.Now().Add(writePatience)); err != nil {
		return 0, err
	}
	return w.Conn.Write(p)
}

func unmapped(a netip.AddrPort) netip.AddrPort {
	return netip.AddrPortFrom(a.Addr().WithZone("").Unmap(), a.Port())
}

// mistake names what the first bytes of a stream are, if they are not syslog.
func mistake(head []byte, otherwise string) string {
	const tlsHandshake = 0x16
	if len(head) > 0 && head[0] == tlsHandshake {
		return ReasonTLS
	}
	method, _, ok := strings.Cut(string(head), " ")
	if ok {
		switch method {
		case "GET", "HEAD", "POST", "PUT", "DELETE", "OPTIONS", "CONNECT", "TRACE", "PATCH", "PRI":
			return ReasonHTTP
		}
	}
	return otherwise
}
