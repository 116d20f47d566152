package service

import (
	"fmt"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"stockade/cmd/stockade/control"
	"stockade/cmd/stockade/e2e/rig"
)

// stopLimit is how long a stop under load may take.
const stopLimit = 5 * time.Second

// TestStopUnderLoad stops serve by SIGTERM while many senders flood it, again and again. It ends in
// time and cleanly, and the next start knows every ban that was shown as enforced and the windows.
func TestStopUnderLoad(t *testing.T) {
	rounds, senders := rig.Size(2, 5, 50), rig.Size(20, 100, 1000)
	ns := rig.NewNS(t)
	d := rig.NewDaemon(t, ns, tcpConfig)
	var took []time.Duration
	next := new(atomic.Int64) // offenders so far
	d.Start()
	for round := range rounds {
		half := netip.AddrFrom4([4]byte{203, 0, 113, byte(1 + round)})
		slow := rig.Connect(t, ns, "tcp", "127.0.0.1:601")
		for i := range 2 { // one failure short of a ban
			if _, err := slow.Write([]byte(failedLogin(i, half))); err != nil {
				t.Fatal(err)
			}
		}
		client, err := d.Dial()
		if err != nil {
			t.Fatal(err)
		}
		rig.Eventually(t, 60*time.Second, "its window is there", func() bool { return slices.Contains(windows(t, client, half), 2) })
		stop := flood(t, ns, senders, next)
		var shown []netip.Addr
		rig.Eventually(t, 60*time.Second, "the load makes bans", func() bool {
			shown = enforced(t, client)
			return len(shown) >= 50
		})
		client.Close()
		begin := time.Now()
		d.End(syscall.SIGTERM)
		took = append(took, time.Since(begin))
		sent, longest := stop(), longest(d)
		slow.Close()
		if code := d.Cmd.ProcessState.ExitCode(); code != 0 {
			t.Fatalf("round %d: exit %d\n%s", round, code, rig.Last(d.Log.String(), 20))
		}
		if files, err := filepath.Glob(filepath.Join(d.Dir, "state", "snapshot-*")); err != nil || len(files) == 0 {
			t.Errorf("round %d: no snapshot was written: %v", round, err)
		}
		d.Start()
		if client, err = d.Dial(); err != nil {
			t.Fatal(err)
		}
		known := enforced(t, client)
		for _, a := range shown {
			if !slices.Contains(known, a) {
				t.Errorf("round %d: the ban of %s is lost", round, a)
			}
		}
		if got := windows(t, client, half); !slices.Contains(got, 2) {
			t.Errorf("round %d: the window of %s has %v failures, want 2", round, half, got)
		}
		client.Close()
		t.Logf("round %d: stopped in %s under %d senders, %d lines sent, %d bans kept; %s", round, took[round].Round(time.Millisecond), senders, sent, len(known), longest)
		d.Must("unban", "--all")
	}
	slices.Sort(took)
	t.Logf("%d stops: median %s, longest %s", rounds, took[rounds/2], took[rounds-1])
	if limit := 3 * stopLimit; took[rounds-1] > limit || rig.Long() && took[rounds-1] > stopLimit {
		t.Errorf("a stop took %s, want at most %s on a quiet machine", took[rounds-1], stopLimit)
	}
}

// longest is what the daemon says took long in its stop.
func longest(d *rig.Daemon) string {
	for _, r := range slices.Backward(d.Logged("stopped")) {
		if took, ok := r["took"]; ok { // listeners say that they stopped, too
			return fmt.Sprintf("its own word: %s, of that %s", took, r["slow"])
		}
	}
	return "it does not say what took long"
}

// perSecond is how many lines all senders write in a second.
const perSecond = 20_000

// flood lets senders write failures, until stop is called or the daemon goes. stop returns how many
// lines were sent.
func flood(t *testing.T, ns string, senders int, next *atomic.Int64) (stop func() int64) {
	t.Helper()
	var sent atomic.Int64
	var running sync.WaitGroup
	var conns []net.Conn
	for range senders {
		conn := rig.Connect(t, ns, "tcp", "127.0.0.1:601")
		conns = append(conns, conn)
		running.Go(func() {
			for {
				n := int(next.Add(1))
				var b []byte
				for i := range 10 { // of two offenders, one of them banned
					b = append(b, failedLogin(10*n+i, numbered((n+i%2)&0x3fff))...)
				}
				if _, err := conn.Write(b); err != nil {
					return
				}
				sent.Add(10)
				time.Sleep(time.Duration(senders) * 10 * time.Second / perSecond)
			}
		})
	}
	return func() int64 {
		for _, c := range conns {
			c.Close()
		}
		running.Wait()
		return sent.Load()
	}
}

