package receiver

import (
	"context"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"os"
	"strings"
	"sync/atomic"
	"time"
)

const expiryWarning = 14 * 24 * time.Hour

// tlsIdentity is the certificate of a tls listener and what it demands of clients. Its methods
// may be called concurrently, but for check.
type tlsIdentity struct {
	l      *Listener
	keys   atomic.Pointer[tlsKeys]
	config *tls.Config
	warned time.Time // when check warned of the expiry last
	failed time.Time // when check warned of a failed load last
}

// tlsKeys are the files of a tls listener as read at one moment.
type tlsKeys struct {
	cert    tls.Certificate
	clients *x509.CertPool
	expires time.Time
	files   [3]fileStamp
}

// fileStamp tells whether a file was written or replaced.
type fileStamp struct {
	size  int64
	mtime time.Time
}

func newTLSIdentity(l *Listener) *tlsIdentity {
	t := &tlsIdentity{l: l}
	t.config = &tls.Config{
		MinVersion: tls.VersionTLS12,
		CipherSuites: []uint16{ // RFC 9662: forward secrecy and AEAD; TLS 1.3 has no others
			tls.TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256, tls.TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256,
			tls.TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384, tls.TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384,
			tls.TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256, tls.TLS_ECDHE_RSA_WITH_CHACHA20_POLY1305_SHA256,
		},
		SessionTicketsDisabled: true,
		// The chain is verified by verify, because a pinned certificate needs none.
		ClientAuth:       tls.RequestClientCert,
		VerifyConnection: t.verify,
		GetCertificate: func(*tls.ClientHelloInfo) (*tls.Certificate, error) {
			return &t.keys.Load().cert, nil
		},
	}
	return t
}

// loadTLS reads the files of a listener.
func loadTLS(cfg *ListenerConfig) (*tlsKeys, error) {
	k := &tlsKeys{clients: x509.NewCertPool()}
	for i, path := range []string{cfg.Cert, cfg.Key, cfg.ClientCA} {
		var err error
		if k.files[i], err = stampOf(path); err != nil {
			return nil, err
		}
	}
	var err error
	if k.cert, err = tls.LoadX509KeyPair(cfg.Cert, cfg.Key); err != nil {
		return nil, fmt.Errorf("cert %q, key %q: %w", cfg.Cert, cfg.Key, err)
	}
	k.expires = k.cert.Leaf.NotAfter
	pem, err := os.ReadFile(cfg.ClientCA)
	if err != nil {
		return nil, err
	}
	if !k.clients.AppendCertsFromPEM(pem) {
		return nil, fmt.Errorf("client_ca %q holds no PEM certificate", cfg.ClientCA)
	}
	return k, nil
}

func stampOf(path string) (fileStamp, error) {
	info, err := os.Stat(path)
	if err != nil {
		return fileStamp{}, err
	}
	return fileStamp{info.Size(), info.ModTime()}, nil
}

// ValidateFiles reports what is wrong with the certificates, keys and CAs that the listeners
// name, with the path of the key it is at. An error of a file that is not there, or may not be read,
// wraps fs.ErrNotExist or fs.ErrPermission. It reads files and nothing else.
func ValidateFiles(cfgs []ListenerConfig, report func(path string, err error)) {
	for i := range cfgs {
		c := &cfgs[i]
		if !c.isTLS() || c.Cert == "" || c.Key == "" || c.ClientCA == "" {
			continue
		}
		whole := true
		for _, f := range []struct{ key, path string }{{"cert", c.Cert}, {"key", c.Key}, {"client_ca", c.ClientCA}} {
			file, err := os.Open(f.path)
			if err != nil {
				whole = false
				report(fmt.Sprintf("listeners[%d].%s", i, f.key), err)
				continue
			}
			_ = file.Close()
		}
		if !whole {
			continue
		}
		if _, err := loadTLS(c); err != nil {
			report(fmt.Sprintf("listeners[%d]", i), err)
		}
	}
}

// load reads the files; on an error the keys in use stay.
func (t *tlsIdentity) load() error {
	k, err := loadTLS(&t.l.cfg)
	if err != nil {
		return err
	}
	t.keys.Store(k)
	return nil
}

func (t *tlsIdentity) expires() time.Time { return t.keys.Load().expires }

// changed reports whether a file was written or replaced since it was loaded.
func (t *tlsIdentity) changed() bool {
	k := t.keys.Load()
	for i, path := range []string{t.l.cfg.Cert, t.l.cfg.Key, t.l.cfg.ClientCA} {
		if stamp, err := stampOf(path); err != nil || stamp != k.files[i] {
			return true
		}
	}
	return false
}

// check reads the files again when one has changed, and warns of the coming end of the
// certificate once a day.
func (t *tlsIdentity) check(now time.Time, log *slog.Logger) {
	if t.changed() {
		switch err := t.load(); { // a half-written pair is tried again at the next look
		case err == nil:
			log.Info("certificate loaded", "expires", t.expires())
		case now.Sub(t.failed) >= t.l.limits.logEvery:
			t.failed = now
			log.Warn("cannot load the changed certificate, the old one stays", "err", err)
		}
	}
	if left := t.expires().Sub(now); left < expiryWarning && now.Sub(t.warned) >= 24*time.Hour {
		t.warned = now
		log.Warn("the server certificate expires soon", "expires", t.expires())
	}
}

