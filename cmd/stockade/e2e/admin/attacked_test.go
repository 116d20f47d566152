package admin

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"

	"stockade/cmd/stockade/e2e/rig"
	"stockade/receiver/receivertest"
)

const (
	plain, readers = 64001, 64003 // a user that owns nothing, and a group of readers
	token          = "correct-horse-battery-staple"
)

const hostileConfig = `listeners: [{name: stream, transport: unix, path: "%DIR%/in.sock", mode: "0666"}]
sources: [{name: here, listener: stream, jails: ["*"], quota: none}]
jails:
  - {name: app, filter: {failregex: ['^failed login from <HOST>$']}, apps: [app], maxretry: 3}
firewall: {backend: %BACKEND%}
`

// attacked is a daemon with a ban, a window and a control listener over TCP.
type attacked struct {
	*rig.Daemon
	good, tcp string
	before    string // everything that it held at the beginning
}

func newAttacked(t *testing.T, control string) *attacked {
	t.Helper()
	ns, backend := "", "observe"
	tcp := "127.0.0.1:9273"
	if os.Geteuid() == 0 {
		ns, backend = rig.NewNS(t), "nftables"
	} else {
		tcp = fmt.Sprintf("127.0.0.1:%d", receivertest.FreePort(t))
	}
	a := &attacked{good: strings.ReplaceAll(hostileConfig, "%BACKEND%", backend), tcp: tcp}
	a.Daemon = rig.NewDaemon(t, ns, a.good)
	for name, text := range map[string]string{
		"token":                  token + "\n",
		"conf.d/10-control.yaml": fmt.Sprintf("control: {listen: %q, token_file: %s%s}\n", tcp, filepath.Join(a.Dir, "token"), control),
	} {
		path := filepath.Join(a.Dir, name)
		if err := errors.Join(os.MkdirAll(filepath.Dir(path), 0o755), os.WriteFile(path, []byte(text), 0o600)); err != nil {
			t.Fatal(err)
		}
	}
	a.Start()
	conn, err := net.Dial("unix", filepath.Join(a.Dir, "in.sock"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	for range 2 {
		fmt.Fprint(conn, "<38>Nov 24 10:00:00 host app: failed login from 198.18.0.2\n")
	}
	rig.Eventually(t, 10*time.Second, "the failures are counted", func() bool {
		return a.Source("here").Failures == 2 && a.Jail("app").FailedCurrent == 1
	})
	a.Must("ban", "198.18.0.9", "--for", "1d")
	rig.Eventually(t, 10*time.Second, "the ban is in the kernel", func() bool {
		list := a.Bans()
		return len(list) == 1 && (list[0].Enforced || ns == "")
	})
	a.before = everything(t, a.Daemon, ns)
	return a
}

// unchanged looks whether the daemon holds what it held.
func (a *attacked) unchanged(t *testing.T) {
	t.Helper()
	if after := everything(t, a.Daemon, a.NS); after != a.before {
		t.Errorf("after:\n%s\nbefore:\n%s", after, a.before)
	}
}

// dialAs connects to the control socket as another user.
func (a *attacked) dialAs(uid int, groups ...int) (c net.Conn, err error) {
	done := make(chan struct{})
	go func() {
		defer close(done)
		runtime.LockOSThread() // never unlocked: the thread ends with its credentials
		list := make([]uint32, max(len(groups), 1))
		for i, g := range groups {
			list[i] = uint32(g)
		}
		if err = threadCredentials(uid, list[:len(groups)]); err == nil {
			c, err = net.Dial("unix", a.Socket)
		}
	}()
	<-done
	return c, err
}

// over is a client that makes its connections so; its requests are for stockade unless they say another host.
func over(t *testing.T, dial func() (net.Conn, error)) *http.Client {
	tr := &http.Transport{DialContext: func(context.Context, string, string) (net.Conn, error) { return dial() }}
	t.Cleanup(tr.CloseIdleConnections)
	return &http.Client{Transport: tr, Timeout: 30 * time.Second}
}

func (a *attacked) dialTCP() (c net.Conn, err error) {
	err = rig.Inside(a.NS, func() (err error) { c, err = net.Dial("tcp", a.tcp); return err })
	return c, err
}

// ask makes one request and returns the status.
func ask(t *testing.T, c *http.Client, method, url, body string, header ...string) int {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), method, url, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	for i := 0; i+1 < len(header); i += 2 {
		if header[i] == "Host" {
			req.Host = header[i+1]
		}
		req.Header.Set(header[i], header[i+1])
	}
	res, err := c.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	if _, err := io.Copy(io.Discard, res.Body); err != nil {
		t.Fatal(err)
	}
	return res.StatusCode
}

// threadCredentials changes the user and the groups of the calling thread alone.
func threadCredentials(uid int, groups []uint32) error {
	var list *uint32
	if len(groups) > 0 {
		list = &groups[0]
	}
	if err := setGroups(len(groups), list); err != nil {
		return err
	}
	if _, _, errno := unix.RawSyscall(unix.SYS_SETRESGID, uintptr(uid), uintptr(uid), uintptr(uid)); errno != 0 {
		return errno
	}
	if _, _, errno := unix.RawSyscall(unix.SYS_SETRESUID, uintptr(uid), uintptr(uid), uintptr(uid)); errno != 0 {
		return errno
	}
	return nil
}

func setGroups(n int, list *uint32) error {
	_, _, errno := unix.RawSyscall(unix.SYS_SETGROUPS, uintptr(n), uintptr(unsafe.Pointer(list)), 0)
	if errno != 0 {
		return errno
	}
	return nil
}
