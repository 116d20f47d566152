package service

import (
	"fmt"
	"net"
	"net/netip"
	"os/exec"
	"path/filepath"
	"syscall"
	"testing"
	"time"

	"stockade/cmd/stockade/e2e/rig"
)

const tcpConfig = `
listeners:
  - {name: plain, transport: tcp, address: "127.0.0.1:601"}
sources:
  - {name: neighbour, listener: plain, addresses: [127.0.0.1], jails: [sshd], quota: none}
jails:
  - {name: sshd, filter: sshd, maxretry: 3, findtime: 10m, bantime: 1h, increment: {enabled: false}}
firewall: {backend: nftables}
`

// within is how long a daemon that hangs may leave the host without new bans.
const within = 10 * time.Second

// stallable builds a stockade whose workers hang on a line; see pipeline/stall_tagged.go.
func stallable(t *testing.T) string {
	t.Helper()
	path := filepath.Join(rig.OpenDir(t), "stockade")
	if out, err := exec.Command("go", "build", "-tags", "stockade_faults", "-o", path, "stockade/cmd/stockade").CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	return path
}

// banSoon sends failures of an address, over a new connection each time, until the kernel holds it,
// and returns when it did.
func banSoon(t *testing.T, ns string, addr netip.Addr) time.Time {
	t.Helper()
	n := 0
	rig.Eventually(t, 60*time.Second, fmt.Sprintf("%s is in the kernel", addr), func() bool {
		var conn net.Conn
		if rig.Inside(ns, func() (err error) { conn, err = net.DialTimeout("tcp", "127.0.0.1:601", time.Second); return err }) != nil {
			return false
		}
		defer conn.Close()
		for range 3 {
			n++
			if _, err := conn.Write([]byte(failedLogin(n, addr))); err != nil {
				return false
			}
		}
		return rig.Soon(200*time.Millisecond, func() bool { return rig.Holds(t, ns, "ban4", addr.String()) })
	})
	return time.Now()
}

// TestWatchdog hangs a daemon in two ways. The supervisor notices, kills it, and starts it again;
// bans stay in the kernel, and new ones are made again within the time.
func TestWatchdog(t *testing.T) {
	t.Parallel() // it waits more than it works
	ns := rig.NewNS(t)
	u := readUnit(t)
	if u.watchdog+u.abort+u.restart > within-2*time.Second {
		t.Errorf("the unit leaves 2 s or less to start: %+v", u)
	}
	if !rig.Long() {
		u.watchdog /= 2
	}
	program := ""
	if testing.Short() {
		program = rig.Program(t, "stockade") // another build takes longer than the rest
	} else {
		program = stallable(t)
	}
	d := rig.NewDaemon(t, ns, tcpConfig)
	s := supervise(t, u, func() *exec.Cmd { return rig.InNS(ns, program, "serve", "--config", d.Config) })
	rig.Eventually(t, 60*time.Second, "the daemon is ready", func() bool {
		all := s.all() // a busy machine may keep one from its watchdog: then the next
		return len(all) > 0 && !all[len(all)-1].ready.IsZero()
	})
	banSoon(t, ns, numbered(0))

	for i, how := range []struct {
		name string
		hang func(pid int)
	}{
		{"a worker hangs", func(int) {
			conn := rig.Connect(t, ns, "tcp", "127.0.0.1:601")
			if _, err := conn.Write([]byte("<38>Nov 24 10:00:00 web1 sshd[1]: stockade_stall: hang here\n")); err != nil {
				t.Fatal(err)
			}
			conn.Close()
		}},
		{"the process is stopped", func(pid int) { _ = syscall.Kill(pid, syscall.SIGSTOP) }},
	} {
		if testing.Short() && i == 0 {
			continue
		}
		lives := s.all()
		hung := time.Now()
		how.hang(lives[len(lives)-1].pid)
		rig.Eventually(t, 60*time.Second, "the watchdog ends it", func() bool { return len(s.all()) > len(lives) })
		if !rig.Holds(t, ns, "ban4", numbered(0).String()) {
			t.Errorf("%s: a ban left the kernel while the daemon was away", how.name)
		}
		back := banSoon(t, ns, numbered(i+1))
		old := s.all()[len(lives)-1]
		took := back.Sub(hung)
		t.Logf("%s: silent too long after %s, ended (%s) after %s, banning again after %s", how.name,
			old.silent.Sub(hung).Round(time.Millisecond), old.state, old.ended.Sub(hung).Round(time.Millisecond), took.Round(time.Millisecond))
		if old.silent.IsZero() {
			t.Errorf("%s: the daemon ended by itself: %s", how.name, old.state)
		}
		if limit := within + 20*time.Second; took > limit || rig.Long() && took > within {
			t.Errorf("%s: banning again after %s, want %s on a quiet machine", how.name, took, within)
		}
	}
	if n := len(s.all()); s.all()[n-1].ended != (time.Time{}) {
		t.Errorf("the last daemon ended: %+v", s.all()[n-1])
	}
}
