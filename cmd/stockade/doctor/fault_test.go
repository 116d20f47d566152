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
	"encoding/json"
	"encoding/pem"
	"flag"
	"fmt"
	"io"
	"math/big"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

const (
	// turnLimit is how soon a fault must show, clearLimit how soon it must be forgotten; drift is
	// forgotten by the next audit that finds nothing.
	turnLimit  = 5 * time.Second
	clearLimit = 10 * time.Second
	auditLimit = 40 * time.Second
)

const faultConfig = `state_dir: %DIR%/state
control: {socket: %DIR%/control.sock}
listeners:
  - {name: feed, transport: tcp, address: "127.0.0.1:5140", framing: lf}
  - {name: secure, transport: tls, address: "127.0.0.1:6514", cert: %DIR%/srv.pem, key: %DIR%/srv.key, client_ca: %DIR%/srv.pem}
sources:
  - {name: web, listener: feed, addresses: [127.0.0.1], jails: [trial]}
  - {name: liar, listener: feed, addresses: [127.0.0.2], jails: [trial], quota: {bans_per_minute: 1, burst: 1}}
  - {name: clock, listener: feed, addresses: [127.0.0.3], jails: [trial], expect_every: 2s}
  - {name: web1, listener: secure, certificate: {san: web1.lan}, jails: [trial]}
jails:
  - {name: trial, filter: {failregex: ['^bad from <HOST>$']}, apps: [trial], maxretry: 1, findtime: 1m, bantime: 1h}
firewall: {owner: off}
`

