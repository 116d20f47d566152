package receiver

import (
	"context"
	"errors"
	"net"
	"net/netip"
	"sync"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"stockade/receiver/frame"
)

// streams serves a tcp, tls or unix listener: one goroutine accepts, one serves each connection.
type streams struct {
	l       *Listener
	ln      net.Listener
	mode    frame.Mode
	proxies []netip.Prefix
	fdLimit int // the number of the first descriptor that is kept in reserve

	pending *pending
	ended   chan struct{} // capacity 1: a connection has ended; full: the news is known
	wg      sync.WaitGroup

	mu    sync.Mutex
	conns map[*conn]struct{} // identified
	byKey map[string]int     // of these, by source, or by user on unix sockets
}

func newStreams(l *Listener, ln net.Listener) *streams {
	s := &streams{
		l:       l,
		ln:      ln,
		pending: newPending(l.limits.pending, l.limits.handshakes, l.limits.perPrefix),
		ended:   make(chan struct{}, 1),
		conns:   make(map[*conn]struct{}),
		byKey:   make(map[string]int),
	}
	s.mode, _ = frame.ParseMode(l.cfg.Framing) // validated
	for _, text := range l.cfg.ProxiesFrom {
		if p, err := parsePrefix(text); err == nil {
			s.proxies = append(s.proxies, p)
		}
	}
	var rl unix.Rlimit
	if err := unix.Getrlimit(unix.RLIMIT_NOFILE, &rl); err == nil {
		s.fdLimit = int(min(rl.Cur, 1<<30)) - l.limits.reserve //nolint:gosec // bounded
	}
	return s
}

func (s *streams) addr() net.Addr { return s.ln.Addr() }
func (s *streams) drops() int64   { return 0 }

func (s *streams) close() error {
	if err := s.ln.Close(); err != nil && !errors.Is(err, net.ErrClosed) {
		return err
	}
	return nil
}

func (s *streams) serve(ctx context.Context) error {
	ctx, cancel := context.WithCancel(ctx)
	defer s.wg.Wait()
	defer cancel() // before the wait: also when accepting fails
	defer context.AfterFunc(ctx, func() { _ = s.close() })()
	s.wg.Add(1)
	go func() {
		defer s.wg.Done()
		s.watch(ctx)
	}()
	for {
		c, err := s.ln.Accept()
		switch {
		case ctx.Err() != nil:
			if err == nil {
				return c.Close()
			}
			return nil
		case err == nil:
			if s.admit(ctx, c) {
				continue
			}
		case outOfDescriptors(err):
			s.l.refused.add(time.Now(), &refusal{reason: ReasonDescriptors, peer: nobody, detail: err.Error()})
		case errors.Is(err, unix.ECONNABORTED) || errors.Is(err, unix.EPERM) || errors.Is(err, unix.EPROTO):
			continue // the connection died in the queue, or a firewall rule refused it
		default:
			return err
		}
		select { // connections wait in the kernel's queue meanwhile
		case <-ctx.Done():
		case <-s.ended:
		case <-time.After(s.l.limits.pause):
		}
	}
}

var nobody = &Peer{UID: -1, GID: -1, PID: -1}

func outOfDescriptors(err error) bool {
	return errors.Is(err, unix.EMFILE) || errors.Is(err, unix.ENFILE) ||
		errors.Is(err, unix.ENOBUFS) || errors.Is(err, unix.ENOMEM)
}

// admit starts the goroutine of a new connection, or refuses it. It returns false when
// descriptors run short: descriptors are numbered from the lowest free one, so a number in
// the reserve says that all others are taken.
func (s *streams) admit(ctx context.Context, nc net.Conn) bool {
	s.l.counters.accepted.Add(1)
	c := newConn(s, nc)
	if s.fdLimit > 0 && descriptor(nc) >= s.fdLimit {
		c.refuse(&refusedError{ReasonDescriptors, "the last descriptors are kept for the rest of the program"})
		_ = nc.Close()
		return false
	}
	switch {
	case s.l.cfg.isUnix():
	case s.l.cfg.isTLS() || c.proxied:
		s.pending.enter(c)
	default: // the address is the identity: an unknown one costs no goroutine
		if err := c.identify(); err != nil {
			c.refuse(err)
			_ = nc.Close()
			return true
		}
	}
	s.l.open.Add(1)
	s.wg.Add(1)
	go func() {
		defer s.wg.Done()
		c.serve(ctx)
		s.l.open.Add(-1)
		select {
		case s.ended <- struct{}{}:
		default:
		}
	}()
	return true
}

func descriptor(nc net.Conn) int {
	sc, ok := nc.(syscall.Conn)
	if !ok {
		return 0
	}
	raw, err := sc.SyscallConn()
	if err != nil {
		return 0
	}
	number := 0
	_ = raw.Control(func(fd uintptr) { number = int(fd) }) // a closed one is nobody's trouble
	return number
}

// register enters an identified connection under the key that its share is counted by, if the
// limits allow it.
func (s *streams) register(c *conn, key string) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	switch {
	case len(s.conns) >= s.l.limits.connections:
		return &refusedError{ReasonConnections, "the listener has no place left"}
	case s.byKey[key] >= s.l.limits.perSource:
		return &refusedError{ReasonConnections, "the sender has its share of connections"}
	}
	s.conns[c] = struct{}{}
	s.byKey[key]++
	c.key = key
	return nil
}

func (s *streams) unregister(c *conn) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.conns, c)
	if s.byKey[c.key]--; s.byKey[c.key] == 0 {
		delete(s.byKey, c.key)
	}
}

// watch cuts connections whose source left the configuration.
func (s *streams) watch(ctx context.Context) {
	for {
		changed := s.l.o.Registry.Changed()
		sources := s.l.o.Registry.Load()
		s.mu.Lock()
		for c := range s.conns {
			if p := c.known.Load(); p != nil && sources.Resolve(s.l.cfg.Name, p) == nil {
				c.cut()
			}
		}
		s.mu.Unlock()
		select {
		case <-ctx.Done():
			return
		case <-changed:
		}
	}
}