// enforced lists the addresses whose ban is shown as enforced.
func enforced(t *testing.T, c *control.Client) (list []netip.Addr) {
	t.Helper()
	bans, err := c.Bans(t.Context(), "sshd")
	if err != nil {
		t.Fatal(err)
	}
	for _, b := range bans {
		if b.Enforced {
			list = append(list, b.Address.Addr())
		}
	}
	return list
}

// windows are the numbers of failures in the windows of an address.
func windows(t *testing.T, c *control.Client, addr netip.Addr) (list []int) {
	t.Helper()
	target, err := control.ParseTarget(addr.String())
	if err != nil {
		t.Fatal(err)
	}
	e, err := c.Explain(t.Context(), target)
	if err != nil {
		t.Fatal(err)
	}
	for _, w := range e.Windows {
		list = append(list, int(w.Failures))
	}
	return list
}

const hungConfig = tcpConfig + `
notify:
  - {name: hook, type: webhook, url: "http://127.0.0.1:8081/", timeout: 1m}
  - {name: mail, type: mail, server: "127.0.0.1:8081", tls: none, from: a@example.net, to: [b@example.net], timeout: 1m}
  - {name: whois, type: mail, server: "127.0.0.1:8081", tls: none, from: a@example.net, to: [b@example.net], whois: {enabled: true, server: "127.0.0.1:8081", timeout: 30s}}
  - {name: program, type: exec, command: [/bin/sleep, "60"], user: root, timeout: 1m, concurrency: 4}
allow_shell_actions: true
actions:
  - {name: hangs, action: "fail2ban:%DIR%/hangs.conf", jails: [sshd], user: root, timeout: 60s}
`

// TestStopBesideTheHung stops serve while every channel, an action and a client of the control socket
// hang. The state is saved, and the stop waits for none of them longer than it may.
func TestStopBesideTheHung(t *testing.T) {
	t.Parallel() // it waits more than it works
	ns := rig.NewNS(t)
	d := rig.NewDaemon(t, ns, hungConfig)
	const hangs = "[Definition]\nactionstart = sleep 60\nactionban = sleep 60\nactionunban = sleep 60\nactionstop = sleep 60\n"
	if err := os.WriteFile(filepath.Join(d.Dir, "hangs.conf"), []byte(hangs), 0o600); err != nil {
		t.Fatal(err)
	}
	var silent net.Listener // takes connections and never answers
	if err := rig.Inside(ns, func() (err error) { silent, err = net.Listen("tcp", "127.0.0.1:8081"); return err }); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { silent.Close() })
	d.Start()
	const offenders = 10
	for i := range offenders {
		d.Must("ban", numbered(i).String(), "--jail", "sshd")
	}
	half, err := net.Dial("unix", d.Socket)
	if err != nil {
		t.Fatal(err)
	}
	defer half.Close()
	if _, err := half.Write([]byte("POST /v1/ban HTTP/1.1\r\nHost: x\r\nContent-Length: 100\r\n\r\n{")); err != nil {
		t.Fatal(err)
	}
	begin := time.Now()
	d.End(syscall.SIGTERM)
	took := time.Since(begin)
	if code := d.Cmd.ProcessState.ExitCode(); code != 0 {
		t.Errorf("exit %d\n%s", code, rig.Last(d.Log.String(), 20))
	}
	t.Logf("stopped in %s beside the hung; %s", took.Round(time.Millisecond), longest(d))
	if limit := 3 * stopLimit; took > limit || rig.Long() && took > stopLimit {
		t.Errorf("the stop took %s, want at most %s on a quiet machine", took, stopLimit)
	}
	d.Start()
	client, err := d.Dial()
	if err != nil {
		t.Fatal(err)
	}
	defer client.Close()
	if known := enforced(t, client); len(known) != offenders {
		t.Errorf("%d bans are known, want %d", len(known), offenders)
	}
}