// host is a daemon in a network and mount namespace of its own.
type host struct {
	t       *testing.T
	dir     string
	binary  string
	systemd *notices
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

// TestFaultsShow injects faults into a running daemon, one after the other: status, its exit code,
// the metric and systemd's status line say so within 5 s with the cause, and forget it again.
func TestFaultsShow(t *testing.T) {
	if os.Getenv(inNamespace) == "" {
		binary := filepath.Join(t.TempDir(), "stockade")
		if out, err := exec.CommandContext(t.Context(), "go", "build", "-o", binary, "stockade/cmd/stockade").CombinedOutput(); err != nil {
			t.Fatalf("build: %v\n%s", err, out)
		}
		t.Setenv(binaryOf, binary)
		runInNamespace(t)
		return
	}
	h := startHost(t)
	clock := h.source("127.0.0.3")
	beat := h.heartbeat(clock)
	h.await("nothing", turnLimit, "")
	web := h.source("127.0.0.1")
	web.line("bad from 198.51.100.1")
	h.banned("198.51.100.1")

	if testing.Short() {
		h.fault("disk", "left", clearLimit, h.fill, h.empty)
		beat()
		return
	}
	h.fault("silent", "source clock sent nothing", clearLimit,
		func() { beat() },
		func() { beat = h.heartbeat(clock) })
	h.fault("certificate", "listener secure", clearLimit,
		func() { h.certificate(time.Now().Add(-30*24*time.Hour), 24*time.Hour); h.must("reload") },
		func() { h.certificate(time.Now().Add(-time.Hour), 365*24*time.Hour); h.must("reload") })
	liar := h.source("127.0.0.2")
	h.fault("quota", "source liar", clearLimit,
		func() {
			for i := range 4 {
				liar.line(fmt.Sprintf("bad from 198.51.100.%d", 20+i))
			}
		},
		func() { h.must("approve", "--source", "liar") })
	h.fault("disk", "left", clearLimit, h.fill, h.empty)
	h.fault("state", "disk", clearLimit,
		func() {
			h.fill()
			for i := range 100 {
				web.line(fmt.Sprintf("bad from 198.51.100.%d", 100+i))
			}
		}, h.empty)
	h.fault("drift", "missing in the kernel", auditLimit,
		func() { h.sh("nft", "delete", "element", "inet", "stockade", "ban4", "{", "198.51.100.1", "}") },
		func() {})
	var other io.Closer
	h.fault("firewall", "another owner", clearLimit,
		func() { other = h.takeTable() },
		func() { other.Close() })
	beat()
	if s := h.systemd.last("READY=1"); s == "" {
		t.Error("systemd was not told that the daemon is ready")
	}
	if s := h.systemd.last("WATCHDOG=1"); s == "" {
		t.Error("systemd was not told that the daemon lives")
	}
}

var long = flag.Bool("long", false, "wait for audits too")

// binaryOf is the variable that names the program under test.
const binaryOf = "STOCKADE_TEST_DOCTOR_BINARY"

func startHost(t *testing.T) *host {
	t.Helper()
	dir, err := os.MkdirTemp("", "doc")
	if err != nil {
		t.Fatal(err)
	}
	h := &host{t: t, dir: dir, binary: os.Getenv(binaryOf), systemd: &notices{}}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	h.sh("ip", "link", "set", "lo", "up")
	h.sh("mkdir", dir+"/state")
	h.sh("mount", "-t", "tmpfs", "-o", "size=1m,mode=0700", "stockade", dir+"/state")
	t.Cleanup(func() { _ = syscall.Unmount(dir+"/state", syscall.MNT_DETACH) })
	h.certificate(time.Now().Add(-time.Hour), 365*24*time.Hour)
	if err := os.WriteFile(dir+"/stockade.yaml", []byte(strings.ReplaceAll(faultConfig, "%DIR%", dir)), 0o600); err != nil {
		t.Fatal(err)
	}
	conn, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: dir + "/notify", Net: "unixgram"})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	go func() {
		buf := make([]byte, 4096)
		for {
			n, err := conn.Read(buf)
			if err != nil {
				return
			}
			h.systemd.mu.Lock()
			h.systemd.all = append(h.systemd.all, string(buf[:n]))
			h.systemd.mu.Unlock()
		}
	}()
	var log bytes.Buffer
	cmd := exec.Command(h.binary, "serve", "--config", dir+"/stockade.yaml")
	cmd.Env = append(os.Environ(), "NOTIFY_SOCKET="+dir+"/notify")
	for _, name := range []string{inNamespace, binaryOf} {
		cmd.Env = append(cmd.Env, name+"=") // STOCKADE_TEST_* is reserved
	}
	cmd.Stderr = &log
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = cmd.Process.Signal(syscall.SIGTERM)
		if err := cmd.Wait(); err != nil {
			t.Errorf("serve: %v", err)
		}
		if t.Failed() {
			all := log.String()
			t.Logf("the daemon's log ends with\n%s", all[max(0, len(all)-6000):])
		}
	})
	for begin := time.Now(); h.systemd.last("READY=1") == ""; time.Sleep(10 * time.Millisecond) {
		if time.Since(begin) > 20*time.Second {
			t.Fatalf("not ready after 20 s\n%s", log.String())
		}
	}
	return h
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

// shows reports whether status, its exit code, the metric and systemd's line all have a degraded
// state, and whether none of them has it.
func (h *host) shows(name, cause string) (all, none bool) {
	out, code := h.run("status", "--json")
	var st struct {
		State    string
		Degraded []struct{ Name, Cause string }
	}
	if err := json.Unmarshal([]byte(out), &st); err != nil {
		h.t.Fatalf("status: %v: %s", err, out)
	}
	if (code == 1) != (st.State == "degraded") || (code == 0) != (len(st.Degraded) == 0) {
		h.t.Errorf("exit code %d of %s", code, out)
	}
	listed := false
	for _, d := range st.Degraded {
		listed = listed || d.Name == name && strings.Contains(d.Cause, cause)
	}
	metric := !strings.Contains(h.metrics(), fmt.Sprintf("stockade_degraded_reasons{name=%q} 0\n", name))
	line := strings.HasPrefix(h.systemd.last("STATUS="), "STATUS=DEGRADED")
	if name == "" {
		return false, len(st.Degraded) == 0 && !line
	}
	return listed && metric && line && code == 1, !listed && !metric
}

