package senders

import (
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"stockade/cmd/stockade/e2e/rig"
	"stockade/receiver/receivertest"
)

// TestSocketActivation starts serve as systemd does: sockets from descriptor 3 on, their names and
// our process id in the environment. What was sent before serve ran is not lost, and the sockets stay
// over a reload and are there for the next run.
func TestSocketActivation(t *testing.T) {
	tcp, err := net.ListenTCP("tcp", &net.TCPAddr{IP: net.IPv4(127, 0, 0, 1)})
	if err != nil {
		t.Fatal(err)
	}
	defer tcp.Close()
	d := observe(t, fmt.Sprintf(`
listeners:
  - {name: lan, transport: tcp, address: %q}
  - {name: local, transport: unixgram, path: %%DIR%%/log, mode: "0600"}
sources:
  - {name: web1, listener: lan, addresses: [127.0.0.1], jails: ["*"]}
  - {name: this-host, listener: local, jails: ["*"]}
`, tcp.Addr()))
	path := filepath.Join(d.Dir, "log")
	gram, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: path, Net: "unixgram"})
	if err != nil {
		t.Fatal(err)
	}
	defer gram.Close()
	if err := setPassCredentials(gram); err != nil { // PassCredentials=yes of the socket unit
		t.Fatal(err)
	}
	send := func(network, address string) {
		c, err := net.Dial(network, address)
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		if _, err := c.Write([]byte("<38>sshd[1]: hello\n")); err != nil {
			t.Fatal(err)
		}
	}
	arrived := func(n int64) {
		t.Helper()
		if !rig.Soon(10*time.Second, func() bool { return d.Source("web1").Lines == n && d.Source("this-host").Lines == n }) {
			t.Fatalf("want %d lines each: %s", n, d.Ask("sources"))
		}
	}
	both := func() { send("tcp", tcp.Addr().String()); send("unixgram", path) }
	activated := func(cmd *exec.Cmd) {
		var files []*os.File
		for _, l := range []interface{ File() (*os.File, error) }{tcp, gram} {
			f, err := l.File()
			if err != nil {
				t.Fatal(err)
			}
			files = append(files, f)
		}
		t.Cleanup(func() {
			for _, f := range files {
				_ = f.Close()
			}
		})
		cmd.Args = append([]string{"sh", "-c", `LISTEN_PID=$$ LISTEN_FDS=2 LISTEN_FDNAMES=lan:local exec "$@"`, "sh"}, cmd.Args...)
		cmd.Path = "/bin/sh"
		cmd.ExtraFiles = files
	}
	both() // it waits in the sockets
	d.Start(activated)
	arrived(1)
	both()
	arrived(2)
	if err := d.Cmd.Process.Signal(syscall.SIGHUP); err != nil {
		t.Fatal(err)
	}
	if !rig.Soon(10*time.Second, func() bool { return len(d.Logged("reloaded")) == 1 }) {
		t.Fatal("no reload")
	}
	both()
	arrived(3)
	d.Stop()
	if _, err := os.Stat(path); err != nil {
		t.Errorf("the socket file is systemd's, and gone: %v", err)
	}
	both() // nobody serves; systemd holds the sockets
	d.Start(activated)
	arrived(1)
	t.Log("4 lines over each of two inherited sockets, 2 of them sent while nobody served: none lost")
}

// TestRenewedCertificate reloads after the certificate of a listener was renewed: new connections see
// the new one, old ones go on. A broken one refuses the reload and leaves everything as it is.
func TestRenewedCertificate(t *testing.T) {
	port := receivertest.FreePort(t)
	d := observe(t, fmt.Sprintf(`
listeners: [{name: secure, transport: tls, address: "127.0.0.1:%d", cert: %%DIR%%/server.pem, key: %%DIR%%/server.key, client_ca: %%DIR%%/ca.pem}]
sources: [{name: web1, listener: secure, certificate: {san: web1.lan}, jails: ["*"]}]
`, port))
	certs := newCertificates(t, d.Dir)
	first, _ := certs.issue("server")
	certs.issue("web1.lan")
	d.Start()
	address := fmt.Sprintf("127.0.0.1:%d", port)
	old := certs.dial("tls", address)
	defer old.Close()

	second, _ := certs.issue("server")
	d.Ask("reload")
	next := certs.dial("tls", address)
	defer next.Close()
	if got := served(next); got != second.SerialNumber.String() {
		t.Errorf("serves certificate %s, want the renewed %s", got, second.SerialNumber)
	}
	if got := served(old); got != first.SerialNumber.String() {
		t.Errorf("the old connection has certificate %s", got)
	}

	if err := os.WriteFile(certs.path("server.pem"), []byte("noise"), 0o600); err != nil {
		t.Fatal(err)
	}
	out, _ := exec.Command(rig.Program(t, "stockade"), "reload", "--config", d.Config).CombinedOutput()
	if !strings.Contains(string(out), "server.pem") {
		t.Errorf("reload with a broken certificate says %s", out)
	}
	last := certs.dial("tls", address)
	defer last.Close()
	if got := served(last); got != second.SerialNumber.String() {
		t.Errorf("after a refused reload: certificate %s", got)
	}
	for i, c := range []net.Conn{old, next, last} {
		if _, err := c.Write([]byte("<38>sshd: hello\n")); err != nil {
			t.Fatal(err)
		}
		if !rig.Soon(10*time.Second, func() bool { return d.Source("web1").Lines == int64(i+1) }) {
			t.Fatalf("connection %d is dead", i)
		}
	}
}
