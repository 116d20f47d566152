package host

import (
	"fmt"
	"strings"
	"testing"
	"time"
)

// load is what /proc/loadavg says when last is the last process.
func load(last int) string { return fmt.Sprintf("0.00 0.01 0.05 1/100 %d\n", last) }

// gated is a watcher whose clock the test holds.
type gated struct {
	*fake
	w   *Watcher
	s   seen
	now time.Time
}

func newGated(t *testing.T) *gated {
	g := &gated{fake: newFake(t), now: time.Now()}
	g.w = New(Options{Root: g.dir, Changed: g.s.set, now: func() time.Time { return g.now }})
	t.Cleanup(func() { g.w.procs.loadavg.close(); g.w.peers.close() })
	return g
}

// after looks again when d has gone by, and reports whether addr is protected then.
func (g *gated) after(d time.Duration, addr string) bool {
	g.now = g.now.Add(d)
	g.w.procs.next = time.Time{} // a slow machine's share is no part of these tests
	g.w.look()
	return strings.Contains(g.s.text(), addr+" ")
}

// login lets somebody log in by sshd.
func (g *gated) login(pid, socket int, addr string) {
	g.process(pid, 100, 0, "sshd", "sshd: root@notty", socket)
	g.write("proc/net/tcp", heads+row("0.0.0.0:22", "0.0.0.0:0", 10, 0, 1)+row("192.0.2.1:22", addr+":4000", 1, 0, socket))
}

// TestProcessesAreReadWhenOneBegins: a process that begins is looked at, and once more when its
// title may have come later; without a new process nothing is read.
func TestProcessesAreReadWhenOneBegins(t *testing.T) {
	g := newGated(t)
	g.process(100, 1, 0, "sshd", "sshd: /usr/sbin/sshd [listener]", 1)
	g.write("proc/loadavg", load(100))
	g.after(0, "")
	g.after(pollEvery, "")
	g.login(101, 11, "198.51.100.11")
	if g.after(pollEvery, "198.51.100.11") {
		t.Error("all processes are read though none began")
	}
	g.process(102, 100, 0, "sshd", "sshd: root [priv]", 12)
	g.write("proc/loadavg", load(102))
	if !g.after(pollEvery, "198.51.100.11") {
		t.Error("a process began and all are not read")
	}
	g.write("proc/102/cmdline", "sshd: root@notty\x00")
	g.write("proc/net/tcp", heads+row("0.0.0.0:22", "0.0.0.0:0", 10, 0, 1)+row("192.0.2.1:22", "198.51.100.12:4000", 1, 0, 12))
	if !g.after(pollEvery, "198.51.100.12") {
		t.Error("what began just before a look is not looked at again")
	}
	g.write("proc/102/cmdline", "sshd: root [priv]\x00")
	if !g.after(pollEvery, "198.51.100.12") || len(g.w.procs.sessions) != 1 {
		t.Error("the processes are read a third time")
	}
}

// TestNamesAreReadTwice: of a process that has been there for a while the name is read when all
// names are.
func TestNamesAreReadTwice(t *testing.T) {
	g := newGated(t)
	g.process(100, 1, 0, "sshd", "sshd: /usr/sbin/sshd [listener]", 1)
	g.process(108, 1, 0, "sh", "sh -c read x; exec openvpn", 18)
	g.write("proc/net/tcp", heads+row("192.0.2.1:50000", "203.0.113.18:1194", 1, 0, 18))
	for i := range 4 {
		g.write("proc/loadavg", load(200+i))
		g.after(pollEvery, "")
	}
	g.write("proc/108/comm", "openvpn\n")
	g.write("proc/loadavg", load(300))
	if g.after(pollEvery, "203.0.113.18") {
		t.Error("all names are read because one process began")
	}
	if !g.after(scanAll, "203.0.113.18") {
		t.Error("a program that took the place of another is not found in good time")
	}
	g.write("proc/net/tcp", heads+row("192.0.2.1:50000", "203.0.113.19:1194", 1, 0, 18))
	if !g.after(pollEvery, "203.0.113.19") {
		t.Error("a VPN daemon called another host and that is not seen")
	}
}

