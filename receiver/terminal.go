package receiver

import (
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"time"
)

// Terminal is the socket of a listener whose connections another package serves, with the
// certificates, the sources and the counters of a tls listener. Its methods may be called
// concurrently.
type Terminal struct{ l *Listener }

// OpenTerminal opens the socket of a listener and its certificate. The transport is that of the
// package which serves it.
func OpenTerminal(o Options) (*Terminal, error) {
	transport := o.Config.Transport
	o.Config.Transport = "tls"
	l, err := Listen(o)
	if err != nil {
		return nil, err
	}
	l.cfg.Transport = transport
	return &Terminal{l}, nil
}

// Listener returns what is accounted for: its Stats, Reload, Close and Addr; not to be Run.
func (t *Terminal) Listener() *Listener { return t.l }

// Socket returns the socket to accept from.
func (t *Terminal) Socket() (net.Listener, error) {
	s, ok := t.l.server.(*streams)
	if !ok {
		return nil, fmt.Errorf("listener %q has no stream socket", t.l.cfg.Name)
	}
	return s.ln, nil
}

// TLS returns the configuration of the server side. It verifies client certificates as a tls
// listener does: a handshake succeeds only for a certificate that a source claims.
func (t *Terminal) TLS() *tls.Config { return t.l.identity.config.Clone() }

// Peer returns the peer of a connection whose handshake is done.
func (t *Terminal) Peer(addr net.Addr, state tls.ConnectionState) Peer {
	p := stranger(addr)
	if len(state.PeerCertificates) > 0 {
		p.Level, p.Cert = LevelTLS, certificateOf(state.PeerCertificates[0])
	}
	return p
}

func stranger(addr net.Addr) Peer {
	p := Peer{Level: LevelAddress, UID: -1, GID: -1, PID: -1}
	if a, ok := addr.(*net.TCPAddr); ok {
		p.Addr = unmapped(a.AddrPort())
	}
	return p
}

// Resolve returns the source of a peer under the current configuration, nil when it has none.
func (t *Terminal) Resolve(p *Peer) *Source {
	return t.l.o.Registry.Load().Resolve(t.l.cfg.Name, p)
}

// Refuse counts and logs a refusal. source may be nil; sample is cut and copied.
func (t *Terminal) Refuse(reason, detail string, p *Peer, source *Source, sample []byte) {
	t.l.refused.add(time.Now(), &refusal{reason: reason, peer: p, source: source, sample: sample, detail: detail})
}

// RefuseHandshake counts and logs a TLS handshake that failed with err, under the reason it names.
func (t *Terminal) RefuseHandshake(err error, addr net.Addr) {
	p := stranger(addr)
	var refused *refusedError
	var unknown *unknownCertificateError
	var plain tls.RecordHeaderError
	switch {
	case errors.As(err, &unknown):
		p.Level, p.Cert = LevelTLS, unknown.cert
		t.Refuse(ReasonUnknownIdentity, "", &p, nil, nil)
	case errors.As(err, &refused):
		t.Refuse(refused.reason, refused.detail, &p, nil, nil)
	case errors.As(err, &plain):
		t.Refuse(mistake(plain.RecordHeader[:], ReasonPlaintext), "", &p, nil, plain.RecordHeader[:])
	default:
		t.Refuse(ReasonHandshake, err.Error(), &p, nil, nil)
	}
}

// Took counts an entry, also for its source.
func (t *Terminal) Took(e *Entry) {
	c := &t.l.counters
	c.forms[e.Form].Add(1)
	c.bytes.Add(int64(len(e.Raw)))
	if e.Truncated {
		c.truncated.Add(1)
	}
	if e.Malformed {
		c.malformed.Add(1)
	}
	e.Source.Seen(e.Received)
}

// Opened counts a connection.
func (t *Terminal) Opened() {
	t.l.counters.accepted.Add(1)
	t.l.open.Add(1)
}

// Closed counts the end of a connection that Opened counted.
func (t *Terminal) Closed() { t.l.open.Add(-1) }

// Keep does once what a running listener does every few seconds: it loads certificate files that
// changed and warns of an end that is near. It must not be called concurrently with itself.
func (t *Terminal) Keep() { t.l.identity.check(time.Now(), t.l.log) }
