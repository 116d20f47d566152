package receiver

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"os"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/sync/errgroup"
	"golang.org/x/sys/unix"

	"stockade/receiver/decode"
)

// Options are what a listener is made from. All but Inherited must be set.
type Options struct {
	Config    ListenerConfig // as ValidateListeners accepts it
	Registry  *Registry      // shared by all listeners
	Open      Opener         // called once for every socket or connection
	Log       *slog.Logger
	Inherited []*os.File // sockets that systemd passed in for this listener; they stay the caller's
}

// Listener receives on one configured listener. Its methods may be called concurrently; Run
// is called once.
type Listener struct {
	cfg    ListenerConfig
	o      Options
	log    *slog.Logger
	limits limits

	server   server
	links    *links       // udp
	identity *tlsIdentity // tls
	file     *socketFile  // unix, unixgram

	counters counters
	open     atomic.Int64
	refused  refusals

	ready   chan struct{}
	closing sync.Once
	closed  error
}

// server is one kind of transport.
type server interface {
	addr() net.Addr
	serve(ctx context.Context) error // until ctx is done; waits for its goroutines
	close() error
	drops() int64
}

// Listen opens the socket of a listener, and receives nothing yet. Call Run, or Close to give
// the socket up. An address in use is an error that wraps unix.EADDRINUSE.
func Listen(o Options) (*Listener, error) {
	cfg := o.Config
	l := &Listener{
		cfg:    cfg,
		o:      o,
		log:    o.Log.With("component", "receiver", "listener", cfg.Name),
		limits: defaultLimits(cfg.MaxConnections),
		ready:  make(chan struct{}),
	}
	l.refused.listener, l.refused.log, l.refused.every = cfg.Name, l.log, l.limits.logEvery
	if err := l.listen(); err != nil {
		return nil, fmt.Errorf("listener %q: %w", cfg.Name, withHint(err))
	}
	return l, nil
}

func withHint(err error) error {
	switch {
	case errors.Is(err, unix.EACCES) || errors.Is(err, unix.EPERM):
		return fmt.Errorf("%w (hint: a port below 1024 needs CAP_NET_BIND_SERVICE, a socket file a folder one may write)", err)
	case errors.Is(err, unix.EADDRNOTAVAIL):
		return fmt.Errorf("%w (hint: no interface of this host has the address)", err)
	}
	return err
}

// Run receives until ctx is done and then returns nil: it stops accepting, takes what has
// already arrived for at most about a second, flushes its sinks, closes and removes the socket
// file that it made. It returns an error when the socket fails.
func (l *Listener) Run(ctx context.Context) error {
	g, gctx := errgroup.WithContext(ctx)
	g.Go(func() error { return l.server.serve(gctx) })
	if l.links != nil || l.identity != nil {
		g.Go(func() error { l.keep(gctx); return nil })
	}
	l.log.Info("listening", "transport", l.cfg.Transport, "address", l.address())
	close(l.ready)
	err := g.Wait()
	if closeErr := l.Close(); err == nil {
		err = closeErr
	}
	if err != nil {
		return fmt.Errorf("%s: %w", l, err)
	}
	l.log.Info("stopped")
	return nil
}

// keep looks after what changes beside the traffic: addresses of interfaces, certificate files.
func (l *Listener) keep(ctx context.Context) {
	tick := time.NewTicker(l.limits.housekeeping)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		if l.links != nil {
			if err := l.links.refresh(); err != nil {
				l.log.Warn("cannot list interfaces", "err", err)
			}
		}
		if l.identity != nil {
			l.identity.check(time.Now(), l.log)
		}
	}
}

// Reload reads the certificate, key and client CA again; connections stay. On an error the
// old ones stay in use. Other transports have nothing to reload.
func (l *Listener) Reload() error {
	if l.identity == nil {
		return nil
	}
	if err := l.identity.load(); err != nil {
		return fmt.Errorf("listener %q: %w", l.cfg.Name, err)
	}
	return nil
}

// Close gives up the socket of a listener that does not run. It may be called twice.
func (l *Listener) Close() error {
	l.closing.Do(func() {
		l.closed = l.server.close()
		if l.file != nil {
			l.closed = errors.Join(l.closed, l.file.remove())
		}
	})
	return l.closed
}

// Ready is closed when the listener receives.
func (l *Listener) Ready() <-chan struct{} { return l.ready }

// String names the listener: "udp listener 127.0.0.1:514".
func (l *Listener) String() string { return l.cfg.Transport + " listener " + l.address() }

// Name returns the listener's configured name.
func (l *Listener) Name() string { return l.cfg.Name }

// Addr returns the socket's own address, with the real port where the configuration says 0.
func (l *Listener) Addr() net.Addr { return l.server.addr() }

func (l *Listener) address() string {
	if l.cfg.isUnix() {
		return l.cfg.Path
	}
	return l.Addr().String()
}

// ListenerStats are the counts of a listener since it was opened.
type ListenerStats struct {
	Name        string
	Transport   string
	Address     string
	Entries     [decode.Forms]int64 // by decode.Form
	Bytes       int64               // of frames taken
	Truncated   int64               // entries whose end is missing: cut to the limit, or by the end of the stream
	Malformed   int64               // entries that break their own format's rules; their text is whole
	Refused     []Refusal           // by reason; those of known sources are also in SourceStats
	KernelDrops int64               // datagrams lost for want of socket buffer
	Accepted    int64               // connections
	Open        int64               // connections
	Expires     time.Time           // the end of the server certificate; zero without TLS
}

// FindRefused looks among the kept samples of what was refused; see [Refusals.Find].
func (l *Listener) FindRefused(match func(text []byte) bool) []Refusal { return l.refused.Find(match) }

// Stats returns a copy of the counts.
func (l *Listener) Stats() ListenerStats {
	s := ListenerStats{
		Name:        l.cfg.Name,
		Transport:   l.cfg.Transport,
		Address:     l.address(),
		Bytes:       l.counters.bytes.Load(),
		Truncated:   l.counters.truncated.Load(),
		Malformed:   l.counters.malformed.Load(),
		Refused:     l.refused.All(),
		KernelDrops: l.server.drops(),
		Accepted:    l.counters.accepted.Load(),
		Open:        l.open.Load(),
	}
	for i := range s.Entries {
		s.Entries[i] = l.counters.forms[i].Load()
	}
	if l.identity != nil {
		s.Expires = l.identity.expires()
	}
	return s
}