// TestProcessesOfAnotherNamespace: where the last process does not show what begins, all are read
// at each look.
func TestProcessesOfAnotherNamespace(t *testing.T) {
	g := newGated(t)
	g.process(100, 1, 0, "sshd", "sshd: /usr/sbin/sshd [listener]", 1)
	g.write("proc/loadavg", load(7))
	g.after(0, "")
	g.after(pollEvery, "")
	g.login(101, 11, "198.51.100.11")
	if !g.after(scanAll, "198.51.100.11") {
		t.Error("all processes are not read in good time")
	}
	g.login(102, 12, "198.51.100.12")
	if !g.after(pollEvery, "198.51.100.12") {
		t.Error("processes begin unseen, and they are not read at each look")
	}
}

// TestTimePeersAreReadWhenTheirNumberChanges, and from time to time in any case.
func TestTimePeersAreReadWhenTheirNumberChanges(t *testing.T) {
	g := newGated(t)
	stat := func(n int) {
		g.write("proc/net/sockstat", fmt.Sprintf("sockets: used 9\nTCP: inuse 4\nUDP: inuse %d mem 3\n", n))
	}
	peer := func(addr string) {
		g.write("proc/net/udp", heads+row("192.0.2.1:40000", addr+":123", 1, 101, 1))
	}
	stat(1)
	g.after(0, "")
	peer("192.0.2.123")
	if g.after(pollEvery, "192.0.2.123") {
		t.Error("the sockets are read though their number is the same")
	}
	stat(2)
	if !g.after(pollEvery, "192.0.2.123") {
		t.Error("there is one socket more and they are not read")
	}
	peer("192.0.2.124")
	if !g.after(timeEvery, "192.0.2.124") {
		t.Error("one socket took the place of another and is not found in good time")
	}
}

// TestLoginEnds: the records of logins count while their processes live.
func TestLoginEnds(t *testing.T) {
	g := newGated(t)
	boot := g.now.Add(-time.Hour).Truncate(time.Second)
	login := g.now.Add(-time.Minute)
	g.write("proc/stat", fmt.Sprintf("btime %d\n", boot.Unix()))
	g.write("proc/10/stat", stat(10, login, boot))
	g.write("run/utmp", record(utmpUser, 10, "pts/0", "198.51.100.10", login))
	if !g.after(0, "198.51.100.10") || !g.after(time.Hour, "198.51.100.10") {
		t.Error("a login is not protected")
	}
	g.remove("proc/10/stat")
	g.after(utmpEvery, "")
	if g.after(lingerSession, "198.51.100.10") {
		t.Error("it ended long ago and is still protected")
	}
}

// TestListsAreTakenAnewWhenTheyChange: a look at lists that are the same copies nothing.
func TestListsAreTakenAnewWhenTheyChange(t *testing.T) {
	g := newGated(t)
	var text strings.Builder
	for i := range 10000 {
		fmt.Fprintf(&text, "10.%d.%d.1\n", i/256, i%256)
	}
	file := g.write("allow.txt", text.String())
	g.w.SetLists([]List{{"never_ban", []string{"file:" + file, "203.0.113.7"}}})
	g.after(time.Minute, "")
	g.after(time.Minute, "")
	if n := testing.AllocsPerRun(5, g.w.look); n > 600 {
		t.Errorf("a look at the same lists makes %v allocations, at most 600", n)
	}
	g.w.SetLists([]List{{"never_ban", []string{"203.0.113.8"}}})
	if !g.after(time.Second, "203.0.113.8") || strings.Contains(g.s.text(), "10.0.0.1 ") {
		t.Error("the lists were replaced and the old ones stay")
	}
}