// verify decides about a client certificate. It runs in every handshake; there is no
// resumption. A certificate or key that a source names by SHA-256 needs no chain to the CA.
func (t *tlsIdentity) verify(state tls.ConnectionState) error {
	if len(state.PeerCertificates) == 0 {
		return &refusedError{reason: ReasonNoCertificate, detail: "the client showed no certificate"}
	}
	leaf := state.PeerCertificates[0]
	cert := certificateOf(leaf)
	claims := t.l.o.Registry.Load().listeners[t.l.cfg.Name]
	opts := x509.VerifyOptions{
		Roots:         t.keys.Load().clients,
		Intermediates: x509.NewCertPool(),
		KeyUsages:     []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth},
	}
	if claims != nil && claims.pinned(cert) != nil {
		opts.Roots = x509.NewCertPool()
		opts.Roots.AddCert(leaf) // leaves its dates and its usage to be checked
	}
	for _, c := range state.PeerCertificates[1:] {
		opts.Intermediates.AddCert(c)
	}
	if _, err := leaf.Verify(opts); err != nil {
		return &refusedError{ReasonUntrusted, err.Error()}
	}
	if claims == nil || claims.certificate(cert) == nil {
		return &unknownCertificateError{cert}
	}
	return nil
}

// unknownCertificateError carries a valid certificate that no source claims.
type unknownCertificateError struct{ cert *Certificate }

func (e *unknownCertificateError) Error() string { return ReasonUnknownIdentity }

// certificateOf takes from a certificate what identifies it.
func certificateOf(x *x509.Certificate) *Certificate {
	c := &Certificate{SHA256: sha256.Sum256(x.Raw), KeySHA256: sha256.Sum256(x.RawSubjectPublicKeyInfo)}
	for _, name := range x.DNSNames {
		if name != "" {
			c.Names = append(c.Names, strings.ToLower(name))
		}
	}
	for _, ip := range x.IPAddresses {
		c.Names = append(c.Names, ip.String())
	}
	for _, u := range x.URIs {
		c.Names = append(c.Names, strings.ToLower(u.String()))
	}
	return c
}

// handshake runs the TLS handshake and takes the client's certificate.
func (c *conn) handshake(ctx context.Context, deadline time.Time) error {
	if err := c.sniff(); err != nil {
		return err
	}
	if err := c.nc.SetDeadline(time.Time{}); err != nil { // the gate counts from here
		return err
	}
	g := &gate{ctx: ctx, all: c.s.pending.slots, own: c.group.slots, left: time.Until(deadline)}
	if err := g.acquire(); err != nil {
		return err
	}
	c.wire.gate = g
	t := tls.Server(c.wire, c.s.l.identity.config)
	err := t.Handshake()
	c.wire.gate = nil
	g.release()
	if err != nil {
		var unknown *unknownCertificateError
		if errors.As(err, &unknown) {
			c.peer.Level, c.peer.Cert = LevelTLS, unknown.cert
			return &refusedError{reason: ReasonUnknownIdentity}
		}
		if why := endedByPeer(err, c.wire.last); why != "" {
			return &refusedError{ReasonDistrusted, why}
		}
		return err
	}
	c.tls, c.src = t, t
	c.peer.Level = LevelTLS
	c.peer.Cert = certificateOf(t.ConnectionState().PeerCertificates[0])
	c.looked.raw = c.wire.count
	return nil
}

// endedByPeer says with which alert the client ended the handshake, or "". OpenSSL sends the alert
// about a server's certificate in plain text, which crypto/tls takes for a broken record: it is told
// by last, the end of what was read.
func endedByPeer(err error, last [7]byte) string {
	var op *net.OpError
	if errors.As(err, &op) && op.Op == "remote error" {
		return "the sender ended the handshake: " + op.Err.Error()
	}
	const alert, major, fatal = 21, 3, 2 // RFC 8446 sections 5.1 and 6
	if last[0] != alert || last[1] != major || last[3] != 0 || last[4] != 2 || last[5] != fatal {
		return ""
	}
	why, ok := map[byte]string{
		42: "bad certificate", 43: "unsupported certificate", 44: "certificate revoked", 45: "certificate expired",
		46: "certificate unknown", 48: "unknown certificate authority",
	}[last[6]]
	if !ok {
		why = fmt.Sprintf("alert %d", last[6])
	}
	return "the sender ended the handshake: " + why
}

// sniff looks at the first bytes and refuses what is no TLS record, by the sender's mistake.
func (c *conn) sniff() error {
	if len(c.wire.pushed) == 0 {
		buf := make([]byte, 512)
		n, err := c.wire.Read(buf)
		if n == 0 {
			return err
		}
		c.wire.pushed = buf[:n]
	}
	c.head = append([]byte(nil), c.wire.pushed[:min(len(c.wire.pushed), headSize)]...)
	switch reason := mistake(c.head, ReasonPlaintext); {
	case reason == ReasonTLS:
		c.head = nil
		return nil
	case reason == ReasonHTTP:
		return &refusedError{reason, "an HTTP request came to a TLS port"}
	case isProxyHeader(c.head):
		return &refusedError{ReasonProxyHeader, "a PROXY header came from an address that proxies_from does not list"}
	}
	return &refusedError{ReasonPlaintext, "plain text came to a TLS port"}
}
