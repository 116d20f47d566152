package receiver

import (
	"bytes"

	"crypto/ed25519"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

func TestTLSIdentifiesTheClientByName(t *testing.T) {
	ca := newAuthority(t, "ca", nil)
	r := start(t, ca.files(t, t.TempDir()), named("web1", "web2"), nil)
	for i, text := range []string{"<38>sshd: lf\n", "12 <38>sshd: oc"} {
		c, err := r.dialTLS(ca.clientConfig(ca.client(t, fmt.Sprintf("web%d.lan", i+1))))
		if err != nil {
			t.Fatal(err)
		}
		r.send(c, text)
		got := r.lines(i + 1)[i]
		if got.source != fmt.Sprintf("web%d", i+1) || got.peer.Level != LevelTLS || got.peer.Cert == nil || got.app != "sshd" {
			t.Fatalf("got %+v", got)
		}
	}
	left := time.Until(r.Stats().Expires)
	if left < 89*24*time.Hour || left > 91*24*time.Hour {
		t.Fatalf("the certificate expires in %s", left)
	}
}

// TestTLSMatrix is bar A7: a verdict for each kind of client certificate.
func TestTLSMatrix(t *testing.T) {
	ca, other := newAuthority(t, "ca", nil), newAuthority(t, "other", nil)
	sub := newAuthority(t, "sub", ca)
	with := func(change func(c *x509.Certificate)) tls.Certificate {
		c := template("web1.lan")
		change(c)
		return ca.issue(t, c, ecKey(t))
	}
	selfSigned := func() tls.Certificate {
		key := ecKey(t)
		c := template("self.lan")
		return (&authority{cert: c, key: key}).issue(t, c, key)
	}
	pinned, pinnedKey, stranger := selfSigned(), selfSigned(), selfSigned()
	pinnedSum := sha256.Sum256(pinned.Certificate[0])
	parsed, err := x509.ParseCertificate(pinnedKey.Certificate[0])
	if err != nil {
		t.Fatal(err)
	}
	keySum := sha256.Sum256(parsed.RawSubjectPublicKeyInfo)
	expiredKey := ecKey(t)
	expiredTemplate := template("self.lan")
	expiredTemplate.NotAfter = time.Now().Add(-time.Minute)
	expiredPin := (&authority{cert: expiredTemplate, key: expiredKey}).issue(t, expiredTemplate, expiredKey)
	expiredSum := sha256.Sum256(expiredPin.Certificate[0])

	rsaKey, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	_, edKey, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	manyNames := func(c *x509.Certificate) {
		for i := range 1000 {
			c.DNSNames = append(c.DNSNames, fmt.Sprintf("h%d.lan", i))
		}
	}
	chain := make([]*authority, 0, 8)
	for above := sub; len(chain) < 8; {
		above = newAuthority(t, fmt.Sprintf("sub%d", len(chain)), above)
		chain = append([]*authority{above}, chain...)
	}
	foreignKey := ca.client(t, "web1.lan")
	foreignKey.PrivateKey = ecKey(t)

	sources := append(named("web1", "web2", "clash"),
		SourceConfig{Name: "pin", Certificate: CertificateConfig{SHA256: fmt.Sprintf("%x", pinnedSum)}},
		SourceConfig{Name: "pinkey", Certificate: CertificateConfig{SHA256: fmt.Sprintf("%x", keySum)}},
		SourceConfig{Name: "pinold", Certificate: CertificateConfig{SHA256: fmt.Sprintf("%x", expiredSum)}},
		SourceConfig{Name: "uri", Certificate: CertificateConfig{SAN: "spiffe://lan/web"}},
		SourceConfig{Name: "ip", Certificate: CertificateConfig{SAN: "192.0.2.7"}},
		SourceConfig{Name: "elsewhere", Certificate: CertificateConfig{SAN: "far.lan"}, Addresses: []string{"192.0.2.0/24"}},
	)
	for _, tt := range []struct {
		name   string
		cert   *tls.Certificate
		source string // "" means refused
		reason string
	}{
		{"a good name", ptr(ca.client(t, "web1.lan")), "web1", ""},
		{"a name in capitals", ptr(ca.client(t, "WEB2.lan")), "web2", ""},
		{"an RSA key", ptr(ca.issue(t, template("web1.lan"), rsaKey)), "web1", ""},
		{"an Ed25519 key", ptr(ca.issue(t, template("web1.lan"), edKey)), "web1", ""},
		{"an intermediate CA", ptr(sub.issue(t, template("web1.lan"), ecKey(t), sub)), "web1", ""},
		{"a URI name", ptr(with(func(c *x509.Certificate) {
			c.DNSNames, c.URIs = nil, []*url.URL{{Scheme: "spiffe", Host: "lan", Path: "/web"}}
		})), "uri", ""},
		{"an address name", ptr(with(func(c *x509.Certificate) { c.DNSNames, c.IPAddresses = nil, []net.IP{net.IPv4(192, 0, 2, 7)} })), "ip", ""},
		{"a pinned certificate without a CA", &pinned, "pin", ""},
		{"a pinned key without a CA", &pinnedKey, "pinkey", ""},
		{"1,001 names of which one is right", ptr(with(manyNames)), "web1", ""},
		{"a chain of nine", ptr(chain[0].issue(t, template("web1.lan"), ecKey(t), append(chain, sub)...)), "web1", ""},

		{"no certificate", nil, "", ReasonNoCertificate},
		{"another CA", ptr(other.client(t, "web1.lan")), "", ReasonUntrusted},
		{"a self-signed certificate", &stranger, "", ReasonUntrusted},
		{"an expired certificate", ptr(with(func(c *x509.Certificate) { c.NotAfter = time.Now().Add(-time.Minute) })), "", ReasonUntrusted},
		{"an expired pinned certificate", &expiredPin, "", ReasonUntrusted},
		{"a certificate of the future", ptr(with(func(c *x509.Certificate) { c.NotBefore = time.Now().Add(time.Hour) })), "", ReasonUntrusted},
		{"a certificate for servers", ptr(with(func(c *x509.Certificate) { c.ExtKeyUsage = []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth} })), "", ReasonUntrusted},
		{"an intermediate CA that is not sent", ptr(sub.client(t, "web1.lan")), "", ReasonUntrusted},
		{"a common name only", ptr(with(func(c *x509.Certificate) { c.DNSNames = nil })), "", ReasonUnknownIdentity},
		{"a wildcard", ptr(ca.client(t, "*.lan")), "", ReasonUnknownIdentity},
		{"a name of nobody", ptr(ca.client(t, "web9.lan")), "", ReasonUnknownIdentity},
		{"names of two sources", ptr(with(func(c *x509.Certificate) { c.DNSNames = []string{"web1.lan", "clash.lan"} })), "", ReasonUnknownIdentity},
		{"a name from another network", ptr(ca.client(t, "far.lan")), "", ReasonUnknownIdentity},
		{"a certificate without its key", &foreignKey, "", ReasonHandshake},
	} {
		t.Run(tt.name, func(t *testing.T) {
			r := start(t, ca.files(t, t.TempDir()), sources, nil)
			cfg := ca.clientConfig()
			if tt.cert != nil {
				cfg = ca.clientConfig(*tt.cert)
			}
			c, err := r.dialTLS(cfg)
			if tt.source == "" {
				if err == nil {
					_, _ = c.Write([]byte("<38>a: x\n"))
				}
				r.wait("refusal", func() bool { return r.refusals(tt.reason) == 1 })
				if n := entries(r.Stats()); n != 0 {
					t.Fatalf("%d entries of a refused client", n)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			r.send(c, "<38>a: x\n")
			if got := r.lines(1)[0].source; got != tt.source {
				t.Fatalf("source %q, want %q", got, tt.source)
			}
		})
	}
}

func ptr[T any](v T) *T { return &v }

func TestUnknownCertificateIsLoggedWithWhatWouldAllowIt(t *testing.T) {
	ca := newAuthority(t, "ca", nil)
	r := start(t, ca.files(t, t.TempDir()), named("web1"), nil)
	for range 3 {
		if c, err := r.dialTLS(ca.clientConfig(ca.client(t, "web7.lan"))); err == nil {
			_, _ = c.Read(make([]byte, 1))
		}
	}
	r.wait("refusals", func() bool { return r.refusals(ReasonUnknownIdentity) == 3 })
	log := r.log.String()
	if want := `listener: l, certificate: {san: \"web7.lan\"}, jails`; !strings.Contains(log, want) || strings.Count(log, "refused") != 1 {
		t.Fatalf("log wants one line with %s:\n%s", want, log)
	}
}

func TestMistakesOnATLSPortAreNamed(t *testing.T) {
	ca := newAuthority(t, "ca", nil)
	for _, tt := range []struct{ name, bytes, reason string }{
		{"plain syslog", "<38>Nov 24 06:00:00 web1 sshd[7]: x\n", ReasonPlaintext},
		{"plain octet counting", "5 <38>x", ReasonPlaintext},
		{"HTTP", "GET / HTTP/1.1\r\n\r\n", ReasonHTTP},
		{"a proxy that is not listed", "PROXY TCP4 192.0.2.7 192.0.2.1 1 601\r\n", ReasonProxyHeader},
		{"a broken TLS record", "\x16\x03\x01\x00\x05hello world", ReasonHandshake},
	} {
		t.Run(tt.name, func(t *testing.T) {
			r := start(t, ca.files(t, t.TempDir()), named("web1"), nil)
			for range 3 {
				c, err := net.Dial("tcp", r.Addr().String())
				if err != nil {
					t.Fatal(err)
				}
				defer c.Close()
				_, _ = c.Write([]byte(tt.bytes))
				if !closedSoon(c, 20*time.Second) {
					t.Fatal("the connection stays open")
				}
			}
			r.wait("refusals", func() bool { return r.refusals(tt.reason) == 3 })
			if log := r.log.String(); strings.Count(log, "refused") != 1 || !strings.Contains(log, "peer=127.0.0.1:") {
				t.Fatalf("want one line with the peer:\n%s", log)
			}
		})
	}
}

func TestTLSRefusesOldVersionsAndResumption(t *testing.T) {
	ca := newAuthority(t, "ca", nil)
	r := start(t, ca.files(t, t.TempDir()), named("web1"), nil)
	cfg := ca.clientConfig(ca.client(t, "web1.lan"))
	cfg.MinVersion, cfg.MaxVersion = tls.VersionTLS10, tls.VersionTLS11
	if _, err := r.dialTLS(cfg); err == nil {
		t.Fatal("TLS 1.1 is taken")
	}
	cfg = ca.clientConfig(ca.client(t, "web1.lan"))
	cfg.MaxVersion = tls.VersionTLS12
	cfg.CipherSuites = []uint16{tls.TLS_ECDHE_ECDSA_WITH_AES_128_CBC_SHA}
	if _, err := r.dialTLS(cfg); err == nil {
		t.Fatal("a CBC suite is taken")
	}
	for _, version := range []uint16{tls.VersionTLS12, tls.VersionTLS13} {
		cfg = ca.clientConfig(ca.client(t, "web1.lan"))
		cfg.MaxVersion, cfg.ClientSessionCache = version, tls.NewLRUClientSessionCache(4)
		for range 2 {
			before := r.rec.count()
			c, err := r.dialTLS(cfg)
			if err != nil {
				t.Fatal(err)
			}
			r.send(c, "<38>a: x\n")
			r.lines(before + 1)
			if c.ConnectionState().DidResume {
				t.Fatalf("version %#x: a session was resumed", version)
			}
			_ = c.Close()
		}
	}
}

// TestTLSReload is bar A8: new keys reach new connections, live ones stay, removed ones go.
func TestTLSReload(t *testing.T) {
	conns, reloads := 20, 50
	if *long {
		conns, reloads = 1000, 1000
	}
	ca, dir := newAuthority(t, "ca", nil), t.TempDir()
	cfg := ca.files(t, dir)
	r := start(t, cfg, named("web1", "goes"), func(l *Listener) { l.limits.housekeeping = 20 * time.Millisecond })
	stays := make([]*tls.Conn, 0, conns)
	certs := ca.clientConfig(ca.client(t, "web1.lan"))
	for range conns {
		c, err := r.dialTLS(certs)
		if err != nil {
			t.Fatal(err)
		}
		stays = append(stays, c)
		r.send(c, "<38>a: x\n")
	}
	goes, err := r.dialTLS(ca.clientConfig(ca.client(t, "goes.lan")))
	if err != nil {
		t.Fatal(err)
	}
	r.send(goes, "<38>a: x\n")
	r.lines(conns + 1)

	next, err := NewSources([]SourceConfig{{Name: "web1", Listener: "l", Certificate: CertificateConfig{SAN: "web1.lan"}}}, r.registry.Load())
	if err != nil {
		t.Fatal(err)
	}
	began := time.Now()
	r.registry.Swap(next)
	if !closedSoon(goes.NetConn(), 20*time.Second) {
		t.Fatal("a removed source's connection stays open")
	}
	cutAfter := time.Since(began)
	for range reloads {
		r.registry.Swap(next)
		if err := r.Reload(); err != nil {
			t.Fatal(err)
		}
	}

	old := stays[0].ConnectionState().PeerCertificates[0]
	if err := os.WriteFile(cfg.Key, []byte("half written"), 0o600); err != nil {
		t.Fatal(err)
	}
	r.wait("a warning of the broken key", func() bool { return strings.Contains(r.log.String(), "cannot load") })
	if err := r.Reload(); err == nil {
		t.Fatal("a broken key is taken")
	}
	ca2 := newAuthority(t, "ca2", nil)
	ca2.files(t, dir)
	r.wait("the new certificate", func() bool { return !bytes.Equal(r.identity.keys.Load().cert.Leaf.Raw, old.Raw) })
	c, err := r.dialTLS(ca2.clientConfig(ca2.client(t, "web1.lan")))
	if err != nil {
		t.Fatalf("the new authority: %v", err)
	}
	r.send(c, "<38>a: new\n")
	for _, c := range stays {
		r.send(c, "<38>a: still\n")
	}
	r.lines(2*conns + 2)
	t.Logf("A8: the removed source was cut after %s, %d others stayed over %d reloads, 0 dropped", cutAfter.Round(time.Millisecond), conns, reloads)
}

func TestExpiryIsWarnedOf(t *testing.T) {
	ca := newAuthority(t, "ca", nil)
	r := start(t, ca.files(t, t.TempDir()), named("web1"), nil)
	r.identity.check(r.identity.expires().Add(-24*time.Hour), r.Listener.log)
	r.identity.check(r.identity.expires().Add(-23*time.Hour), r.Listener.log)
	if n := strings.Count(r.log.String(), "expires soon"); n != 1 {
		t.Fatalf("%d warnings in a day, want 1", n)
	}
}

func TestValidateFiles(t *testing.T) {
	ca := newAuthority(t, "ca", nil)
	good := ca.files(t, t.TempDir())
	noKey, noCA := good, good
	noKey.Key, noCA.ClientCA = good.ClientCA, good.Key
	gone := good
	gone.Key = filepath.Join(t.TempDir(), "key")
	missing := 0
	got := faults(func(r func(a, b string)) {
		ValidateFiles([]ListenerConfig{good, noKey, noCA, {}, gone}, func(path string, err error) {
			if errors.Is(err, fs.ErrNotExist) {
				missing++
			}
			r(path, err.Error())
		})
	})
	expect(t, got, "listeners[1]: "+good.ClientCA, "listeners[2]: holds no PEM certificate", "listeners[4].key: "+gone.Key)
	if missing != 1 {
		t.Errorf("%d files are said to be missing, want 1", missing)
	}
}
