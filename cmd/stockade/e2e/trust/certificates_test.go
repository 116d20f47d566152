package trust

import (
	"bytes"
	"crypto"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"encoding/asn1"
	"errors"
	"fmt"
	"io"
	"math/big"
	"net"
	"net/url"
	"os"
	"strings"
	"testing"
	"time"

	"stockade/cmd/stockade/e2e/rig"
	"stockade/receiver/receivertest"
)

// secure is a tls listener with sources known by the name NAME.lan.
func secure(port int, names ...string) string {
	var b strings.Builder
	fmt.Fprintf(&b, `%slisteners: [{name: secure, transport: tls, address: "127.0.0.1:%d", cert: %%DIR%%/cert, key: %%DIR%%/key, client_ca: %%DIR%%/ca, max_connections: 4000}]
jails: [{name: sshd, filter: sshd, maxretry: 3}]
sources:
`, observe, port)
	for _, n := range names {
		fmt.Fprintf(&b, "  - {name: %s, listener: secure, certificate: {san: %s.lan}, jails: [sshd]}\n", n, n)
	}
	return b.String()
}

// refusals are the counts of the listener, by reason.
func refusals(d *rig.Daemon) map[string]int64 {
	var list []struct {
		Refused map[string]int64 `json:"listener_refused"`
	}
	d.Decode(&list, "sources")
	return list[0].Refused
}

// dummy is a key that cannot sign: the server must not come so far as to look.
type dummy struct{ public crypto.PublicKey }

func (k dummy) Public() crypto.PublicKey { return k.public }

func (k dummy) Sign(io.Reader, []byte, crypto.SignerOpts) ([]byte, error) {
	return bytes.Repeat([]byte{7}, 1025), nil
}

