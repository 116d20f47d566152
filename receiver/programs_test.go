package receiver

import (
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"stockade/receiver/receivertest"
)

// The tests of this file are the rest of bar B7: numbered lines through real programs, each compared
// with the text that was put in.

// manyLines is how many lines each real program sends.
func manyLines() int {
	if *long {
		return 10_000
	}
	return 500
}

// leg is one way from a program to a listener.
type leg struct {
	name string
	r    *rig
}

// program runs a program in the foreground until the test ends. Its output is shown on failure.
func program(t *testing.T, env []string, name string, args ...string) *receivertest.Log {
	t.Helper()
	cmd := exec.Command(name, args...) //nolint:gosec // a test's own program
	out := new(receivertest.Log)
	cmd.Stdout, cmd.Stderr, cmd.Env = out, out, append(os.Environ(), env...)
	cmd.WaitDelay = time.Second
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
		if t.Failed() {
			t.Logf("%s wrote:\n%s", name, out)
		}
	})
	return out
}

// openFolder returns a folder that a program which gave up its privileges can still use.
func openFolder(t *testing.T) string {
	t.Helper()
	dir := filepath.Dir(socketPath(t))
	if err := os.Chmod(dir, 0o777); err != nil { //nolint:gosec // see above
		t.Fatal(err)
	}
	return dir
}

func writeFile(t *testing.T, path, text string) string {
	t.Helper()
	if err := os.WriteFile(path, []byte(text), 0o644); err != nil { //nolint:gosec // read by a program without privileges
		t.Fatal(err)
	}
	return path
}

// identical checks that each leg got every text once, under the app, and nothing else.
func identical(t *testing.T, legs []leg, app string, want []string) {
	t.Helper()
	for _, l := range legs {
		if !receivertest.Eventually(20*time.Second, func() bool { return l.r.rec.count() >= len(want) }) {
			t.Errorf("%s: %d of %d lines", l.name, l.r.rec.count(), len(want))
		}
		left := make(map[string]int, len(want))
		for _, text := range want {
			left[text]++
		}
		same, foreign := 0, ""
		for _, x := range l.r.rec.all() {
			if x.app == app && left[x.text] > 0 && !x.truncated {
				left[x.text]--
				same++
				continue
			}
			foreign = x.raw
		}
		t.Logf("B7: %s: %d of %d texts identical", l.name, same, len(want))
		if same != len(want) || foreign != "" {
			t.Errorf("%s: %d of %d identical; another: %q", l.name, same, len(want), foreign)
		}
	}
}

// pace waits until no leg is further behind than its socket surely holds: some programs drop what
// does not fit into a full unix datagram socket, and net.unix.max_dgram_qlen may be 10.
func pace(legs []leg, sent int) {
	for _, l := range legs {
		l.r.wait("lines in between", func() bool { return l.r.rec.count() > sent-8 })
	}
}

func (l *leg) port() int { return port(l.r.Addr()) }

func startLeg(t *testing.T, name, transport, path string) leg {
	t.Helper()
	cfg, sources := loopback(transport), append([]SourceConfig(nil), local...)
	if path != "" {
		cfg, sources = ListenerConfig{Transport: transport, Path: path, Mode: "0666"}, []SourceConfig{{Name: "any"}}
	}
	return leg{name, start(t, cfg, sources, nil)}
}

// request gets numbered paths from a web server, and calls each after every request.
func request(t *testing.T, base string, n int, path func(int) string, each func(done int)) {
	t.Helper()
	client := &http.Client{Transport: &http.Transport{}, Timeout: 10 * time.Second}
	defer client.CloseIdleConnections()
	for i := range n {
		req, err := http.NewRequestWithContext(context.Background(), http.MethodGet, base+path(i), http.NoBody)
		if err != nil {
			t.Fatal(err)
		}
		req.Header.Set("User-Agent", fmt.Sprintf("agent %d \u00e9", i))
		resp, err := client.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		_, _ = io.Copy(io.Discard, resp.Body)
		_ = resp.Body.Close()
		each(i + 1)
	}
}

func waitForPort(t *testing.T, port int) {
	t.Helper()
	if !receivertest.Eventually(20*time.Second, func() bool {
		c, err := net.Dial("tcp", fmt.Sprintf("127.0.0.1:%d", port))
		if err == nil {
			_ = c.Close()
		}
		return err == nil
	}) {
		t.Fatalf("nothing listens on port %d", port)
	}
}

