package senders

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"fmt"
	"math/big"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"stockade/cmd/stockade/e2e/rig"
	"stockade/receiver/receivertest"
)

// certificates makes a CA and what it signs, as files of a folder: NAME.pem and NAME.key.
type certificates struct {
	t    testing.TB
	dir  string
	ca   *x509.Certificate
	sign *ecdsa.PrivateKey
}

func newCertificates(t testing.TB, dir string) *certificates {
	t.Helper()
	c := &certificates{t: t, dir: dir}
	c.ca, c.sign = c.issue("ca")
	return c
}

func (c *certificates) path(name string) string { return filepath.Join(c.dir, name) }

// issue signs a certificate, with the CA's key when there is one.
func (c *certificates) issue(name string) (*x509.Certificate, *ecdsa.PrivateKey) {
	c.t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		c.t.Fatal(err)
	}
	x := &x509.Certificate{
		SerialNumber: big.NewInt(time.Now().UnixNano()), Subject: pkix.Name{CommonName: name},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(100 * 24 * time.Hour),
		KeyUsage: x509.KeyUsageDigitalSignature, DNSNames: []string{name}, IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)},
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth, x509.ExtKeyUsageServerAuth},
	}
	parent, sign := c.ca, c.sign
	if parent == nil {
		x.IsCA, x.BasicConstraintsValid, x.KeyUsage, x.ExtKeyUsage = true, true, x509.KeyUsageCertSign, nil
		parent, sign = x, key
	}
	der, err := x509.CreateCertificate(rand.Reader, x, parent, &key.PublicKey, sign)
	if err != nil {
		c.t.Fatal(err)
	}
	private, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		c.t.Fatal(err)
	}
	for file, block := range map[string]*pem.Block{
		name + ".pem": {Type: "CERTIFICATE", Bytes: der},
		name + ".key": {Type: "PRIVATE KEY", Bytes: private},
	} {
		if err := os.WriteFile(c.path(file), pem.EncodeToMemory(block), 0o600); err != nil {
			c.t.Fatal(err)
		}
	}
	cert, err := x509.ParseCertificate(der)
	if err != nil {
		c.t.Fatal(err)
	}
	return cert, key
}

// TestMistakesAreNamed makes with real programs the mistakes of a first setup. Each gives one line in
// the log, which names the peer and the mistake. The same mistake of one peer is named once a minute, so some
// come from another address.
func TestMistakesAreNamed(t *testing.T) {
	rig.RequirePrograms(t, "openssl", "curl", "logger")
	plain, secure := receivertest.FreePort(t), receivertest.FreePort(t)
	d := observe(t, fmt.Sprintf(`
listeners:
  - {name: plain, transport: tcp, address: "127.0.0.1:%d"}
  - {name: secure, transport: tls, address: "127.0.0.1:%d", cert: %%DIR%%/server.pem, key: %%DIR%%/server.key, client_ca: %%DIR%%/ca.pem}
sources:
  - {name: lan, listener: plain, addresses: [127.0.0.0/8], jails: ["*"]}
  - {name: web1, listener: secure, certificate: {san: web1.lan}, jails: ["*"]}
`, plain, secure))
	certs := newCertificates(t, d.Dir)
	for _, name := range []string{"server", "web1.lan", "web2.lan"} {
		certs.issue(name)
	}
	other := newCertificates(t, t.TempDir())
	other.issue("web1.lan")
	d.Start()
	client := func(c *certificates, name string) string {
		return fmt.Sprintf(" -cert %s -key %s -CAfile %s", c.path(name+".pem"), c.path(name+".key"), certs.path("ca.pem"))
	}
	openssl := func(port int) string {
		return fmt.Sprintf("echo '<38>sshd: hello' | openssl s_client -quiet -verify_quiet -connect 127.0.0.1:%d", port)
	}
	for _, tt := range []struct {
		name, command, listener, reason string
		says                            []string
	}{
		{"TLS on a plain port", openssl(plain), "plain", "tls_on_plain", []string{"must use plain TCP", "transport: tls"}},
		{"plain text on a TLS port", fmt.Sprintf("logger --tcp --server 127.0.0.1 --port %d hello", secure), "secure", "plaintext", []string{"plain text came to a TLS port", "must use TLS"}},
		{"HTTP on a plain port", fmt.Sprintf("curl -s -m 5 http://127.0.0.1:%d/upload", plain), "plain", "http", []string{"HTTP", "takes syslog"}},
		{"HTTP on a TLS port", fmt.Sprintf("curl -s -m 5 http://127.0.0.1:%d/upload", secure), "secure", "http", []string{"HTTP", "takes syslog"}},
		{"HTTPS on a plain port", fmt.Sprintf("curl -s -k -m 5 --interface 127.0.0.2 https://127.0.0.1:%d/upload", plain), "plain", "tls_on_plain", []string{"must use plain TCP"}},
		{"HTTPS on a TLS port, with a good certificate", fmt.Sprintf("curl -s -m 5 --interface 127.0.0.3 --cacert %s --cert %s --key %s https://127.0.0.1:%d/",
			certs.path("ca.pem"), certs.path("web1.lan.pem"), certs.path("web1.lan.key"), secure), "secure", "http", []string{"HTTP", "takes syslog"}},
		{"no client certificate", openssl(secure), "secure", "no_certificate", []string{"no certificate"}},
		{"a certificate of another CA", openssl(secure) + client(other, "web1.lan"), "secure", "untrusted", []string{"unknown authority"}},
		{"a certificate that no source claims", openssl(secure) + client(certs, "web2.lan"), "secure", "unknown_certificate", []string{"to allow it: sources:", `san: \"web2.lan\"`}},
		{"a sender that does not trust the listener", openssl(secure) + client(certs, "web1.lan") + " -verify_return_error -CAfile " + other.path("ca.pem"), "secure", "distrusted", []string{"ended the handshake: unknown certificate authority", "must trust the CA"}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			from := len(d.Log.String())
			cmd := exec.Command("timeout", "10", "sh", "-c", tt.command)
			in, w, err := os.Pipe()
			if err != nil {
				t.Fatal(err)
			}
			defer w.Close()
			cmd.Stdin = in
			_, _ = cmd.CombinedOutput() // it fails, of course
			_ = in.Close()
			var lines []string
			if !rig.Soon(10*time.Second, func() bool {
				lines = lines[:0]
				for line := range strings.Lines(d.Log.String()[from:]) {
					if strings.Contains(line, `"msg":"refused"`) {
						lines = append(lines, line)
					}
				}
				return len(lines) > 0
			}) {
				t.Fatal("no line")
			}
			t.Logf("%s", lines[0])
			for _, want := range append(tt.says, fmt.Sprintf(`"listener":%q`, tt.listener), fmt.Sprintf(`"reason":%q`, tt.reason), `"peer":"127.0.0.`) {
				if len(lines) != 1 || !strings.Contains(lines[0], want) {
					t.Errorf("want one line with %s, have:\n%s", want, strings.Join(lines, ""))
				}
			}
		})
	}
}
