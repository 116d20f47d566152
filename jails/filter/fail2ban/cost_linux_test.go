package fail2ban

import (
	"fmt"
	"path/filepath"
	"runtime"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"stockade/jails/filter"
)

// attackLog is the log of a host under attack: six lines of ten are sshd's failures of five kinds,
// the others cron, systemd, kernel, postfix and logins.
func attackLog() []*filter.Line {
	failures := []string{
		"Failed password for root from %s port %d ssh2",
		"Failed password for invalid user admin from %s port %d ssh2",
		"Invalid user oracle from %s port %d",
		"Connection closed by authenticating user root %s port %d [preauth]",
		"Disconnecting invalid user pi %s port %d: Too many authentication failures [preauth]",
	}
	others := []struct{ app, text string }{
		{"CRON", "(root) CMD (command -v debian-sa1 > /dev/null && debian-sa1 1 1)"},
		{"systemd", "Started Session 77 of User alice."},
		{"kernel", "usb 1-1: new high-speed USB device number 2 using xhci_hcd"},
		{"postfix/smtpd", "connect from mail.example.com[192.0.2.25]"},
		{"postfix/qmgr", "4ABC12: from=<alice@example.com>, size=2345, nrcpt=1 (queue active)"},
		{"sshd", "Accepted publickey for alice from 192.0.2.17 port 50000 ssh2: ED25519 SHA256:hkchl94A66sXs3b2CIIgtclkf"},
	}
	var lines []*filter.Line
	for i := range costLines {
		l := entry("sshd", fmt.Sprint(1000+i), "")
		if i%10 < 6 {
			n := i % 5000
			l.Text = fmt.Appendf(nil, failures[i/2%len(failures)], fmt.Sprintf("10.%d.%d.%d", n%7, n/250, n%250), 1024+i)
		} else {
			o := others[(i/10*4+i%10-6)%len(others)]
			l.App, l.Text = []byte(o.app), []byte(o.text)
		}
		lines = append(lines, l)
	}
	return lines
}

const (
	costLines = 10_000
	// maxCostRatio is how much 60 filters may cost compared with sshd's alone. The target is 1.5; the
	// rest is room for a busy machine.
	maxCostRatio = 1.8
)

// TestCostOfSixtyFilters compares the CPU time of 60 filter files with sshd's alone, on the same
// log, taking turns.
func TestCostOfSixtyFilters(t *testing.T) {
	if testing.Short() {
		t.Skip("a measurement")
	}
	dir := dataFolder(t)
	if dir == "" {
		return
	}
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	lines := attackLog()
	turn := func(set *filter.Set, m *filter.Matcher) time.Duration {
		before := threadTime(t)
		for _, l := range lines {
			m.Match(l, set.Route(l.App))
		}
		return threadTime(t) - before
	}
	one, sixty := costSet(t, dir, 1), costSet(t, dir, 60)
	m1, m60 := one.NewMatcher(), sixty.NewMatcher()
	turn(one, m1)
	turn(sixty, m60)
	alone, whole := time.Hour, time.Hour
	for range 8 {
		alone, whole = min(alone, turn(one, m1)), min(whole, turn(sixty, m60))
	}
	ratio := float64(whole) / float64(alone)
	t.Logf("CPU time of a line: %v with sshd alone, %v with 60 filters, ratio %.2f", alone/costLines, whole/costLines, ratio)
	if ratio > maxCostRatio {
		t.Errorf("ratio %.2f, want at most %.2f", ratio, maxCostRatio)
	}
}

// costSet is sshd's filter and the next of the folder, count in all.
func costSet(t *testing.T, dir string, count int) *filter.Set {
	t.Helper()
	paths, err := filepath.Glob(filepath.Join(dir, "filter.d", "*.conf"))
	if err != nil {
		t.Fatal(err)
	}
	var filters []*filter.Filter
	for _, p := range append([]string{filepath.Join(dir, "filter.d", "sshd.conf")}, paths...) {
		if len(filters) == count {
			break
		}
		f, err := Read(p, "")
		if err != nil {
			continue // a file for others to include
		}
		compiled, err := filter.Compile(f.Spec)
		if err != nil {
			t.Fatal(err)
		}
		filters = append(filters, compiled)
	}
	return filter.NewSet(filters, nil)
}

// threadTime returns the CPU time of this thread. The kernel's resource usage would count in ticks
// of 4 ms.
func threadTime(t *testing.T) time.Duration {
	t.Helper()
	var at unix.Timespec
	if err := unix.ClockGettime(unix.CLOCK_THREAD_CPUTIME_ID, &at); err != nil {
		t.Fatal(err)
	}
	return time.Duration(at.Nano())
}