// TestRealNginx compares what nginx sends with the files that it writes beside.
func TestRealNginx(t *testing.T) {
	nginx, err := exec.LookPath("nginx")
	receivertest.Need(t, err == nil, "nginx")
	dir, http := openFolder(t), receivertest.FreePort(t)
	access := []leg{
		startLeg(t, "nginx access udp", "udp", ""),
		startLeg(t, "nginx access udp nohostname", "udp", ""),
		startLeg(t, "nginx access unixgram", "unixgram", filepath.Join(dir, "access")),
	}
	errs := []leg{
		startLeg(t, "nginx error udp", "udp", ""),
		startLeg(t, "nginx error unixgram", "unixgram", filepath.Join(dir, "error")),
	}
	user := ""
	if os.Geteuid() == 0 {
		user = "user nobody nogroup;"
	}
	conf := writeFile(t, filepath.Join(dir, "conf"), fmt.Sprintf(`daemon off; pid %[1]s/pid; worker_processes 1; %[2]s
error_log %[1]s/error.log error;
error_log syslog:server=127.0.0.1:%[3]d,tag=nginx error;
error_log syslog:server=unix:%[1]s/error,tag=nginx error;
events {}
http {
  client_body_temp_path %[1]s/a; proxy_temp_path %[1]s/b; fastcgi_temp_path %[1]s/c; uwsgi_temp_path %[1]s/d; scgi_temp_path %[1]s/e;
  access_log %[1]s/access.log combined;
  access_log syslog:server=127.0.0.1:%[4]d,facility=local7,tag=nginx,severity=info combined;
  access_log syslog:server=127.0.0.1:%[5]d,tag=nginx,nohostname combined;
  access_log syslog:server=unix:%[1]s/access,tag=nginx combined;
  server { listen 127.0.0.1:%[6]d; keepalive_requests 100000; root %[1]s/none; }
}
`, dir, user, errs[0].port(), access[0].port(), access[1].port(), http))
	program(t, nil, nginx, "-p", dir, "-c", conf, "-e", filepath.Join(dir, "error.log"))
	waitForPort(t, http)
	n := manyLines()
	request(t, fmt.Sprintf("http://127.0.0.1:%d", http), n,
		func(i int) string { return fmt.Sprintf("/wp-login.php?n=%d&%s", i, strings.Repeat("x", i%900)) },
		func(done int) { pace(append(access, errs...), done) })
	for _, x := range []struct {
		legs []leg
		file string
	}{{access, "access.log"}, {errs, "error.log"}} {
		var want []string
		if !receivertest.Eventually(10*time.Second, func() bool {
			text, err := os.ReadFile(filepath.Join(dir, x.file))
			want = strings.Split(strings.TrimSpace(string(text)), "\n")
			return err == nil && len(want) >= n
		}) {
			t.Fatalf("%s has %d lines", x.file, len(want))
		}
		identical(t, x.legs, "nginx", want)
	}
}

// TestRealHAProxy compares what HAProxy sends with the requests that it served.
func TestRealHAProxy(t *testing.T) {
	haproxy, err := exec.LookPath("haproxy")
	receivertest.Need(t, err == nil, "haproxy")
	dir, http := openFolder(t), receivertest.FreePort(t)
	legs := []leg{
		startLeg(t, "haproxy udp rfc3164", "udp", ""),
		startLeg(t, "haproxy udp rfc5424", "udp", ""),
		startLeg(t, "haproxy unixgram", "unixgram", filepath.Join(dir, "s")),
		startLeg(t, "haproxy tcp octet-count", "tcp", ""),
		startLeg(t, "haproxy tcp legacy", "tcp", ""),
	}
	conf := writeFile(t, filepath.Join(dir, "conf"), fmt.Sprintf(`global
  log 127.0.0.1:%d len 4096 format rfc3164 local0
  log 127.0.0.1:%d len 4096 format rfc5424 local0
  log %s len 4096 local0
  log ring@octet len 4096 local0
  log ring@legacy len 4096 local0
  log-send-hostname web1
ring octet
  format rfc5424
  maxlen 4096
  size 4194304
  timeout connect 5s
  timeout server 10s
  server s 127.0.0.1:%d log-proto octet-count
ring legacy
  format rfc3164
  maxlen 4096
  size 4194304
  timeout connect 5s
  timeout server 10s
  server s 127.0.0.1:%d log-proto legacy
defaults
  mode http
  log global
  option dontlognull
  timeout client 10s
  timeout connect 10s
  timeout server 10s
frontend f
  bind 127.0.0.1:%d
  log-format "%%ci %%ST %%{+Q}r"
  http-request return status 403
`, legs[0].port(), legs[1].port(), filepath.Join(dir, "s"), legs[3].port(), legs[4].port(), http))
	program(t, nil, haproxy, "-db", "-f", conf)
	waitForPort(t, http)
	n := manyLines()
	path := func(i int) string { return fmt.Sprintf("/login?n=%d&%s", i, strings.Repeat("x", i%900)) }
	var want []string
	for i := range n {
		want = append(want, fmt.Sprintf(`127.0.0.1 403 "GET %s HTTP/1.1"`, path(i)))
	}
	request(t, fmt.Sprintf("http://127.0.0.1:%d", http), n, path, func(done int) { pace(legs, done) })
	identical(t, legs, "haproxy", want)
}

