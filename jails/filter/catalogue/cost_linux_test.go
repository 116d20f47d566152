package catalogue

import (
	"fmt"
	"runtime"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"stockade/jails/filter"
)

// others are the lines that are no failure: cron, systemd, kernel, mail, logins.
var others = []struct{ app, text string }{
	{"CRON", "(root) CMD (command -v debian-sa1 > /dev/null && debian-sa1 1 1)"},
	{"CRON", "pam_unix(cron:session): session opened for user root(uid=0) by (uid=0)"},
	{"systemd", "Started Session 77 of User alice."},
	{"systemd", "logrotate.service: Deactivated successfully."},
	{"kernel", "usb 1-1: new high-speed USB device number 2 using xhci_hcd"},
	{"kernel", "TCP: request_sock_TCP: Possible SYN flooding on port 443. Sending cookies.  Check SNMP counters."},
	{"postfix/smtpd", "connect from mail.example.com[192.0.2.25]"},
	{"postfix/cleanup", "4ABC12: message-id=<20260102030405.4ABC12@mail.example.com>"},
	{"postfix/qmgr", "4ABC12: from=<alice@example.com>, size=2345, nrcpt=1 (queue active)"},
	{"sshd", "Accepted publickey for alice from 192.0.2.17 port 50000 ssh2: ED25519 SHA256:hkchl94A66sXs3b2CIIgtclkf"},
	{"sshd", "pam_unix(sshd:session): session opened for user alice(uid=1000) by (uid=0)"},
	{"sshd", "Received disconnect from 192.0.2.17 port 50000:11: disconnected by user"},
}

// failures are five kinds of sshd's failures.
var failures = []string{
	"Failed password for root from %s port %d ssh2",
	"Failed password for invalid user admin from %s port %d ssh2",
	"Invalid user oracle from %s port %d",
	"Connection closed by authenticating user root %s port %d [preauth]",
	"Disconnecting invalid user pi %s port %d: Too many authentication failures [preauth]",
}

// mixed returns a log of a host under attack: six lines of ten are sshd's failures, from 5,000
// addresses.
func mixed() []filter.Line {
	var lines []filter.Line
	for i := range 20_000 {
		l := filter.Line{Host: []byte("h"), Time: time.Unix(1_700_000_000, 0), Facility: 4, Source: "s"}
		if i%10 < 6 {
			n := i % 5000
			addr := fmt.Sprintf("10.%d.%d.%d", n%7, n/250, n%250)
			l.App, l.PID = []byte("sshd"), fmt.Appendf(nil, "%d", 1000+i)
			l.Text = fmt.Appendf(nil, failures[i/2%len(failures)], addr, 1024+i)
		} else {
			o := others[(i/10*4+i%10-6)%len(others)]
			l.App, l.PID, l.Text = []byte(o.app), []byte("77"), []byte(o.text)
		}
		lines = append(lines, l)
	}
	return lines
}

// newSet compiles filters of the catalogue.
func newSet(tb testing.TB, names []string) *filter.Set {
	tb.Helper()
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
	return filter.NewSet(filters, nil)
}

// newMixed returns a function that matches one line of the mixed log after the other.
func newMixed(tb testing.TB, names []string) func(n int) {
	tb.Helper()
	set := newSet(tb, names)
	m := set.NewMatcher()
	lines := mixed()
	return func(n int) {
		for i := range n {
			l := &lines[i%len(lines)]
			m.Match(l, set.Route(l.App))
		}
	}
}

// maxCostRatio is how much the whole catalogue may cost compared with sshd alone. The target is
// 1.25; the rest is room for a busy machine.
const maxCostRatio = 1.4

// TestCostDoesNotGrowWithTheCatalogue compares the CPU time of all filters with sshd's alone, on
// the same log, taking turns.
func TestCostDoesNotGrowWithTheCatalogue(t *testing.T) {
	if testing.Short() || raceEnabled {
		t.Skip("a measurement")
	}
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	one, all := newMixed(t, []string{"sshd"}), newMixed(t, Names())
	one(20_000)
	all(20_000)
	// The quietest turn of each says what the work costs.
	alone, whole := time.Hour, time.Hour
	for range 10 {
		alone = min(alone, cpu(t, one))
		whole = min(whole, cpu(t, all))
	}
	ratio := float64(whole) / float64(alone)
	t.Logf("CPU time of a line: %v with sshd alone, %v with all %d filters, ratio %.2f",
		alone/20_000, whole/20_000, len(Names()), ratio)
	if ratio > maxCostRatio {
		t.Errorf("ratio %.2f, want at most %.2f", ratio, maxCostRatio)
	}
}

// TestOtherLinesAllocateNothing looks at lines that are no failure with all filters enabled.
func TestOtherLinesAllocateNothing(t *testing.T) {
	if raceEnabled {
		t.Skip("the race detector allocates")
	}
	set := newSet(t, Names())
	m := set.NewMatcher()
	for _, o := range others {
		if o.app == "sshd" {
			continue // logins are reported: they protect the address
		}
		l := filter.Line{App: []byte(o.app), Host: []byte("h"), Text: []byte(o.text), Facility: 4, Source: "s"}
		if n := testing.AllocsPerRun(100, func() { m.Match(&l, set.Route(l.App)) }); n != 0 {
			t.Errorf("%v allocations for a line of %s: %q", n, o.app, o.text)
		}
	}
}

// cpu returns the CPU time that this thread needs for 20,000 lines.
func cpu(tb testing.TB, run func(int)) time.Duration {
	tb.Helper()
	before := threadTime(tb)
	run(20_000)
	return threadTime(tb) - before
}

// threadTime returns the CPU time of this thread. The kernel's resource usage would count in ticks
// of 4 ms.
func threadTime(tb testing.TB) time.Duration {
	tb.Helper()
	var t unix.Timespec
	if err := unix.ClockGettime(unix.CLOCK_THREAD_CPUTIME_ID, &t); err != nil {
		tb.Fatal(err)
	}
	return time.Duration(t.Nano())
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
