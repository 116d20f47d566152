package action

import (
	"context"
	"log/slog"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// writeAction writes an action file and returns a reference to it. %DIR% is a folder that everybody
// may write to.
func writeAction(t *testing.T, text string) (ref, dir string) {
	t.Helper()
	dir, err := os.MkdirTemp("", "stk")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	if err := os.Chmod(dir, 0o777); err != nil { //nolint:gosec // nobody writes to it
		t.Fatal(err)
	}
	file := filepath.Join(dir, "act.conf")
	if err := os.WriteFile(file, []byte(strings.ReplaceAll(text, "%DIR%", dir)), 0o644); err != nil {
		t.Fatal(err)
	}
	return "fail2ban:" + file, dir
}

func runIt(t *testing.T, ref string, bans func(string) []Ban) (r *Runner, stop func()) {
	t.Helper()
	if bans == nil {
		bans = func(string) []Ban { return nil }
	}
	r, err := New([]Config{{Name: "act", Action: ref, Jails: []string{"sshd"}}},
		Options{Log: slog.New(slog.DiscardHandler), Allow: true, Host: "gate.example.net", Bans: bans})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan struct{})
	go func() { _ = r.Run(ctx); close(done) }()
	<-r.Ready()
	stop = func() { cancel(); <-done }
	t.Cleanup(stop)
	return r, stop
}

func eventually(t *testing.T, what string, ok func() bool) {
	t.Helper()
	for deadline := time.Now().Add(30 * time.Second); !ok(); time.Sleep(2 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("not within 30 s: %s", what)
		}
	}
}

func read(dir string) string {
	text, _ := os.ReadFile(filepath.Join(dir, "log"))
	return string(text)
}

func ban(addr string, d time.Duration) Ban {
	p, err := netip.ParsePrefix(addr)
	if err != nil {
		a := netip.MustParseAddr(addr)
		p = netip.PrefixFrom(a, a.BitLen())
	}
	now := time.Now()
	return Ban{Jail: "sshd", Prefix: p, Start: now, End: now.Add(d), Count: 1, Failures: 3}
}

// earlier is a ban of an hour that began before everything else.
func earlier(addr string) Ban {
	b := ban(addr, time.Hour)
	b.Start, b.End = b.Start.Add(-time.Minute), b.End.Add(-time.Minute)
	return b
}

// TestAsFail2banRunsThem goes through the commands of an action that has all of them.
func TestAsFail2banRunsThem(t *testing.T) {
	ref, dir := writeAction(t, `[Definition]
actionstart = echo start <name> <tool> >> %DIR%/log
actionstop = echo stop <tool> >> %DIR%/log
actionflush = echo flush <tool> >> %DIR%/log
actionban = echo ban <ip> <tool> <bantime> <restored> <failures> <mark> >> %DIR%/log
actionprolong = echo prolong <ip> <bantime> >> %DIR%/log
actionunban = echo unban <ip> <tool> >> %DIR%/log
[Init]
tool = four
mark = <name>-mark
[Init?family=inet6]
tool = six
`)
	ref = strings.TrimSuffix(ref, ".conf") + `.conf[mark="m n"]`
	r, stop := runIt(t, ref, func(string) []Ban { return []Ban{earlier("192.0.2.1")} })
	r.Post(ban("2001:db8::/64", time.Hour), false)
	r.Post(ban("192.0.2.2", time.Hour), false)
	r.Post(ban("192.0.2.2", 2*time.Hour), false)
	r.Post(Ban{Jail: "sshd", Prefix: netip.MustParsePrefix("192.0.2.2/32")}, true)
	r.Post(Ban{Jail: "sshd", Prefix: netip.MustParsePrefix("192.0.2.9/32")}, true) // never banned
	short := ban("192.0.2.3", 300*time.Millisecond)
	r.Post(short, false)
	r.Post(Ban{Jail: "other", Prefix: netip.MustParsePrefix("192.0.2.4/32")}, false)
	eventually(t, "the short ban ends", func() bool { return strings.Contains(read(dir), "unban 192.0.2.3") })
	stop()
	want := `start sshd four
ban 192.0.2.1 four 3600 1 3 m n
start sshd six
ban 2001:db8:: six 3600 0 3 m n
ban 192.0.2.2 four 3600 0 3 m n
prolong 192.0.2.2 7200
unban 192.0.2.2 four
ban 192.0.2.3 four 0 0 3 m n
unban 192.0.2.3 four
flush four
flush six
stop four
stop six
`
	if got := read(dir); got != want {
		t.Errorf("it ran\n%swant\n%s", got, want)
	}
}

