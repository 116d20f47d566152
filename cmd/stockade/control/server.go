package control

import (
	"context"
	"errors"
	"fmt"
	stdlog "log"
	"log/slog"
	"net"
	"net/http"
	"runtime/debug"
	"time"
)

const (
	headerTimeout = 5 * time.Second  // from accept to the end of the header
	readTimeout   = 10 * time.Second // from accept to the end of the body
	writeTimeout  = 60 * time.Second // for the handler and the answer
	idleTimeout   = 30 * time.Second
	serviceLimit  = 50 * time.Second // for one call of a service
	stopTimeout   = time.Second      // for requests in flight when the server stops
	maxHeader     = 16 << 10         // bytes
	maxBody       = 1 << 20          // bytes; the largest honest request has some hundred
)

// Options configure a Server.
type Options struct {
	Socket    string // path of the unix socket, at most 107 bytes
	Group     string // name or number of the group that may change things; "": root and the daemon's user only
	ReadGroup string // name or number of the group that may look; not "": the socket is 0666
	TCP       TCPOptions
	Services  Services
	Log       *slog.Logger
}

// Server answers on the control socket, and over TCP where that is configured. It is a task: New
// binds, Run serves.
type Server struct {
	l     *listener
	http  *http.Server
	tcp   *tcpServer      // nil: none
	base  context.Context // ends when requests must give up
	stop  context.CancelFunc
	ready chan struct{}
}

// New makes the socket and serves nothing yet. A socket left behind by a dead daemon is
// replaced. If a daemon listens on it, the error wraps syscall.EADDRINUSE. A Server that is not
// run must be closed.
func New(o Options) (*Server, error) {
	log := o.Log.With("component", "control")
	r := newRoles(o.Group, o.ReadGroup, log)
	l, err := listen(o.Socket, r, log)
	if err != nil {
		return nil, err
	}
	s := &Server{l: l, ready: make(chan struct{})}
	s.base, s.stop = context.WithCancel(context.Background())
	s.http = s.newHTTP(newHandler(o.Services, r, nil, log), slog.NewLogLogger(log.Handler(), slog.LevelWarn))
	s.http.ConnContext = func(ctx context.Context, c net.Conn) context.Context {
		return context.WithValue(ctx, callerKey{}, c.(*conn).caller)
	}
	if o.TCP.Listen == "" {
		return s, nil
	}
	if s.tcp, err = newTCPServer(o.TCP, log); err != nil {
		return nil, errors.Join(err, s.Close())
	}
	// Anybody who can connect can fail a handshake: that is no warning.
	s.tcp.http = s.newHTTP(newHandler(o.Services, r, s.tcp.auth, log), slog.NewLogLogger(log.Handler(), slog.LevelDebug))
	s.tcp.http.ConnContext = func(ctx context.Context, c net.Conn) context.Context {
		t, _ := peerOf(c)
		return context.WithValue(ctx, peerKey{}, t)
	}
	return s, nil
}

// newHTTP is a server with the limits that hold for everybody.
func (s *Server) newHTTP(h http.Handler, faults *stdlog.Logger) *http.Server {
	var protocols http.Protocols
	protocols.SetHTTP1(true)
	return &http.Server{
		Handler:                      h,
		DisableGeneralOptionsHandler: true,
		ReadHeaderTimeout:            headerTimeout,
		ReadTimeout:                  readTimeout,
		WriteTimeout:                 writeTimeout,
		IdleTimeout:                  idleTimeout,
		MaxHeaderBytes:               maxHeader,
		Protocols:                    &protocols,
		ErrorLog:                     faults,
		BaseContext:                  func(net.Listener) context.Context { return s.base },
	}
}

// callerKey is the context key of the request's caller.
type callerKey struct{}

// Run serves until ctx is done, gives requests in flight 2 s, and removes the socket.
func (s *Server) Run(ctx context.Context) error {
	served := make(chan error, 2) // capacity: one for each server, the sender never waits
	servers := []*http.Server{s.http}
	go func() { served <- s.http.Serve(s.l) }()
	if s.tcp != nil {
		servers = append(servers, s.tcp.http)
		go func() { served <- s.tcp.http.Serve(s.tcp.serving) }()
	}
	close(s.ready)
	ended := 0
	var err error
	select {
	case err = <-served:
		ended, err = 1, fmt.Errorf("%s: %w", s, err)
	case <-ctx.Done():
	}
	grace, cancel := context.WithTimeout(context.WithoutCancel(ctx), stopTimeout)
	defer cancel()
	for _, h := range servers {
		if h.Shutdown(grace) != nil {
			s.stop()
			err = errors.Join(err, h.Close())
		}
	}
	for range len(servers) - ended {
		if end := <-served; !errors.Is(end, http.ErrServerClosed) {
			err = errors.Join(err, end)
		}
	}
	return errors.Join(err, s.Close())
}

// TCPAddr is where the server listens over TCP, with the real port where the configuration says 0;
// nil: nowhere.
func (s *Server) TCPAddr() net.Addr {
	if s.tcp == nil {
		return nil
	}
	return s.tcp.l.Addr()
}

// Expires is the end of the certificate of the listener over TCP; zero without one.
func (s *Server) Expires() time.Time {
	if s.tcp == nil || s.tcp.identity == nil {
		return time.Time{}
	}
	return s.tcp.identity.expires()
}

// Ready is closed once the server answers.
func (s *Server) Ready() <-chan struct{} { return s.ready }

// String names the server in errors and status.
func (s *Server) String() string { return "control socket " + s.l.path }

// Close ends the server and removes the socket. It may be called twice.
func (s *Server) Close() error {
	s.stop()
	var err error
	if s.tcp != nil {
		if s.tcp.http != nil {
			err = s.tcp.http.Close()
		}
		err = errors.Join(err, ignoreClosed(s.tcp.l.Close()))
	}
	return errors.Join(err, s.http.Close(), ignoreClosed(s.l.Close()), s.l.remove())
}

func ignoreClosed(err error) error {
	if errors.Is(err, net.ErrClosed) {
		return nil
	}
	return err
}

// BuildVersion tells which build of the program this process is.
func BuildVersion() Version {
	v := Version{Version: "devel"}
	info, ok := debug.ReadBuildInfo()
	if !ok {
		return v
	}
	v.Go = info.GoVersion
	if m := info.Main.Version; m != "" && m != "(devel)" {
		v.Version = m
	}
	for _, s := range info.Settings {
		if s.Key == "vcs.revision" {
			v.Revision = Text(s.Value)
		}
	}
	return v
}
