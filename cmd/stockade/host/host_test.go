package host

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// fake is a folder that stands for / .
type fake struct {
	t   testing.TB
	dir string
}

func newFake(t testing.TB) *fake { return &fake{t, t.TempDir()} }

func (f *fake) write(name, text string) string {
	f.t.Helper()
	path := filepath.Join(f.dir, name)
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		f.t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
		f.t.Fatal(err)
	}
	return path
}

func (f *fake) remove(name string) {
	f.t.Helper()
	if err := os.Remove(filepath.Join(f.dir, name)); err != nil {
		f.t.Fatal(err)
	}
}

// process adds a process with one open socket.
func (f *fake) process(pid, parent, uid int, comm, title string, socket int) {
	f.t.Helper()
	dir := fmt.Sprintf("proc/%d/", pid)
	f.write(dir+"comm", comm+"\n")
	f.write(dir+"cmdline", title+"\x00\x00\x00")
	f.write(dir+"status", fmt.Sprintf("Name:\t%s\nPPid:\t%d\nUid:\t%d\t%d\t%d\t%d\n", comm, parent, uid, uid, uid, uid))
	if socket > 0 {
		if err := os.MkdirAll(filepath.Join(f.dir, dir, "fd"), 0o755); err != nil {
			f.t.Fatal(err)
		}
		if err := os.Symlink(fmt.Sprintf("socket:[%d]", socket), filepath.Join(f.dir, dir, "fd/3")); err != nil {
			f.t.Fatal(err)
		}
	}
}

// row is a line of /proc/net/tcp or udp.
func row(local, peer string, state, uid, inode int) string {
	hexed := func(s string) string {
		ap := netip.MustParseAddrPort(s)
		raw, out := ap.Addr().AsSlice(), ""
		for i := 0; i < len(raw); i += 4 {
			out += fmt.Sprintf("%08X", binary.NativeEndian.Uint32(raw[i:]))
		}
		return fmt.Sprintf("%s:%04X", out, ap.Port())
	}
	return fmt.Sprintf("   0: %s %s %02X 00000000:00000000 00:00000000 00000000  %4d        0 %d 1 0 20 4 30 10 -1\n",
		hexed(local), hexed(peer), state, uid, inode)
}

const heads = "  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode\n"

// seen collects what a watcher reports.
type seen struct {
	mu   sync.Mutex
	list []Protected
	n    int
}

func (s *seen) set(list []Protected) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.list, s.n = list, s.n+1
}

func (s *seen) text() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	var all []string
	for _, p := range s.list {
		all = append(all, strings.TrimSuffix(strings.TrimSuffix(p.Prefix.String(), "/32"), "/128")+" "+p.Why)
	}
	return strings.Join(all, "\n")
}

// once looks at a root once.
func once(t testing.TB, o Options, lists ...List) string {
	t.Helper()
	var s seen
	o.Changed = s.set
	w := New(o)
	w.SetLists(lists)
	w.past()
	w.look()
	return s.text()
}