// TestRepaired breaks what an action has set up: actioncheck finds it, actionstart mends it.
func TestRepaired(t *testing.T) {
	ref, dir := writeAction(t, `[Definition]
norestored = 1
actionstart = touch %DIR%/set
actioncheck = test -e %DIR%/set
actionban = test -e %DIR%/set && echo ban <ip> >> %DIR%/log
actionunban = echo unban <ip> >> %DIR%/log
actionstop = rm -f %DIR%/set
`)
	r, stop := runIt(t, ref, func(string) []Ban { return []Ban{earlier("192.0.2.1")} })
	r.Post(ban("192.0.2.2", time.Hour), false)
	eventually(t, "the first ban", func() bool { return strings.Contains(read(dir), "ban 192.0.2.2") })
	if err := os.Remove(filepath.Join(dir, "set")); err != nil {
		t.Fatal(err)
	}
	r.Post(ban("192.0.2.3", time.Hour), false)
	eventually(t, "the ban after the repair", func() bool { return strings.Contains(read(dir), "ban 192.0.2.3") })
	stop()
	if got := read(dir); strings.Contains(got, "192.0.2.1") || strings.Count(got, "unban") != 2 {
		t.Errorf("it ran\n%s", got)
	}
	if s := r.Stats(); s[0].Failed < 2 || s[0].Run == 0 {
		t.Errorf("%+v", s)
	}
}

func TestOffUnlessAllowed(t *testing.T) {
	ref, dir := writeAction(t, "[Definition]\nactionstart = touch %DIR%/log\nactionban = touch %DIR%/log\n")
	r, err := New([]Config{{Name: "act", Action: ref, Jails: []string{"sshd"}}}, Options{Log: slog.New(slog.DiscardHandler)})
	if err != nil || r.Wants("sshd") || len(r.Stats()) != 0 {
		t.Errorf("an action is on that nobody allowed: %v", err)
	}
	if _, err := os.Stat(filepath.Join(dir, "log")); err == nil {
		t.Error("it ran")
	}
}

// TestPostNeverWaits fills the queue of an action that hangs, and ends it: neither takes its time.
func TestPostNeverWaits(t *testing.T) {
	ref, _ := writeAction(t, "[Definition]\nactionban = sleep 600\nactionunban = sleep 600\n")
	r, stop := runIt(t, ref, nil)
	r.mu.Lock()
	r.running[0].last = 200 * time.Millisecond
	r.mu.Unlock()
	b := ban("192.0.2.1", time.Hour)
	began := time.Now()
	for i := range maxQueue + 100 {
		b.Prefix = netip.PrefixFrom(netip.AddrFrom4([4]byte{20, 0, byte(i >> 8), byte(i)}), 32)
		r.Post(b, false)
	}
	if took := time.Since(began); took > 5*time.Second {
		t.Errorf("posting took %s", took)
	}
	if s := r.Stats()[0]; s.Dropped < 90 {
		t.Errorf("%+v", s)
	}
	began = time.Now()
	stop()
	if took := time.Since(began); took > 20*time.Second {
		t.Errorf("stopping took %s", took)
	}
}

func TestSwap(t *testing.T) {
	ref, dir := writeAction(t, "[Definition]\nactionstart = echo start <name> >> %DIR%/log\nactionstop = echo stop <name> >> %DIR%/log\nactionban = echo <ip> <name> >> %DIR%/log\n")
	r, stop := runIt(t, ref, nil)
	eventually(t, "the start", func() bool { return read(dir) == "start sshd\n" })
	if err := r.Swap([]Config{{Name: "act", Action: ref, Jails: []string{"sshd", "nginx"}}}, true); err != nil {
		t.Fatal(err)
	}
	eventually(t, "the start of the new one", func() bool { return read(dir) == "start sshd\nstart nginx\n" })
	if err := r.Swap([]Config{{Name: "act", Action: "fail2ban:/nowhere.conf", Jails: []string{"sshd"}}}, true); err == nil {
		t.Error("a bad configuration is taken")
	}
	if err := r.Swap(nil, true); err != nil {
		t.Fatal(err)
	}
	eventually(t, "both stops", func() bool { return strings.Count(read(dir), "stop") == 2 })
	stop()
}

func TestValidate(t *testing.T) {
	good, _ := writeAction(t, "[Definition]\nactionban = echo <ip>\n")
	for text, want := range map[string]string{"[Definition]\nactionban = eval <matches>\n": "shell", "[Definition]\n": "no command"} {
		ref, _ := writeAction(t, text)
		if _, err := Read(ref, "sshd"); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: %v, want %q", text, err, want)
		}
	}
	for _, tc := range []struct {
		c    Config
		want string
	}{
		{Config{Name: "a", Action: good, Jails: []string{"sshd"}}, ""},
		{Config{Name: "A", Action: good, Jails: []string{"sshd"}}, "name"},
		{Config{Name: "a", Action: "/etc/x.conf", Jails: []string{"sshd"}}, "write fail2ban:"},
		{Config{Name: "a", Action: good}, "no jails"},
		{Config{Name: "a", Action: good, Jails: []string{"nginx"}}, `no jail "nginx"`},
		{Config{Name: "a", Action: good, Jails: []string{"sshd"}, User: "no-such-user"}, "no user"},
		{Config{Name: "a", Action: good, Jails: []string{"sshd"}, Timeout: time.Hour}, "timeout"},
	} {
		got := ""
		Validate([]Config{tc.c}, []string{"sshd"}, func(path, message string) { got += path + ": " + message + "\n" })
		if (got == "") != (tc.want == "") || !strings.Contains(got, tc.want) {
			t.Errorf("%+v: %q, want %q", tc.c, got, tc.want)
		}
	}
}