// TestCertificates is bar A7 through the daemon: a verdict for each of 26 client certificates, and a
// good client that goes on meanwhile.
func TestCertificates(t *testing.T) {
	port := receivertest.FreePort(t)
	ca, other := newAuthority(t, "ca", nil), newAuthority(t, "other", nil)
	sub := newAuthority(t, "sub", ca)
	hundred := []*authority{sub}
	for i := range 100 {
		hundred = append([]*authority{newAuthority(t, fmt.Sprintf("sub%d", i), hundred[0])}, hundred...)
	}
	self := func(change ...func(*x509.Certificate)) *tls.Certificate {
		c := client("self.lan", change...)
		k := key(t)
		a := &authority{t: t, cert: c, key: k}
		return &tls.Certificate{Certificate: [][]byte{a.sign(c, k.Public())}, PrivateKey: k}
	}
	pinned, pinnedKey, stranger := self(), self(), self()
	expiredPin := self(func(c *x509.Certificate) { c.NotAfter = time.Now().Add(-time.Minute) })
	parsed, err := x509.ParseCertificate(pinnedKey.Certificate[0])
	if err != nil {
		t.Fatal(err)
	}
	foreign := ca.issue(client("web1.lan"))
	foreign.PrivateKey = key(t)
	modulus := new(big.Int).SetBit(big.NewInt(1), 8192, 1)
	huge := ca.withKey(client("web1.lan"), subjectKey(t, asn1.ObjectIdentifier{1, 2, 840, 113549, 1, 1, 1}, asn1.NullRawValue,
		struct {
			N *big.Int
			E int
		}{modulus, 65537}))
	huge.PrivateKey = dummy{&rsa.PublicKey{N: modulus, E: 65537}}
	dsa := ca.withKey(client("web1.lan"), subjectKey(t, asn1.ObjectIdentifier{1, 2, 840, 10040, 4, 1},
		struct{ P, Q, G *big.Int }{modulus, big.NewInt(7), big.NewInt(2)}, big.NewInt(3)))
	with := func(change func(*x509.Certificate)) *tls.Certificate { return ca.issue(client("web1.lan", change)) }

	config := secure(port, "good", "web1", "web2", "clash")
	for name, identity := range map[string]string{
		"pin":    fmt.Sprintf("certificate: {sha256: %x}", sha256.Sum256(pinned.Certificate[0])),
		"pinkey": fmt.Sprintf("certificate: {sha256: %x}", sha256.Sum256(parsed.RawSubjectPublicKeyInfo)),
		"pinold": fmt.Sprintf("certificate: {sha256: %x}", sha256.Sum256(expiredPin.Certificate[0])),
		"uri":    `certificate: {san: "spiffe://lan/web"}`,
		"ip":     "certificate: {san: 192.0.2.7}",
		"far":    "certificate: {san: far.lan}, addresses: [192.0.2.0/24]",
	} {
		config += fmt.Sprintf("  - {name: %s, listener: secure, %s, jails: [sshd]}\n", name, identity)
	}
	d := rig.NewDaemon(t, "", config)
	ca.write(d.Dir)
	d.Start()
	address := fmt.Sprintf("127.0.0.1:%d", port)
	good, err := ca.dial(address, ca.issue(client("good.lan")))
	if err != nil {
		t.Fatal(err)
	}
	defer good.Close()

	cases := []struct {
		name   string
		cert   *tls.Certificate
		source string // "" means refused
	}{
		{"a good name", ca.issue(client("web1.lan")), "web1"},
		{"a name in capitals", ca.issue(client("WEB2.LAN")), "web2"},
		{"another source's certificate", ca.issue(client("web2.lan")), "web2"},
		{"an intermediate CA", sub.issue(client("web1.lan"), sub), "web1"},
		{"a URI name", with(func(c *x509.Certificate) {
			c.DNSNames, c.URIs = nil, []*url.URL{{Scheme: "spiffe", Host: "lan", Path: "/web"}}
		}), "uri"},
		{"an address name", with(func(c *x509.Certificate) { c.DNSNames, c.IPAddresses = nil, []net.IP{net.IPv4(192, 0, 2, 7)} }), "ip"},
		{"a pinned certificate without a CA", pinned, "pin"},
		{"a pinned key without a CA", pinnedKey, "pinkey"},
		{"1,000 names of which one is right", with(func(c *x509.Certificate) {
			for i := range 999 {
				c.DNSNames = append(c.DNSNames, fmt.Sprintf("h%d.lan", i))
			}
		}), "web1"},

		{"no certificate", nil, ""},
		{"another CA", other.issue(client("web1.lan")), ""},
		{"a self-signed certificate that is not pinned", stranger, ""},
		{"an expired certificate", with(func(c *x509.Certificate) { c.NotAfter = time.Now().Add(-time.Minute) }), ""},
		{"an expired pinned certificate", expiredPin, ""},
		{"a certificate of the future", with(func(c *x509.Certificate) { c.NotBefore = time.Now().Add(time.Hour) }), ""},
		{"a certificate for servers", with(func(c *x509.Certificate) { c.ExtKeyUsage = []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth} }), ""},
		{"an intermediate CA that is not sent", sub.issue(client("web1.lan")), ""},
		{"a chain of 101 CAs", hundred[0].issue(client("web1.lan"), hundred...), ""},
		{"a common name only", with(func(c *x509.Certificate) { c.DNSNames = nil }), ""},
		{"an empty name", with(func(c *x509.Certificate) { c.DNSNames = []string{""} }), ""},
		{"a wildcard", ca.issue(client("*.lan")), ""},
		{"a name of nobody, or of a source that was removed", ca.issue(client("web9.lan")), ""},
		{"names of two sources", with(func(c *x509.Certificate) { c.DNSNames = []string{"web1.lan", "clash.lan"} }), ""},
		{"a name from another network", ca.issue(client("far.lan")), ""},
		{"a certificate without its key", foreign, ""},
		{"an RSA key of 8,193 bits", huge, ""},
		{"a DSA key", dsa, ""},
	}
	verdicts, before := 0, cpu(t, d)
	for _, tt := range cases {
		c, err := ca.dial(address, tt.cert)
		if tt.source != "" {
			if err != nil {
				t.Errorf("%s: %v", tt.name, err)
				continue
			}
			had := d.Source(tt.source).Lines
			sendLines(t, c, failure("198.51.100.7", 1))
			if !rig.Soon(10*time.Second, func() bool { return d.Source(tt.source).Lines == had+1 }) {
				t.Errorf("%s: no line of source %s", tt.name, tt.source)
			}
			verdicts++
			c.Close()
			continue
		}
		if err == nil { // with TLS 1.3 the client hears of it when it reads
			_, _ = c.Write([]byte(failure("198.51.100.66", 1) + "\n"))
			_ = c.SetReadDeadline(time.Now().Add(20 * time.Second))
			if _, err = c.Read(make([]byte, 1)); err == nil {
				t.Errorf("%s: the server wrote something", tt.name)
			}
			if errors.Is(err, os.ErrDeadlineExceeded) {
				t.Errorf("%s: the connection stays open", tt.name)
			}
			c.Close()
		}
		verdicts++
	}
	spent := cpu(t, d) - before
	sendLines(t, good, failure("198.51.100.8", 1))
	rig.Eventually(t, 10*time.Second, "the good client's line", func() bool { return d.Source("good").Lines == 1 })
	want, sum := int64(len(cases)-9), func(counts map[string]int64) (n int64) {
		for _, c := range counts {
			n += c
		}
		return n
	}
	rig.Soon(10*time.Second, func() bool { return sum(refusals(d)) >= want })
	refused := refusals(d)
	if sum(refused) != want {
		t.Errorf("%d refused, want %d: %v", sum(refused), want, refused)
	}
	rig.Soon(10*time.Second, func() bool { return d.Jail("sshd").FailedTotal >= 10 })
	if n := d.Jail("sshd").FailedTotal; n != 10 {
		t.Errorf("%d failures counted, want 9 of the accepted and 1 of the good client", n)
	}
	each := spent / time.Duration(len(cases))
	if each > 250*time.Millisecond {
		t.Errorf("%s of CPU for each handshake, want 50 ms", each)
	}
	t.Logf("A7: %d of %d verdicts, %s of CPU each with the questions for the verdict, refused %v", verdicts, len(cases), each.Round(time.Millisecond), refused)
}

