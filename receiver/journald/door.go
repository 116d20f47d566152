package journald

import (
	"context"
	"crypto/tls"
	"errors"
	"net"
	"net/netip"
	"sync"
	"time"

	"golang.org/x/sys/unix"

	"stockade/receiver"
)

const (
	maxUploads       = 1024 // connections, unless max_connections says otherwise
	maxHandshakes    = 256  // of these, not identified yet
	handshakeTimeout = 10 * time.Second
	acceptPause      = 250 * time.Millisecond // when descriptors ran out
)

// door accepts connections, runs their TLS handshakes beside each other, and gives on those whose
// peer a source claims. It is the http.Server's listener.
type door struct {
	u       *Upload
	socket  net.Listener
	config  *tls.Config
	opened  chan *tls.Conn // unbuffered: the server takes them at once
	failed  chan error     // capacity 1: why accepting ended
	done    chan struct{}
	closing sync.Once

	mu      sync.Mutex
	open    map[net.Conn]bool
	waiting []knock // handshakes in the order in which they began
}

type knock struct {
	c      net.Conn
	prefix netip.Prefix
}

func newDoor(u *Upload, socket net.Listener) *door {
	config := u.terminal.TLS()
	config.NextProtos = []string{"http/1.1"}
	return &door{
		u: u, socket: socket, config: config, opened: make(chan *tls.Conn), failed: make(chan error, 1),
		done: make(chan struct{}), open: make(map[net.Conn]bool),
	}
}

// most is the largest number of connections.
func (u *Upload) most() int {
	if n := u.o.Config.MaxConnections; n > 0 {
		return n
	}
	return maxUploads
}

// Accept returns the next identified connection.
func (d *door) Accept() (net.Conn, error) {
	select {
	case c := <-d.opened:
		return c, nil
	case <-d.done:
		return nil, net.ErrClosed
	}
}

// Close ends Accept.
func (d *door) Close() error {
	d.closing.Do(func() { close(d.done) })
	return nil
}

// Addr returns the socket's address.
func (d *door) Addr() net.Addr { return d.socket.Addr() }

// run accepts until ctx is done and waits for the handshakes.
func (d *door) run(ctx context.Context) {
	var wg sync.WaitGroup
	defer wg.Wait()
	defer context.AfterFunc(ctx, d.stop)()
	for {
		c, err := d.socket.Accept()
		switch {
		case ctx.Err() != nil:
			if err == nil {
				_ = c.Close()
			}
			return
		case err == nil:
			if d.admit(c) {
				wg.Go(func() { d.handshake(c) })
			}
			continue
		case errors.Is(err, unix.EMFILE) || errors.Is(err, unix.ENFILE) || errors.Is(err, unix.ENOBUFS) || errors.Is(err, unix.ENOMEM):
			p := receiver.Peer{UID: -1, GID: -1, PID: -1}
			d.u.terminal.Refuse(receiver.ReasonDescriptors, err.Error(), &p, nil, nil)
		case errors.Is(err, unix.ECONNABORTED) || errors.Is(err, unix.EPERM) || errors.Is(err, unix.EPROTO):
			continue
		default:
			d.failed <- err
			return
		}
		select {
		case <-ctx.Done():
		case <-time.After(acceptPause):
		}
	}
}

// stop ends the socket and all handshakes.
func (d *door) stop() {
	_ = d.socket.Close()
	_ = d.Close()
	d.mu.Lock()
	defer d.mu.Unlock()
	for _, k := range d.waiting {
		_ = k.c.Close()
	}
}

// admit notes a new connection. Where too many wait to be identified, the oldest of the network
// that has most of them makes room.
func (d *door) admit(c net.Conn) bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	if len(d.open) >= d.u.most() {
		p := d.u.terminal.Peer(c.RemoteAddr(), tls.ConnectionState{})
		d.u.terminal.Refuse(receiver.ReasonConnections, "the listener has no place left", &p, nil, nil)
		_ = c.Close()
		return false
	}
	if len(d.waiting) >= maxHandshakes {
		d.evictLocked()
	}
	d.waiting = append(d.waiting, knock{c, network(c.RemoteAddr())})
	d.open[c] = true
	d.u.terminal.Opened()
	return true
}

func (d *door) evictLocked() {
	count := make(map[netip.Prefix]int)
	for _, k := range d.waiting {
		count[k.prefix]++
	}
	victim := 0
	for i, k := range d.waiting {
		if count[k.prefix] > count[d.waiting[victim].prefix] {
			victim = i
		}
	}
	c := d.waiting[victim].c
	_ = c.Close()
	p := d.u.terminal.Peer(c.RemoteAddr(), tls.ConnectionState{})
	d.u.terminal.Refuse(receiver.ReasonPushedOut, "", &p, nil, nil)
	d.waiting = append(d.waiting[:victim], d.waiting[victim+1:]...)
}

// network is what one sender can be expected to hold: a /24 or a /56.
func network(a net.Addr) netip.Prefix {
	t, ok := a.(*net.TCPAddr)
	if !ok {
		return netip.Prefix{}
	}
	addr := t.AddrPort().Addr().WithZone("").Unmap()
	bits := 56
	if addr.Is4() {
		bits = 24
	}
	p, _ := addr.Prefix(bits) // both widths are legal
	return p
}

// handshake finds out who the peer is and gives the connection on, or closes it.
func (d *door) handshake(c net.Conn) {
	t := tls.Server(c, d.config)
	err := c.SetDeadline(time.Now().Add(handshakeTimeout))
	if err == nil {
		err = t.Handshake()
	}
	if err == nil {
		err = c.SetDeadline(time.Time{})
	}
	if known := d.identified(c); err != nil {
		if known {
			d.u.terminal.RefuseHandshake(err, c.RemoteAddr())
		}
		_ = c.Close()
		d.leave(c)
		return
	}
	select {
	case d.opened <- t:
	case <-d.done:
		_ = c.Close()
		d.leave(c)
	}
}

// identified takes a connection out of those that wait. It is false for one that was pushed out.
func (d *door) identified(c net.Conn) bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	for i, k := range d.waiting {
		if k.c == c {
			d.waiting = append(d.waiting[:i], d.waiting[i+1:]...)
			return true
		}
	}
	return false
}

// leave notes the end of a connection.
func (d *door) leave(c net.Conn) {
	if t, ok := c.(*tls.Conn); ok {
		c = t.NetConn()
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.open[c] {
		delete(d.open, c)
		d.u.terminal.Closed()
	}
}
