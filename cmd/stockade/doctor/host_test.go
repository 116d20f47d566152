package doctor

import (
	"bufio"
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"fmt"
	"io"
	"math/big"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"stockade/cmd/stockade/control"
	"stockade/receiver/receivertest"
)

// binaryOf is the variable that names the program under test.
const binaryOf = "STOCKADE_TEST_DOCTOR_BINARY"

// hostConfig is what a host serves; tests add the firewall.
const hostConfig = `state_dir: %DIR%/state
control: {socket: %DIR%/control.sock}
listeners:
  - {name: feed, transport: tcp, address: "127.0.0.1:%FEED%", framing: lf}
  - {name: secure, transport: tls, address: "127.0.0.1:%SECURE%", cert: %DIR%/srv.pem, key: %DIR%/srv.key, client_ca: %DIR%/srv.pem}
sources:
  - {name: web, listener: feed, addresses: [127.0.0.1], jails: [trial], hostnames: [web]}
  - {name: liar, listener: feed, addresses: [127.0.0.2], jails: [trial], quota: {bans_per_minute: 1, burst: 1}}
  - {name: clock, listener: feed, addresses: [127.0.0.3], jails: [trial], expect_every: 2s}
  - {name: web1, listener: secure, certificate: {san: web1.lan}, jails: [trial]}
jails:
  - {name: trial, filter: {failregex: ['^bad from <HOST>$']}, apps: [trial], maxretry: 1, findtime: 1m, bantime: 1h}
`

// host is a daemon in a folder of its own.
type host struct {
	t       *testing.T
	dir     string
	feed    string // host:port of the listener
	binary  string
	systemd *notices
	asked   *control.Client
	scrape  *http.Client
}

// notices is what the daemon told systemd.
type notices struct {
	mu  sync.Mutex
	all []string
}

func (n *notices) last(prefix string) string {
	n.mu.Lock()
	defer n.mu.Unlock()
	for i := len(n.all) - 1; i >= 0; i-- {
		if strings.HasPrefix(n.all[i], prefix) {
			return n.all[i]
		}
	}
	return ""
}

// built is the program under test, made once, and its folder.
var built struct {
	sync.Once
	dir string
	err error
	out []byte
}

func TestMain(m *testing.M) {
	code := m.Run()
	if built.dir != "" {
		_ = os.RemoveAll(built.dir)
	}
	os.Exit(code)
}

// build makes the program under test.
func build(t *testing.T) string {
	t.Helper()
	built.Do(func() {
		if built.dir, built.err = os.MkdirTemp("", "doc"); built.err == nil {
			built.out, built.err = exec.CommandContext(context.Background(), "go", "build", "-o", built.dir, "stockade/cmd/stockade").CombinedOutput()
		}
	})
	if built.err != nil {
		t.Fatalf("build: %v\n%s", built.err, built.out)
	}
	return filepath.Join(built.dir, "stockade")
}

// startHost serves in the network and mount namespace of the test, with a small disk for its state.
func startHost(t *testing.T) *host {
	t.Helper()
	h := newHost(t, os.Getenv(binaryOf))
	h.sh("ip", "link", "set", "lo", "up")
	h.sh("mkdir", h.dir+"/state")
	h.sh("mount", "-t", "tmpfs", "-o", "size=1m,mode=0700", "stockade", h.dir+"/state")
	t.Cleanup(func() { _ = syscall.Unmount(h.dir+"/state", syscall.MNT_DETACH) })
	h.serve("5140", "6514", "firewall: {owner: off}\n")
	return h
}

// observer serves with the backend observe, as whoever runs the test.
func observer(t *testing.T) *host {
	t.Helper()
	h := newHost(t, build(t))
	h.serve(strconv.Itoa(receivertest.FreePort(t)), strconv.Itoa(receivertest.FreePort(t)), "firewall: {backend: observe}\nnotify: [{name: list, type: file, format: list, path: \"%DIR%/banned\"}]\n")
	return h
}

func newHost(t *testing.T, binary string) *host {
	t.Helper()
	dir, err := os.MkdirTemp("", "doc") // short: a socket's path has at most 107 bytes
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	return &host{t: t, dir: dir, binary: binary, systemd: &notices{}}
}

// serve runs the daemon until the test ends; it returns when the daemon is ready.
func (h *host) serve(feed, secure, firewall string) {
	t := h.t
	t.Helper()
	h.feed = "127.0.0.1:" + feed
	h.certificate(time.Now().Add(-time.Hour), 365*24*time.Hour)
	config := strings.NewReplacer("%DIR%", h.dir, "%FEED%", feed, "%SECURE%", secure).Replace(hostConfig + firewall)
	if err := os.WriteFile(h.dir+"/stockade.yaml", []byte(config), 0o600); err != nil {
		t.Fatal(err)
	}
	h.systemd.listen(t, h.dir+"/notify")
	log, err := os.Create(h.dir + "/log")
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(h.binary, "serve", "--config", h.dir+"/stockade.yaml")
	cmd.Env = append(os.Environ(), "NOTIFY_SOCKET="+h.dir+"/notify")
	cmd.Stderr = log
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	said := func() string {
		text, _ := os.ReadFile(h.dir + "/log")
		return string(bytes.TrimSpace(text[max(0, len(text)-6000):]))
	}
	t.Cleanup(func() {
		_ = cmd.Process.Signal(syscall.SIGTERM)
		if err := cmd.Wait(); err != nil {
			t.Errorf("serve: %v", err)
		}
		log.Close()
		if t.Failed() {
			t.Logf("the daemon's log ends with\n%s", said())
		}
	})
	for begin := time.Now(); h.systemd.last("READY=1") == ""; time.Sleep(10 * time.Millisecond) {
		if time.Since(begin) > time.Minute {
			t.Fatalf("not ready after a minute\n%s", said())
		}
	}
}