// run starts a watcher and waits until it is ready.
func run(t testing.TB, w *Watcher) {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- w.Run(ctx) }()
	t.Cleanup(func() {
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
	select {
	case <-w.Ready():
	case <-time.After(30 * time.Second):
		t.Fatal("not ready after 30 s")
	}
}

func eventually(t testing.TB, limit time.Duration, what string, ok func() bool) time.Duration {
	t.Helper()
	begin := time.Now()
	for !ok() {
		if time.Since(begin) > limit {
			t.Fatalf("not within %s: %s", limit, what)
		}
		time.Sleep(5 * time.Millisecond)
	}
	return time.Since(begin)
}

func TestServices(t *testing.T) {
	f := newFake(t)
	f.write("etc/resolv.conf", "# resolver\nnameserver 127.0.0.53\nnameserver 192.0.2.53 # lan\nnameserver fe80::1%eth0\noptions edns0\n")
	f.write("run/systemd/resolve/resolv.conf", "nameserver 198.51.100.53\nnameserver ::ffff:198.51.100.54\n")
	f.write("etc/chrony/chrony.conf", "pool 2.debian.pool.ntp.org iburst\nserver 192.0.2.123 iburst\n! server 192.0.2.124\n")
	f.write("run/chrony-dhcp/eth0.sources", "server 192.0.2.125 iburst\n")
	f.write("etc/systemd/timesyncd.conf", "[Time]\nNTP=192.0.2.126 time.example.net 192.0.2.127\n#FallbackNTP=192.0.2.128\n")
	f.write("etc/wireguard/wg0.conf", "[Peer]\nPublicKey = x=\nEndpoint = 203.0.113.1:51820\n[Peer]\nEndpoint=[2001:db8::5]:51820\n[Peer]\nEndpoint = vpn.example.net:51820\n")
	f.write("etc/openvpn/client/office.conf", "client\nremote 203.0.113.2 1194\nremote vpn.example.net\n; remote 203.0.113.3\n")
	want := strings.Join([]string{
		"192.0.2.53 resolver", "192.0.2.123 time server", "192.0.2.125 time server", "192.0.2.126 time server", "192.0.2.127 time server",
		"198.51.100.53 resolver", "198.51.100.54 resolver", "203.0.113.1 VPN endpoint", "203.0.113.2 VPN endpoint",
		"2001:db8::5 VPN endpoint", "fe80::1 resolver",
	}, "\n")
	if got := once(t, Options{Root: f.dir}); got != want {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}
}

func TestTimePeers(t *testing.T) {
	f := newFake(t)
	f.write("proc/net/udp", heads+
		row("192.0.2.1:40000", "192.0.2.123:123", 1, 101, 1)+ // chrony
		row("192.0.2.1:40001", "192.0.2.124:123", 1, 1000, 2)+ // somebody's own
		row("192.0.2.1:40002", "192.0.2.125:53", 1, 101, 3)+
		row("0.0.0.0:123", "0.0.0.0:0", 7, 0, 4)+"garbage\n")
	f.write("proc/net/udp6", heads+row("[2001:db8::1]:40000", "[2001:db8::123]:123", 1, 61500, 5))
	now := time.Now()
	var s seen
	w := New(Options{Root: f.dir, Changed: s.set, now: func() time.Time { return now }})
	want := "192.0.2.123 time server\n2001:db8::123 time server"
	if w.look(); s.text() != want {
		t.Errorf("got\n%s\nwant\n%s", s.text(), want)
	}
	f.write("proc/net/udp", heads)
	f.write("proc/net/udp6", heads)
	now = now.Add(lingerNTP - time.Second)
	if w.look(); s.text() != want {
		t.Errorf("after a day: %q", s.text())
	}
	now = now.Add(2 * time.Second)
	if w.look(); s.text() != "" {
		t.Errorf("later: %q", s.text())
	}
}

// record is one of utmp's.
func record(kind, pid int, line, addr string, at time.Time) string {
	l := hostLayout()
	b := make([]byte, l.size)
	binary.NativeEndian.PutUint16(b, uint16(kind))
	binary.NativeEndian.PutUint32(b[4:], uint32(pid))
	copy(b[8:], line)
	if l.size == utmp64.size {
		binary.NativeEndian.PutUint64(b[l.seconds:], uint64(at.Unix()))
	} else {
		binary.NativeEndian.PutUint32(b[l.seconds:], uint32(at.Unix()))
	}
	switch a, err := netip.ParseAddr(addr); {
	case err != nil:
		copy(b[76:], addr)
	default:
		copy(b[l.addr:], a.AsSlice())
	}
	return string(b)
}

func stat(pid int, began, boot time.Time) string {
	return fmt.Sprintf("%d (sshd) odd) S 1 1 1 0 -1 4194560 1 2 3 4 5 6 7 8 20 0 1 0 %d 1 2 3\n", pid, int64(began.Sub(boot)/(time.Second/clockTicks)))
}

func TestLogins(t *testing.T) {
	f := newFake(t)
	now := time.Now()
	boot := now.Add(-1000 * time.Hour).Truncate(time.Second)
	login := now.Add(-time.Hour)
	f.write("proc/stat", fmt.Sprintf("cpu 1 2\nbtime %d\n", boot.Unix()))
	f.write("proc/10/stat", stat(10, login.Add(-time.Second), boot))
	f.write("proc/11/stat", stat(11, login.Add(-time.Second), boot))
	f.write("proc/12/stat", stat(12, login.Add(10*time.Minute), boot)) // took the number of a dead one
	f.write("run/utmp", record(utmpUser, 10, "pts/0", "198.51.100.10", login)+record(utmpUser, 11, "pts/1", "2001:db8::11", login)+
		record(utmpUser, 12, "pts/2", "198.51.100.12", login)+record(utmpUser, 99, "pts/3", "198.51.100.13", login)+
		record(utmpDead, 10, "pts/4", "198.51.100.14", login)+record(utmpUser, 10, "tty1", "", login)+
		record(utmpUser, 10, "pts/5", "client.example.net", login)+"half a record")
	f.write("var/log/wtmp", record(utmpUser, 20, "pts/7", "198.51.100.20", login)+record(utmpUser, 21, "pts/8", "198.51.100.21", login)+
		record(utmpDead, 20, "pts/7", "", now.Add(-9*time.Minute))+record(utmpDead, 21, "pts/8", "", now.Add(-11*time.Minute)))
	f.write("run/systemd/sessions/1", "# private\nUID=1000\nREMOTE=1\nREMOTE_HOST=198.51.100.30\nSTATE=active\n")
	f.write("run/systemd/sessions/2", "REMOTE=1\nREMOTE_HOST=\"2001:db8::30\"\nSTATE=online\n")
	f.write("run/systemd/sessions/3", "REMOTE=1\nREMOTE_HOST=198.51.100.31\nSTATE=closing\n")
	f.write("run/systemd/sessions/4", "REMOTE=1\nREMOTE_HOST=client.example.net\nSTATE=active\n")
	want := "198.51.100.10 login session\n198.51.100.20 login session\n198.51.100.30 login session\n2001:db8::11 login session\n2001:db8::30 login session"
	if got := once(t, Options{Root: f.dir}); got != want {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}
}

func TestSSHPeers(t *testing.T) {
	f := newFake(t)
	f.process(100, 1, 0, "sshd", "sshd: /usr/sbin/sshd -D [listener] 0 of 10-100 startups", 1)
	f.process(101, 100, 0, "sshd", "sshd: alice [priv]", 11)
	f.process(102, 101, 1000, "sshd", "sshd: alice@pts/0", 11)
	f.process(103, 100, 0, "sshd-session", "sshd-session: root@notty", 13)
	f.process(104, 100, 0, "sshd", "sshd: bob [priv]", 14)              // has not logged in
	f.process(105, 104, 110, "sshd", "sshd: bob [net]", 14)             // his unprivileged half
	f.process(106, 500, 1001, "sshd", "sshd: mallory@pts/1", 16)        // a user's own program
	f.process(500, 1, 1001, "sshd", "sshd: mallory [priv]", 0)          // and its parent
	f.process(107, 101, 1000, "sshd", "sshd: alice@pts/1", 17)          // a forwarded connection
	f.process(108, 1, 0, "openvpn", "openvpn --config office.conf", 18) // calls out
	f.process(109, 1, 0, "openvpn", "openvpn --config server.conf", 19) // is called
	f.process(110, 1, 0, "charon", "charon", 20)
	f.write("proc/net/tcp", heads+
		row("0.0.0.0:22", "0.0.0.0:0", 10, 0, 1)+
		row("0.0.0.0:8080", "0.0.0.0:0", 10, 1000, 2)+ // forwarded by a session
		row("0.0.0.0:443", "0.0.0.0:0", 10, 0, 3)+
		row("192.0.2.1:22", "198.51.100.11:4000", 1, 0, 11)+
		row("192.0.2.1:22", "198.51.100.14:4000", 1, 0, 14)+
		row("192.0.2.1:22", "198.51.100.16:4000", 1, 1001, 16)+
		row("192.0.2.1:8080", "198.51.100.17:4000", 1, 1000, 17)+
		row("192.0.2.1:50000", "203.0.113.18:1194", 1, 0, 18)+
		row("192.0.2.1:443", "198.51.100.19:4000", 1, 0, 19))
	f.write("proc/net/tcp6", heads+row("[::ffff:192.0.2.1]:22", "[::ffff:198.51.100.13]:4000", 1, 0, 13))
	f.write("proc/net/udp", heads+row("192.0.2.1:4500", "203.0.113.20:4500", 1, 0, 20))
	want := "198.51.100.11 login session\n198.51.100.13 login session\n203.0.113.18 VPN endpoint\n203.0.113.20 VPN endpoint"
	if got := once(t, Options{Root: f.dir}); got != want {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}
}

func TestSessionLingers(t *testing.T) {
	f := newFake(t)
	f.write("run/systemd/sessions/1", "REMOTE_HOST=198.51.100.30\nSTATE=active\n")
	now := time.Now()
	var s seen
	w := New(Options{Root: f.dir, Changed: s.set, now: func() time.Time { return now }})
	w.look()
	now = now.Add(5 * time.Hour)
	w.look()
	f.remove("run/systemd/sessions/1")
	now = now.Add(lingerSession - time.Second)
	if w.look(); s.text() == "" {
		t.Error("it ended less than 10 minutes ago and is not protected")
	}
	now = now.Add(time.Second)
	if w.look(); s.text() != "" || s.n != 2 {
		t.Errorf("10 minutes later: %q, %d reports, want none of it and 2", s.text(), s.n)
	}
}

// TestLateProtection: what is written while the watcher runs is in force soon, within a second on a quiet machine.
func TestLateProtection(t *testing.T) {
	f := newFake(t)
	allow := f.write("allow.txt", "192.0.2.1\n")
	var s seen
	w := New(Options{Root: f.dir, Changed: s.set})
	w.SetLists([]List{{"never_ban", []string{"file:" + allow, "203.0.113.0/24"}}})
	run(t, w)
	if got := s.text(); got != "192.0.2.1 never_ban\n203.0.113.0/24 never_ban" {
		t.Fatalf("at the beginning: %q", got)
	}
	for i, step := range []struct {
		what string
		do   func()
		want string
	}{
		{"a line is added", func() { f.write("allow.txt", "192.0.2.1\n192.0.2.2\n") }, "192.0.2.2 never_ban"},
		{"a line of the same length is changed", func() { f.write("allow.txt", "192.0.2.1\n192.0.2.3\n") }, "192.0.2.3 never_ban"},
		{"the file is replaced", func() {
			f.write("next", "192.0.2.4\n")
			if err := os.Rename(filepath.Join(f.dir, "next"), allow); err != nil {
				t.Fatal(err)
			}
		}, "192.0.2.4 never_ban"},
		{"somebody logs in", func() { f.write("run/systemd/sessions/1", "REMOTE_HOST=198.51.100.30\nSTATE=active\n") }, "198.51.100.30 login session"},
		{"a resolver is added", func() { f.write("etc/resolv.conf", "nameserver 192.0.2.53\n") }, "192.0.2.53 resolver"},
		{"the lists are replaced", func() { w.SetLists([]List{{"jails[0].ignoreip", []string{"192.0.2.77"}}}) }, "192.0.2.77 jails[0].ignoreip"},
	} {
		step.do()
		took := eventually(t, 30*time.Second, step.what, func() bool { return strings.Contains(s.text(), step.want) })
		t.Logf("%d %s: %v", i, step.what, took.Round(time.Millisecond))
	}
	if strings.Contains(s.text(), "never_ban") {
		t.Errorf("the old list stays: %s", s.text())
	}
}

// Lists are in force when they are given, not at the next look.
func TestListsDoNotWaitForALook(t *testing.T) {
	f := newFake(t)
	var s seen
	w := New(Options{Root: f.dir, Changed: s.set, every: 24 * time.Hour})
	run(t, w)
	w.SetLists([]List{{"never_ban", []string{"192.0.2.1"}}})
	eventually(t, 30*time.Second, "the list is in force", func() bool { return s.text() == "192.0.2.1 never_ban" })
}

// Only the files of lists are promised within a second.
func TestPace(t *testing.T) {
	f := newFake(t)
	allow := f.write("allow.txt", "192.0.2.1\n")
	w := New(Options{Root: f.dir, Changed: func([]Protected) {}})
	for _, test := range []struct {
		name    string
		entries []string
		want    time.Duration
	}{
		{"no list", nil, 2 * pollEvery},
		{"a list with a file", []string{"file:" + allow}, pollEvery},
		{"a list without one", []string{"192.0.2.2"}, 2 * pollEvery},
	} {
		w.SetLists([]List{{"never_ban", test.entries}})
		w.look()
		if got := w.pace(); got != test.want {
			t.Errorf("%s: looks every %s, want %s", test.name, got, test.want)
		}
	}
}

func TestListFileKeepsItsLastGoodEntries(t *testing.T) {
	f := newFake(t)
	allow := f.write("allow.txt", "192.0.2.1\n")
	now := time.Now()
	var s seen
	w := New(Options{Root: f.dir, Changed: s.set, now: func() time.Time { return now }})
	w.SetLists([]List{{"never_ban", []string{"file:" + allow}}})
	w.look()
	for _, text := range []string{"<html>not a list</html>\n", ""} {
		if text == "" {
			f.remove("allow.txt")
		} else {
			f.write("allow.txt", text)
		}
		if w.look(); s.text() != "192.0.2.1 never_ban" {
			t.Errorf("%q: %q, want the last good entries", text, s.text())
		}
	}
	f.write("allow.txt", "# nobody any more\n")
	if w.look(); s.text() != "" {
		t.Errorf("an emptied file: %q", s.text())
	}
}

func TestNames(t *testing.T) {
	var asked atomic.Int64
	var answer atomic.Pointer[[]netip.Addr]
	clock := atomic.Int64{}
	clock.Store(time.Now().UnixNano())
	f := newFake(t)
	var s seen
	w := New(Options{
		Root: f.dir, Changed: s.set, every: 5 * time.Millisecond,
		now: func() time.Time { return time.Unix(0, clock.Load()) },
		lookup: func(_ context.Context, name string) ([]netip.Addr, error) {
			asked.Add(1)
			if name != "home.example.net" {
				t.Errorf("%q was asked for", name)
			}
			if a := answer.Load(); a != nil {
				return *a, nil
			}
			return nil, errors.New("server misbehaving")
		},
	})
	run(t, w)
	w.SetLists([]List{{"never_ban", []string{"192.0.2.1"}}})
	eventually(t, 30*time.Second, "the list is in force", func() bool { return s.text() == "192.0.2.1 never_ban" })
	if n := asked.Load(); n != 0 {
		t.Errorf("%d questions were asked without names", n)
	}
	again := func(what, want string, addrs ...string) {
		t.Helper()
		answer.Store(nil)
		if len(addrs) > 0 {
			var list []netip.Addr
			for _, a := range addrs {
				list = append(list, netip.MustParseAddr(a))
			}
			answer.Store(&list)
		}
		n := asked.Load()
		clock.Add(int64(refreshAnswers + time.Second))
		hint(w.names.poke)
		eventually(t, 30*time.Second, what+": it is asked", func() bool { return asked.Load() > n })
		eventually(t, 30*time.Second, what, func() bool { return s.text() == want })
	}
	w.SetLists([]List{{"never_ban", []string{"Home.Example.NET."}}})
	again("the first answer", "192.0.2.7 never_ban: home.example.net", "::ffff:192.0.2.7")
	again("another", "192.0.2.8 never_ban: home.example.net\n2001:db8::8 never_ban: home.example.net", "2001:db8::8", "192.0.2.8")
	again("no answer", "192.0.2.8 never_ban: home.example.net\n2001:db8::8 never_ban: home.example.net")
	again("an answer again", "192.0.2.9 never_ban: home.example.net", "192.0.2.9")
}

func TestSplitNames(t *testing.T) {
	names, rest := SplitNames([]string{
		"192.0.2.1", "Home.Example.net.", "2001:db8::/32", "file:/etc/allow", "localhost", "192.0.2.300", "1.2.3.0x7", "a b", "-x.net", "x_y.lan",
		"::ffff:192.0.2.1", "fe80::1%eth0", "", "a..b", strings.Repeat("a", 64) + ".net",
	})
	if want := []string{"home.example.net", "localhost", "x_y.lan"}; !slices.Equal(names, want) {
		t.Errorf("names are %q, want %q", names, want)
	}
	if len(rest) != 12 {
		t.Errorf("rest is %q", rest)
	}
}

// TestThisHost looks at the machine that runs the test: it must find its way through a real /proc.
func TestThisHost(t *testing.T) {
	begin := time.Now()
	got := once(t, Options{})
	t.Logf("%v:\n%s", time.Since(begin).Round(time.Microsecond), got)
}

// FuzzFiles: whatever stands in the host's files, no reader panics, and what it returns can be
// protected.
func FuzzFiles(f *testing.F) {
	f.Add([]byte("nameserver 192.0.2.1\nEndpoint = [::1]:1\nserver\nremote\nNTP=\n"))
	f.Add([]byte(heads + row("192.0.2.1:40000", "192.0.2.123:123", 1, 101, 1)))
	f.Add([]byte(record(utmpUser, 1, "pts/0", "192.0.2.1", time.Unix(1, 0))))
	f.Fuzz(func(t *testing.T, data []byte) {
		var all []Protected
		for _, read := range []func(string, []byte) []Protected{readResolvers, readNTP, readVPN, readSession} {
			all = append(all, read("", data)...)
		}
		fake := newFake(t)
		for _, name := range []string{"proc/net/udp", "run/utmp", "var/log/wtmp", "proc/stat", "proc/1/stat", "proc/1/status"} {
			fake.write(name, string(data))
		}
		r := root(fake.dir)
		all = append(all, r.timePeers("udp")...)
		lastProcess(data)
		udpSockets(data)
		all = append(all, readUTMP(r)...)
		readWTMP(r, time.Time{})
		for _, p := range all {
			if !p.Prefix.IsValid() || p.Prefix.Addr().Is4In6() || p.Prefix.Addr().Zone() != "" || p.Why == "" {
				t.Errorf("%+v", p)
			}
		}
	})
}
