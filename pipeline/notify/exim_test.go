package notify

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
)

// authority is a CA of the tests, which this process trusts beside no other: see TestMain.
type authority struct {
	cert *x509.Certificate
	key  *ecdsa.PrivateKey
}

func newAuthority() (*authority, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, err
	}
	der, err := x509.CreateCertificate(rand.Reader, certificate("tests", true), certificate("tests", true), key.Public(), key)
	if err != nil {
		return nil, err
	}
	cert, err := x509.ParseCertificate(der)
	return &authority{cert, key}, err
}

func certificate(name string, ca bool) *x509.Certificate {
	return &x509.Certificate{
		SerialNumber: big.NewInt(time.Now().UnixNano()), Subject: pkix.Name{CommonName: name}, IsCA: ca, BasicConstraintsValid: true,
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
		KeyUsage:    x509.KeyUsageDigitalSignature | x509.KeyUsageCertSign,
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth}, IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)},
	}
}

// pem returns the certificate alone, as a file of roots.
func (a *authority) pem() []byte {
	return pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: a.cert.Raw})
}

// server writes a certificate for 127.0.0.1 and its key.
func (a *authority) server(t *testing.T, cert, key string) {
	t.Helper()
	k, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	der, err := x509.CreateCertificate(rand.Reader, certificate("127.0.0.1", false), a.cert, k.Public(), a.key)
	if err != nil {
		t.Fatal(err)
	}
	secret, err := x509.MarshalPKCS8PrivateKey(k)
	if err != nil {
		t.Fatal(err)
	}
	for path, block := range map[string]*pem.Block{cert: {Type: "CERTIFICATE", Bytes: der}, key: {Type: "PRIVATE KEY", Bytes: secret}} {
		if err := os.WriteFile(path, pem.EncodeToMemory(block), 0o644); err != nil { //nolint:gosec // exim reads it as nobody
			t.Fatal(err)
		}
	}
}

// exim is a running Exim of Debian that queues what it takes.
type exim struct {
	dir         string
	plain, tls  string // addresses: STARTTLS, and TLS from the first byte
	credentials string // a file with the right ones
}

const eximConfig = `
exim_user = 65534
exim_group = 65534
spool_directory = DIR/spool
log_file_path = DIR/spool/log/%slog
primary_hostname = mail.example.net
domainlist local = example.net
acl_smtp_mail = mail
acl_smtp_rcpt = rcpt
queue_only = true
rfc1413_query_timeout = 0s
host_lookup =
keep_environment =
tls_advertise_hosts = *
tls_certificate = DIR/cert.pem
tls_privatekey = DIR/key.pem
tls_on_connect_ports = TLSPORT
auth_advertise_hosts = ${if def:tls_in_cipher {*}{}}
begin acl
mail:
 accept authenticated = *
 deny message = log in first
rcpt:
 accept domains = +local
 deny message = relay not permitted
begin authenticators
plain:
 driver = plaintext
 public_name = PLAIN
 server_prompts = :
 server_condition = ${if and{{eq{$auth2}{stockade}}{eq{$auth3}{s3cret word}}}}
 server_set_id = $auth2
`

