package control

import (
	queue "container/list"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"net/netip"
	"sync"
	"time"
)

const (
	// maxStrangers bounds the connections that have not yet shown a certificate or the token,
	// maxStrangersPerAddr those of one address. One more pushes the oldest of them out, so that
	// slow clients do not keep others away.
	maxStrangers        = 512
	maxStrangersPerAddr = 64
	// maxKnown bounds the connections that have. More are closed at once.
	maxKnown = 256
)

// TCPOptions configure the control listener over TCP. A caller shows a certificate of ClientCA and
// may look, or sends the token in an Authorization header and may change things too. At least one
// of the two must be set; Cert and Key are needed for ClientCA and beyond loopback.
type TCPOptions struct {
	Listen    string // host:port; "": none
	Cert      string // PEM file of the server's certificate, read again when it changes
	Key       string
	ClientCA  string // PEM file
	TokenFile string // not readable by others; one line of at least 16 bytes; read again when it changes
}

// tcpServer answers over TCP what Server answers on the socket.
type tcpServer struct {
	l        *tcpListener
	serving  net.Listener // l, with TLS where it is configured
	http     *http.Server
	identity *identity // nil without TLS
	auth     *auth
}

func newTCPServer(o TCPOptions, log *slog.Logger) (*tcpServer, error) {
	s := &tcpServer{auth: &auth{}}
	fail := func(err error) (*tcpServer, error) {
		if s.l != nil {
			err = errors.Join(err, s.l.Close())
		}
		return nil, fmt.Errorf("control listener %s: %w", o.Listen, err)
	}
	var err error
	if o.TokenFile != "" {
		if s.auth.token, err = newToken(o.TokenFile, log); err != nil {
			return fail(err)
		}
	}
	if o.Cert != "" {
		if s.identity, err = newIdentity(o, log); err != nil {
			return fail(err)
		}
		s.auth.names = s.identity
	}
	if s.auth.token == nil && o.ClientCA == "" {
		return fail(errors.New("needs client_ca or token_file: anyone could unban there"))
	}
	var lc net.ListenConfig
	l, err := lc.Listen(context.Background(), "tcp", o.Listen)
	if err != nil {
		return fail(err)
	}
	s.l = &tcpListener{TCPListener: l.(*net.TCPListener), strangers: queue.New(), perAddr: make(map[netip.Addr]int)}
	s.serving = s.l
	if s.identity != nil {
		s.serving = tls.NewListener(s.l, s.identity.config)
	}
	s.auth.host, _, _ = net.SplitHostPort(o.Listen)
	return s, nil
}

// tcpListener bounds the connections of strangers.
type tcpListener struct {
	*net.TCPListener

	mu        sync.Mutex
	strangers *queue.List // *tcpConn, oldest first
	perAddr   map[netip.Addr]int
	known     int
}

// tcpConn is one connection. It is a stranger's until a request of it was let through.
type tcpConn struct {
	net.Conn
	l      *tcpListener
	remote netip.AddrPort
	local  netip.AddrPort

	at    *queue.Element // in strangers; nil: known or closed. Guarded by l.mu
	known bool           // guarded by l.mu
}

// Accept returns the next connection, after pushing out the oldest stranger where there are too many.
func (l *tcpListener) Accept() (net.Conn, error) {
	c, err := l.TCPListener.Accept()
	if err != nil {
		return nil, err
	}
	t := &tcpConn{Conn: c, l: l, remote: addrPort(c.RemoteAddr()), local: addrPort(c.LocalAddr())}
	if old := l.admit(t); old != nil {
		_ = old.SetDeadline(time.Unix(1, 0)) // its goroutine closes it
		_ = old.Close()
	}
	return t, nil
}

func addrPort(a net.Addr) netip.AddrPort {
	t, ok := a.(*net.TCPAddr)
	if !ok {
		return netip.AddrPort{}
	}
	ap := t.AddrPort()
	return netip.AddrPortFrom(ap.Addr().Unmap().WithZone(""), ap.Port())
}

// admit adds a stranger and returns one that must go, or nil.
func (l *tcpListener) admit(t *tcpConn) (out *tcpConn) {
	l.mu.Lock()
	defer l.mu.Unlock()
	addr := t.remote.Addr()
	crowded := l.perAddr[addr] >= maxStrangersPerAddr
	if crowded || l.strangers.Len() >= maxStrangers {
		for e := l.strangers.Front(); e != nil; e = e.Next() {
			if c := e.Value.(*tcpConn); !crowded || c.remote.Addr() == addr {
				l.forgetLocked(c)
				out = c
				break
			}
		}
	}
	t.at = l.strangers.PushBack(t)
	l.perAddr[addr]++
	return out
}

func (l *tcpListener) forgetLocked(c *tcpConn) {
	if c.at == nil {
		return
	}
	l.strangers.Remove(c.at)
	c.at = nil
	addr := c.remote.Addr()
	if l.perAddr[addr]--; l.perAddr[addr] == 0 {
		delete(l.perAddr, addr)
	}
}

// greet makes a stranger known. It reports false when there are too many known ones.
func (l *tcpListener) greet(c *tcpConn) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	if c.known {
		return true
	}
	if c.at == nil || l.known >= maxKnown {
		return false
	}
	l.forgetLocked(c)
	c.known = true
	l.known++
	return true
}

// Close also frees the connection's place.
func (c *tcpConn) Close() error {
	c.l.mu.Lock()
	c.l.forgetLocked(c)
	if c.known {
		c.known = false
		c.l.known--
	}
	c.l.mu.Unlock()
	return c.Conn.Close()
}