// TestRevokedUnderLoad is bar A8 through the daemon: a source leaves the configuration while many
// connections are open. Its own are cut, all others go on, and nothing is resumed.
func TestRevokedUnderLoad(t *testing.T) {
	others, gone, reloads := rig.Size(100, 200, 950), rig.Size(10, 20, 50), rig.Size(3, 10, 1000)
	port := receivertest.FreePort(t)
	ca := newAuthority(t, "ca", nil)
	d := rig.NewDaemon(t, "", secure(port, "stays", "goes"))
	ca.write(d.Dir)
	d.Start()
	address := fmt.Sprintf("127.0.0.1:%d", port)
	open := func(n int, name string) (list []*tls.Conn) {
		cert := ca.issue(client(name))
		for range n {
			c, err := ca.dial(address, cert)
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(func() { c.Close() })
			sendLines(t, c, failure("198.51.100.7", len(list)))
			list = append(list, c)
		}
		return list
	}
	stay, go1 := open(others, "stays.lan"), open(gone, "goes.lan")
	judged(t, d, int64(others+gone))
	d.Rewrite(secure(port, "stays"))
	began := time.Now()
	d.Must("reload")
	for _, c := range go1 {
		_ = c.SetReadDeadline(began.Add(5 * 5 * time.Second)) // the bar is 5 s on a quiet machine
		if _, err := c.Read(make([]byte, 1)); err == nil || errors.Is(err, os.ErrDeadlineExceeded) {
			t.Fatalf("a connection of the removed source stays open: %v", err)
		}
	}
	cut := time.Since(began)
	if c, err := ca.dial(address, ca.issue(client("goes.lan"))); err == nil {
		_, _ = c.Write([]byte(failure("198.51.100.66", 1) + "\n"))
		if _, err := c.Read(make([]byte, 1)); err == nil {
			t.Error("the removed source is let in again")
		}
	}
	fds := descriptors(t, d)
	for range reloads {
		d.Must("reload")
	}
	for i, c := range stay {
		if c.ConnectionState().DidResume {
			t.Fatal("a session was resumed")
		}
		sendLines(t, c, failure("198.51.100.8", i))
	}
	rig.Eventually(t, 20*time.Second, "the others' second lines", func() bool { return d.Source("stays").Lines == int64(2*others) })
	if now := descriptors(t, d); now > fds+10 {
		t.Errorf("%d descriptors after %d reloads, %d before", now, reloads, fds)
	}
	t.Logf("A8: %d connections of the removed source cut within %s, %d others undisturbed over %d reloads", gone, cut.Round(time.Millisecond), others, reloads)
}