// syslogNG is syslog-ng in the system, or in the folder that testdata/syslog-ng.sh fills.
// STOCKADE_TEST_SYSLOG_NG names another such folder.
func syslogNG() (path string, env, args []string) {
	if path, err := exec.LookPath("syslog-ng"); err == nil {
		return path, nil, nil
	}
	root := os.Getenv("STOCKADE_TEST_SYSLOG_NG")
	if root == "" {
		root = "/var/cache/stockade-test/syslog-ng"
	}
	path = filepath.Join(root, "usr/sbin/syslog-ng")
	if _, err := os.Stat(path); err != nil {
		return "", nil, nil
	}
	var libs, modules []string
	for _, pattern := range []string{"usr/lib/*-linux-*", "lib/*-linux-*", "usr/lib/syslog-ng"} {
		found, _ := filepath.Glob(filepath.Join(root, pattern))
		libs = append(libs, found...)
	}
	modules, _ = filepath.Glob(filepath.Join(root, "usr/lib/syslog-ng/[0-9]*"))
	return path, []string{"LD_LIBRARY_PATH=" + strings.Join(libs, ":")}, []string{"--module-path=" + strings.Join(modules, ":")}
}

// TestRealSyslogNG sends numbered lines through syslog-ng in each of its ways.
func TestRealSyslogNG(t *testing.T) {
	path, env, args := syslogNG()
	receivertest.Need(t, path != "", "syslog-ng: run receiver/testdata/syslog-ng.sh")
	dir := openFolder(t)
	ca := newAuthority(t, "ca", nil)
	cert, key := ca.clientFiles(t, "web1.lan")
	conf := fmt.Sprintf(`@version: 3.38
options { keep-hostname(yes); chain-hostnames(no); log-fifo-size(200000); log-msg-size(65536); stats-freq(0); };
source in { unix-dgram("%s/in" so-rcvbuf(4194304)); };
`, dir)
	var legs []leg
	for _, way := range []string{"syslog tcp", "syslog tls", "syslog udp", "network tcp", "network tls", "network udp", "unix-dgram unixgram", "unix-stream unix"} {
		driver, transport, _ := strings.Cut(way, " ")
		name := "syslog-ng " + way
		var l leg
		switch transport {
		case "tls":
			l = leg{name, start(t, ca.files(t, t.TempDir()), named("web1"), nil)}
			conf += fmt.Sprintf(`destination d%d { %s("127.0.0.1" port(%d) transport("tls") tls(ca-file(%q) cert-file(%q) key-file(%q) peer-verify(required-trusted))); };`,
				len(legs), driver, l.port(), l.r.cfg.ClientCA, cert, key)
		case "unix", "unixgram":
			l = startLeg(t, name, transport, filepath.Join(dir, driver))
			conf += fmt.Sprintf(`destination d%d { %s(%q); };`, len(legs), driver, l.r.cfg.Path)
		default:
			l = startLeg(t, name, transport, "")
			conf += fmt.Sprintf(`destination d%d { %s("127.0.0.1" port(%d) transport(%q)); };`, len(legs), driver, l.port(), transport)
		}
		conf += fmt.Sprintf("\nlog { source(in); destination(d%d); };\n", len(legs))
		legs = append(legs, l)
	}
	file := writeFile(t, filepath.Join(dir, "conf"), conf)
	out := program(t, env, path, append(args, "-F", "-e", "--no-caps", "-f", file, "-R", filepath.Join(dir, "persist"),
		"-p", filepath.Join(dir, "pid"), "-c", filepath.Join(dir, "ctl"))...)
	var c net.Conn
	var err error
	if !receivertest.Eventually(20*time.Second, func() bool {
		c, err = net.Dial("unixgram", filepath.Join(dir, "in"))
		return err == nil
	}) {
		t.Fatalf("syslog-ng does not listen: %v\n%s\n%s", err, out, conf)
	}
	defer c.Close()
	var want []string
	for i := range manyLines() {
		text := fmt.Sprintf("Failed password for invalid user <%d>%s from 192.0.2.7 port 22 ssh2 [preauth] \u00e9", i, strings.Repeat("x", i%700))
		want = append(want, text)
		if _, err := fmt.Fprintf(c, "<38>%s sshd[%d]: %s", time.Now().Format(time.Stamp), i+1, text); err != nil {
			t.Fatal(err)
		}
		if i%50 == 49 {
			pace(legs, i+1)
		}
	}
	identical(t, legs, "sshd", want)
}
