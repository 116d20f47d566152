package senders

import (
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"stockade/cmd/stockade/e2e/rig"
	"stockade/receiver/receivertest"
)

func setPassCredentials(c syscall.Conn) error {
	raw, err := c.SyscallConn()
	if err != nil {
		return err
	}
	var set error
	if err := raw.Control(func(fd uintptr) { set = unix.SetsockoptInt(int(fd), unix.SOL_SOCKET, unix.SO_PASSCRED, 1) }); err != nil {
		return err
	}
	return set
}

// served is the serial number of the certificate that the other side showed.
func served(c net.Conn) string {
	return c.(*tls.Conn).ConnectionState().PeerCertificates[0].SerialNumber.String()
}

// TestLimitsAreShown runs into the limits of a listener: each refusal is counted by reason under
// `stockade sources`, and logged once a minute for a reason and a peer, however many there are.
func TestLimitsAreShown(t *testing.T) {
	port, strict := receivertest.FreePort(t), receivertest.FreePort(t)
	d := observe(t, fmt.Sprintf(`
listeners:
  - {name: lan, transport: tcp, address: "127.0.0.1:%d", max_connections: 8, framing: octet}
  - {name: old, transport: tcp, address: "127.0.0.1:%d", format: rfc5424}
  - {name: local, transport: unixgram, path: %%DIR%%/log}
sources:
  - {name: web1, listener: lan, addresses: [127.0.0.1], jails: ["*"]}
  - {name: old1, listener: old, addresses: [127.0.0.1], hostnames: [old1], jails: ["*"]}
  - {name: somebody, listener: local, uid: [%d], jails: ["*"]}
`, port, strict, os.Getuid()+1)).Start()
	say := func(port int, text string) net.Conn {
		t.Helper()
		c, err := net.Dial("tcp", fmt.Sprintf("127.0.0.1:%d", port))
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = c.Close() })
		if _, err := c.Write([]byte(text)); err != nil {
			t.Fatal(err)
		}
		return c
	}
	wait := func(source, reason string, n int64) {
		t.Helper()
		if !rig.Soon(10*time.Second, func() bool { return d.Source(source).Refused[reason] == n }) {
			t.Errorf("source %s: want %d %s, have %v", source, n, reason, d.Source(source).Refused)
		}
		logged := func() (times int) {
			for _, r := range d.Logged("refused") {
				if r["reason"] == reason {
					times++
				}
			}
			return times
		}
		rig.Soon(10*time.Second, func() bool { return logged() > 0 }) // the log is read by another goroutine
		t.Logf("%d refused for %s, %d logged", n, reason, logged())
		if logged() != 1 {
			t.Errorf("%d lines in the log about %s, want 1", logged(), reason)
		}
	}
	// ended waits until the daemon has ended the connection: it takes no place of the listener any more.
	ended := func(c net.Conn) {
		t.Helper()
		_ = c.SetReadDeadline(time.Now().Add(20 * time.Second))
		if _, err := c.Read(make([]byte, 1)); err == nil || errors.Is(err, os.ErrDeadlineExceeded) {
			t.Fatalf("the connection stays open: %v", err)
		}
	}
	for range 20 {
		ended(say(port, "x"))
	}
	wait("web1", "framing", 20)
	for range 20 {
		c := say(port, "20 <38>sshd: ")
		_ = c.(*net.TCPConn).CloseWrite()
		ended(c)
	}
	wait("web1", "partial_frame", 20)
	for range 10 { // the source's share is six of eight
		say(port, "5 <38>a")
	}
	wait("web1", "too_many", 4)
	old := say(strict, "")
	for range 30 {
		fmt.Fprintf(old, "<38>Nov 24 06:00:00 old1 sshd[1]: not of this format\n")
	}
	wait("old1", "format", 30)

	// Peers of no source have no row: the log names them, with what would allow them.
	c, err := net.Dial("unixgram", filepath.Join(d.Dir, "log"))
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	for range 20 {
		if _, err := c.Write([]byte("<38>sshd: hello")); err != nil {
			t.Fatal(err)
		}
	}
	if !rig.Soon(10*time.Second, func() bool { return len(d.Logged("refused")) == 5 }) {
		t.Errorf("%d lines in the log, want 5", len(d.Logged("refused")))
	}
}