func startExim(t *testing.T, ca *authority) exim {
	t.Helper()
	require := func(ok bool, reason string) {
		if !ok && os.Getenv("STOCKADE_REQUIRE") == "all" {
			t.Fatal(reason)
		}
		if !ok {
			t.Skip(reason)
		}
	}
	require(os.Geteuid() == 0, "needs root: Exim changes its user")
	program := os.Getenv("STOCKADE_TEST_ROOT") + "/usr/sbin/exim4"
	_, err := os.Stat(program)
	require(err == nil, "Exim is missing: "+program)

	dir, err := os.MkdirTemp("", "stk-exim")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	x := exim{dir: dir, plain: free(t), tls: free(t), credentials: filepath.Join(dir, "credentials")}
	for _, sub := range []string{"", "spool", "spool/db", "spool/input", "spool/msglog", "spool/log"} {
		path := filepath.Join(dir, sub)
		if err := os.MkdirAll(path, 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.Chmod(path, 0o755); err != nil { //nolint:gosec // exim works as nobody
			t.Fatal(err)
		}
		if err := os.Chown(path, 65534, 65534); sub != "" && err != nil {
			t.Fatal(err)
		}
	}
	if err := os.Chown(dir, 0, 0); err != nil {
		t.Fatal(err)
	}
	ca.server(t, filepath.Join(dir, "cert.pem"), filepath.Join(dir, "key.pem"))
	_, port, err := net.SplitHostPort(x.tls)
	if err != nil {
		t.Fatal(err)
	}
	_, first, err := net.SplitHostPort(x.plain)
	if err != nil {
		t.Fatal(err)
	}
	conf := filepath.Join(dir, "exim.conf")
	text := strings.NewReplacer("DIR", dir, "TLSPORT", port).Replace(eximConfig)
	for path, text := range map[string]string{conf: text, x.credentials: "stockade\ns3cret word\n"} {
		if err := os.WriteFile(path, []byte(text), 0o644); err != nil { //nolint:gosec // exim reads it after it dropped root
			t.Fatal(err)
		}
	}
	// A user's name is built into the program; it is made known to it alone.
	for name, line := range map[string]string{"passwd": "Debian-exim:x:4243:4243::/:/bin/false\n", "group": "Debian-exim:x:4243:\n"} {
		text, err := os.ReadFile("/etc/" + name)
		if err == nil {
			err = os.WriteFile(filepath.Join(dir, name), append(text, line...), 0o644) //nolint:gosec // as the real one
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	cmd := exec.Command("unshare", "--mount", "--propagation", "private", "sh", "-c",
		`mount --bind "$0/passwd" /etc/passwd && mount --bind "$0/group" /etc/group && exec "$@"`, dir,
		program, "-bdf", "-C", conf, "-oX", fmt.Sprintf("127.0.0.1.%s : 127.0.0.1.%s", first, port))
	out, err := os.Create(filepath.Join(dir, "out"))
	if err != nil {
		t.Fatal(err)
	}
	defer out.Close()
	cmd.Stdout, cmd.Stderr = out, out
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = cmd.Process.Kill(); _ = cmd.Wait() })
	t.Cleanup(func() {
		if text, err := os.ReadFile(filepath.Join(dir, "out")); t.Failed() && err == nil {
			t.Logf("exim says: %s", text)
		}
	})
	eventually(t, "exim listens", func() bool {
		c, err := net.Dial("tcp", x.plain)
		if err == nil {
			c.Close()
		}
		return err == nil
	})
	return x
}

// free is an address of the loopback that nothing listens on.
func free(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return l.Addr().String()
}

// queued are the headers, as Exim keeps them, and the bodies of what it took.
func (x exim) queued(t *testing.T) (headers, bodies []string) {
	t.Helper()
	for _, s := range []struct {
		suffix string
		to     *[]string
	}{{"-H", &headers}, {"-D", &bodies}} {
		files, err := filepath.Glob(filepath.Join(x.dir, "spool/input/*"+s.suffix))
		if err != nil {
			t.Fatal(err)
		}
		for _, f := range files {
			text, err := os.ReadFile(f)
			if err != nil {
				t.Fatal(err)
			}
			*s.to = append(*s.to, string(text))
		}
	}
	return headers, bodies
}

// TestMailToExim logs in to a real server over TLS, both ways, and sends every hostile value. Without
// the right password, the right certificate or any TLS nothing is sent.
func TestMailToExim(t *testing.T) {
	x := startExim(t, trusted)
	base := Config{Name: "mail", Type: TypeMail, From: "stockade@example.net", To: []string{"admin@example.net"}, CredentialsFile: x.credentials}
	for mode, server := range map[string]string{"starttls": x.plain, "tls": x.tls} {
		cfg := base
		cfg.TLS, cfg.Server = mode, server
		for i := range hostile {
			if err := (mailer{&cfg}).send(t.Context(), single(i)); err != nil {
				t.Fatalf("%s: %v", mode, err)
			}
		}
	}
	headers, bodies := x.queued(t)
	if len(headers) != 2*len(hostile) || len(bodies) != len(headers) {
		t.Fatalf("%d headers, %d bodies; want %d", len(headers), len(bodies), 2*len(hostile))
	}
	for i, h := range headers {
		if !strings.Contains(h, "-auth_id stockade") || !strings.Contains(h, "-tls_cipher TLS1.") {
			t.Errorf("no login or no TLS: %s", h)
		}
		if strings.Contains(h, "Bcc:") || strings.Contains(h, "victim") || strings.Count(h, "\nadmin@example.net") != 1 {
			t.Errorf("a value got into the headers: %s", h)
		}
		if !strings.Contains(bodies[i], "The lines that led to it:") {
			t.Errorf("body %q", bodies[i])
		}
	}

	bad := filepath.Join(t.TempDir(), "bad")
	if err := os.WriteFile(bad, []byte("stockade\nwrong\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	stranger, err := newAuthority()
	if err != nil {
		t.Fatal(err)
	}
	y := startExim(t, stranger)
	bare := newSMTPD(t) // has no STARTTLS
	for name, change := range map[string]func(*Config){
		"wrong password":            func(c *Config) { c.CredentialsFile = bad },
		"no login":                  func(c *Config) { c.CredentialsFile = "" },
		"certificate of a stranger": func(c *Config) { c.Server = y.plain },
		"no TLS":                    func(c *Config) { c.Server = bare.Addr().String() },
	} {
		cfg := base
		cfg.TLS, cfg.Server = "starttls", x.plain
		change(&cfg)
		if err := (mailer{&cfg}).send(t.Context(), single(0)); err == nil {
			t.Errorf("%s: it was sent", name)
		} else if strings.Contains(err.Error(), "s3cret") {
			t.Errorf("%s: the error tells the password: %v", name, err)
		}
	}
	if again, _ := x.queued(t); len(again) != len(headers) {
		t.Errorf("%d mails more", len(again)-len(headers))
	}
	bare.mu.Lock()
	defer bare.mu.Unlock()
	if len(bare.mails) > 0 {
		t.Error("a mail went out without TLS")
	}
}