func (h *host) metrics() string {
	client := http.Client{Timeout: 10 * time.Second, Transport: &http.Transport{DisableKeepAlives: true,
		DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
			return new(net.Dialer).DialContext(ctx, "unix", h.dir+"/control.sock")
		}}}
	res, err := client.Get("http://stockade/metrics")
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

// await waits until a state is gone, "" for any.
func (h *host) await(what string, limit time.Duration, name string) {
	h.t.Helper()
	begin := time.Now()
	for {
		if _, none := h.shows(name, ""); none {
			return
		}
		if time.Since(begin) > limit {
			out, _ := h.run("status", "--json")
			h.t.Fatalf("%s does not clear within %s: %s %s", what, limit, out, h.systemd.last("STATUS="))
		}
		time.Sleep(50 * time.Millisecond)
	}
}

// fault injects a fault, sees it everywhere, repairs it and sees it go.
func (h *host) fault(name, cause string, limit time.Duration, inject, repair func()) {
	h.t.Helper()
	if _, none := h.shows(name, cause); !none {
		h.t.Fatalf("%s shows before its fault", name)
	}
	begin := time.Now()
	inject()
	for {
		if all, _ := h.shows(name, cause); all {
			break
		}
		if time.Since(begin) > turnLimit {
			out, code := h.run("status", "--json")
			h.t.Fatalf("%s does not show within %s: exit code %d, %s, %q", name, turnLimit, code, out, h.systemd.last("STATUS="))
		}
		time.Sleep(20 * time.Millisecond)
	}
	turned := time.Since(begin)
	begin = time.Now()
	repair()
	if limit == auditLimit && !*long {
		h.t.Logf("%-12s shows after %4d ms; when it is gone is not waited for", name, turned.Milliseconds())
		return
	}
	h.await(name, limit, name)
	h.t.Logf("%-12s shows after %4d ms, is gone after %5d ms", name, turned.Milliseconds(), time.Since(begin).Milliseconds())
}

// takeTable puts a table of another owner in the place of ours, until it is closed.
func (h *host) takeTable() io.Closer {
	h.t.Helper()
	cmd := exec.Command("nft", "-i")
	in, err := cmd.StdinPipe()
	if err != nil {
		h.t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		h.t.Fatal(err)
	}
	if _, err := io.WriteString(in, "delete table inet stockade; add table inet stockade { flags owner; }\n"); err != nil {
		h.t.Fatal(err)
	}
	return closer(func() error {
		_ = in.Close()
		return cmd.Wait()
	})
}

type closer func() error

// Close calls the function.
func (c closer) Close() error { return c() }

func (h *host) banned(addr string) {
	h.t.Helper()
	for begin := time.Now(); ; time.Sleep(20 * time.Millisecond) {
		if _, code := h.run("explain", addr); code == 0 {
			return
		}
		if time.Since(begin) > turnLimit {
			h.t.Fatalf("%s is not banned", addr)
		}
	}
}

func (h *host) fill() {
	f, err := os.Create(h.dir + "/state/ballast")
	if err != nil {
		h.t.Fatal(err)
	}
	defer f.Close()
	_, _ = f.Write(make([]byte, 2<<20)) // until there is no room
}

func (h *host) empty() { _ = os.Remove(h.dir + "/state/ballast") }

// sender is a connection of a source.
type sender struct {
	h *host
	w *bufio.Writer
	c net.Conn
}

func (h *host) source(from string) *sender {
	h.t.Helper()
	d := net.Dialer{LocalAddr: &net.TCPAddr{IP: net.ParseIP(from)}}
	c, err := d.DialContext(h.t.Context(), "tcp", "127.0.0.1:5140")
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

// heartbeat sends lines until it is stopped.
func (h *host) heartbeat(s *sender) (stop func()) {
	ctx, cancel := context.WithCancel(h.t.Context())
	var running sync.WaitGroup
	running.Go(func() {
		tick := time.NewTicker(200 * time.Millisecond)
		defer tick.Stop()
		for {
			s.line("tick")
			select {
			case <-ctx.Done():
				return
			case <-tick.C:
			}
		}
	})
	return func() { cancel(); running.Wait() }
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