// listen takes what is sent to a socket until the test ends.
func (n *notices) listen(t *testing.T, path string) {
	t.Helper()
	conn, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: path, Net: "unixgram"})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	go func() {
		buf := make([]byte, 4096)
		for {
			size, err := conn.Read(buf)
			if err != nil {
				return
			}
			n.mu.Lock()
			n.all = append(n.all, string(buf[:size]))
			n.mu.Unlock()
		}
	}()
}

func (h *host) sh(args ...string) {
	h.t.Helper()
	if out, err := exec.CommandContext(h.t.Context(), args[0], args[1:]...).CombinedOutput(); err != nil {
		h.t.Fatalf("%s: %v\n%s", strings.Join(args, " "), err, out)
	}
}

// run runs a verb and returns its output and exit code.
func (h *host) run(args ...string) (string, int) {
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
	defer cancel()
	cmd := exec.CommandContext(ctx, h.binary, append(args, "--config", h.dir+"/stockade.yaml")...)
	out, _ := cmd.Output()
	return string(out), cmd.ProcessState.ExitCode()
}

func (h *host) must(args ...string) {
	h.t.Helper()
	if out, code := h.run(args...); code != 0 {
		h.t.Fatalf("stockade %s: exit code %d\n%s", strings.Join(args, " "), code, out)
	}
}

// client asks the daemon; it is dialled once.
func (h *host) client() *control.Client {
	h.t.Helper()
	if h.asked == nil {
		c, err := control.Dial(h.t.Context(), h.dir+"/control.sock")
		if err != nil {
			h.t.Fatal(err)
		}
		h.t.Cleanup(c.Close)
		h.asked = c
	}
	return h.asked
}

func (h *host) metrics() string {
	if h.scrape == nil {
		h.scrape = &http.Client{Timeout: 10 * time.Second, Transport: &http.Transport{
			DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
				return new(net.Dialer).DialContext(ctx, "unix", h.dir+"/control.sock")
			}}}
		h.t.Cleanup(h.scrape.CloseIdleConnections)
	}
	res, err := h.scrape.Get("http://stockade/metrics")
	if err != nil {
		h.t.Fatal(err)
	}
	defer res.Body.Close()
	text, err := io.ReadAll(res.Body)
	if err != nil || res.StatusCode != http.StatusOK {
		h.t.Fatalf("metrics: %s, %v: %s", res.Status, err, text)
	}
	return string(text)
}

// sender is a connection of a source.
type sender struct {
	h *host
	w *bufio.Writer
	c net.Conn
}

func (h *host) source(from string) *sender {
	h.t.Helper()
	d := net.Dialer{LocalAddr: &net.TCPAddr{IP: net.ParseIP(from)}}
	c, err := d.DialContext(h.t.Context(), "tcp", h.feed)
	if err != nil {
		h.t.Fatal(err)
	}
	h.t.Cleanup(func() { c.Close() })
	return &sender{h, bufio.NewWriter(c), c}
}

func (s *sender) line(text string) {
	fmt.Fprintf(s.w, "<38>%s web trial[7]: %s\n", time.Now().Format(time.Stamp), text)
	_ = s.w.Flush()
}

// certificate writes the server's certificate: it begins then and still is good for left.
func (h *host) certificate(begin time.Time, left time.Duration) {
	h.t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		h.t.Fatal(err)
	}
	c := &x509.Certificate{SerialNumber: big.NewInt(time.Now().UnixNano()), Subject: pkix.Name{CommonName: "gateway"},
		NotBefore: begin, NotAfter: time.Now().Add(left), IsCA: true, BasicConstraintsValid: true, DNSNames: []string{"gateway.lan"}}
	der, err := x509.CreateCertificate(rand.Reader, c, c, &key.PublicKey, key)
	if err != nil {
		h.t.Fatal(err)
	}
	keyDER, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		h.t.Fatal(err)
	}
	for name, block := range map[string]*pem.Block{"srv.pem": {Type: "CERTIFICATE", Bytes: der}, "srv.key": {Type: "PRIVATE KEY", Bytes: keyDER}} {
		if err := os.WriteFile(filepath.Join(h.dir, name), pem.EncodeToMemory(block), 0o600); err != nil {
			h.t.Fatal(err)
		}
	}
}
