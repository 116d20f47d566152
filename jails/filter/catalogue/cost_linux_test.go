package catalogue

import (
	"fmt"
	"runtime"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"stockade/jails/filter"
)

// mixed is a log as a busy host writes it: few lines are failures.
var mixed = []struct{ app, text string }{
	{"sshd", "Accepted publickey for alice from 192.0.2.17 port 50000 ssh2: ED25519 SHA256:hkchl94A66sXs3b2CIIgtclkf"},
	{"sshd", "pam_unix(sshd:session): session opened for user alice(uid=1000) by (uid=0)"},
	{"sshd", "Received disconnect from 192.0.2.17 port 50000:11: disconnected by user"},
	{"sshd", "Failed password for root from 192.0.2.7 port 55000 ssh2"},
	{"CRON", "(root) CMD (command -v debian-sa1 > /dev/null && debian-sa1 1 1)"},
	{"systemd", "Started Session 77 of User alice."},
	{"kernel", "usb 1-1: new high-speed USB device number 2 using xhci_hcd"},
	{"nginx", "192.0.2.2 - - [02/Jan/2026:03:04:05 +0000] \"GET /index.html HTTP/1.1\" 200 5195 \"-\" \"Mozilla/5.0\""},
	{"nginx", "192.0.2.3 - - [02/Jan/2026:03:04:05 +0000] \"GET /style.css HTTP/1.1\" 304 0 \"https://www.example.com/\" \"Mozilla/5.0\""},
	{"postfix/smtpd", "connect from mail.example.com[192.0.2.25]"},
	{"postfix/cleanup", "4ABC12: message-id=<20260102030405.4ABC12@mail.example.com>"},
	{"dovecot", "imap-login: Login: user=<bob>, method=PLAIN, rip=192.0.2.9, lip=203.0.113.1, mpid=77, TLS, session=<abc>"},
	{"dbus-daemon", "[system] Successfully activated service 'org.freedesktop.hostname1'"},
	{"named", "client @0x7f 192.0.2.1#61977 (example.com): query: example.com IN A +E(0) (203.0.113.1)"},
}

// newMixed returns a function that matches one line of the mixed log after the other.
func newMixed(tb testing.TB, names []string) func(n int) {
	var filters []*filter.Filter
	for _, name := range names {
		spec, err := Get(name, nil)
		if err != nil {
			tb.Fatal(err)
		}
		f, err := filter.Compile(spec)
		if err != nil {
			tb.Fatal(err)
		}
		filters = append(filters, f)
	}
	set := filter.NewSet(filters, nil)
	m := set.NewMatcher()
	var lines []filter.Line
	for _, l := range mixed {
		lines = append(lines, filter.Line{
			App: []byte(l.app), Host: []byte("h"), PID: []byte("77"), Text: []byte(l.text),
			Time: time.Unix(1_700_000_000, 0), Facility: 4, Source: "s",
		})
	}
	return func(n int) {
		for i := range n {
			l := &lines[i%len(lines)]
			m.Match(l, set.Route(l.App))
		}
	}
}

// TestCostDoesNotGrowWithTheCatalogue compares the CPU time of all filters with sshd's alone.
func TestCostDoesNotGrowWithTheCatalogue(t *testing.T) {
	if testing.Short() || raceEnabled {
		t.Skip("a measurement")
	}
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	one, all := newMixed(t, []string{"sshd"}), newMixed(t, Names())
	one(1000)
	all(1000)
	var alone, whole time.Duration
	for range 5 {
		alone += cpu(t, one)
		whole += cpu(t, all)
	}
	ratio := float64(whole) / float64(alone)
	t.Logf("CPU time of a line: %v with sshd alone, %v with all %d filters, ratio %.2f",
		alone/100_000, whole/100_000, len(Names()), ratio)
	if ratio > 5 {
		t.Errorf("ratio %.2f, want at most 5", ratio)
	}
}

// cpu returns the CPU time that this thread needs for 20,000 lines.
func cpu(tb testing.TB, run func(int)) time.Duration {
	tb.Helper()
	var before, after unix.Rusage
	if err := unix.Getrusage(unix.RUSAGE_THREAD, &before); err != nil {
		tb.Fatal(err)
	}
	run(20_000)
	if err := unix.Getrusage(unix.RUSAGE_THREAD, &after); err != nil {
		tb.Fatal(err)
	}
	return time.Duration(after.Utime.Nano() + after.Stime.Nano() - before.Utime.Nano() - before.Stime.Nano())
}

func BenchmarkMixed(b *testing.B) {
	for _, names := range [][]string{{"sshd"}, Names()} {
		b.Run(fmt.Sprint(len(names)), func(b *testing.B) {
			run := newMixed(b, names)
			run(1000)
			b.ReportAllocs()
			b.ResetTimer()
			run(b.N)
		})
	}
}
