package main

import (
	"fmt"
	"io"
	"net/netip"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"stockade/cmd/stockade/control"
	"stockade/cmd/stockade/control/controltest"
)

// busy is what a daemon says n seconds after it began.
func busy(n int) sample {
	seen := controltest.Now
	s := sample{
		at: controltest.Now.Add(time.Duration(n) * time.Second),
		status: control.Status{State: "ok", Backend: "nftables", Started: controltest.Now.Add(-time.Hour), Jails: []control.JailStatus{
			{Name: "sshd", FailedCurrent: 3, FailedTotal: int64(10 + 5*n), BannedCurrent: 1, BannedTotal: 1},
			{Name: "web", FailedTotal: 7, BannedCurrent: 2, BannedTotal: int64(2 + n)},
		}},
		sources: []control.Source{
			{Name: "quiet", Trust: "tls", State: "never seen"},
			{Name: "web1", Trust: "tls", State: "ok", Lines: int64(1000 * n), Failures: 4, Refused: control.Counts{"a": 2, "b": 1}, LastSeen: &seen},
		},
		bans: []control.Ban{},
	}
	for i := range 3 {
		s.bans = append(s.bans, control.Ban{
			Address: netip.MustParsePrefix(fmt.Sprintf("192.0.2.%d/32", i)), Jail: "web", Start: controltest.Now.Add(time.Duration(i) * time.Second),
			End: control.Moment(controltest.Now.Add(time.Hour)), Source: "web1", Reason: "3 failures \x1b[2J",
		})
	}
	return s
}

func TestTopShowsNumbersAndRates(t *testing.T) {
	m := &topModel{}
	m.add(busy(1))
	if view := strings.Join(m.view(100, 40), "\n"); !strings.Contains(view, "(-/s)") {
		t.Errorf("one sample has no rates:\n%s", view)
	}
	m.add(busy(3))
	want := localTimes(`stockade  OK  nftables  up 1h3s  2026-11-24 10:00:03
lines 3000 (1000/s)  failures 32 (5.0/s)  bans 6 (1.0/s)  banned now 3

JAIL  FAILED   /s  WATCHED  BANS   /s  BANNED
web        7    0        0     5  1.0       2
sshd      25  5.0        3     1    0       1

SOURCE  TRUST  STATE       LINES    /s  FAILURES  BANS  PENDING  REFUSED  LAST
web1    tls    ok           3000  1000         4     0        0        3    3s
quiet   tls    never seen      0     0         0     0        0        0     -

NEWEST BANS  JAIL  AT        LEFT    SOURCE  REASON
192.0.2.2    web   10:00:02  59m57s  web1    3 failures \x1b[2J
192.0.2.1    web   10:00:01  59m57s  web1    3 failures \x1b[2J
192.0.2.0    web   10:00:00  59m57s  web1    3 failures \x1b[2J
q ends`)
	if got := strings.Join(m.view(100, 40), "\n"); got != want {
		t.Errorf("got:\n%s\nwant:\n%s", got, want)
	}
}

func TestTopAsJSON(t *testing.T) {
	m := &topModel{}
	m.add(busy(1))
	m.add(busy(3))
	now := m.now()
	if now.Lines != (topCount{3000, 1000}) || now.Failures != (topCount{32, 5}) || now.Bans != (topCount{6, 1}) || now.Banned != 3 || len(now.Newest) != 3 {
		t.Errorf("%+v", now)
	}
	if len(now.Jails) != 2 || now.Jails[0] != (topJail{"sshd", topCount{25, 5}, 3, topCount{1, 0}, 1}) {
		t.Errorf("%+v", now.Jails)
	}
	if len(now.Sources) != 2 || now.Sources[1].Lines != (topCount{3000, 1000}) {
		t.Errorf("%+v", now.Sources)
	}
}

// localTimes rewrites the times of controltest.Now's minute into the zone of this machine, in which
// people read them.
func localTimes(view string) string {
	now := controltest.Now.Local()
	view = strings.ReplaceAll(view, controltest.Now.Format(time.DateOnly), now.Format(time.DateOnly))
	return strings.ReplaceAll(view, controltest.Now.Format("15:04:"), now.Format("15:04:"))
}

func TestTopFitsAnyTerminal(t *testing.T) {
	m := &topModel{}
	m.add(busy(1))
	m.add(busy(2))
	m.last.status.State = "degraded"
	m.last.status.Degraded = []control.Degraded{{Name: "observe_fallback", Cause: "no CAP_NET_ADMIN"}}
	m.err = io.ErrUnexpectedEOF
	if view := strings.Join(m.view(100, 40), "\n"); !strings.Contains(view, "DEGRADED observe_fallback: no CAP_NET_ADMIN") || !strings.Contains(view, "NO ANSWER") {
		t.Errorf("the causes are missing:\n%s", view)
	}
	for width := 0; width < 120; width += 7 {
		for height := 1; height < 30; height++ {
			view := m.view(width, height)
			if len(view) > height {
				t.Fatalf("%d lines on a terminal of %d", len(view), height)
			}
			for _, line := range view {
				if len([]rune(line)) > width {
					t.Fatalf("%q is wider than %d", line, width)
				}
			}
		}
	}
}

func TestTopAsksForBansOnlyWhenTheyChanged(t *testing.T) {
	m := &topModel{}
	if !m.stale(busy(1).status) {
		t.Error("the first look needs the bans")
	}
	m.add(busy(1))
	if m.stale(busy(1).status) || !m.stale(busy(2).status) {
		t.Error("want the bans when their number changed, and only then")
	}
	s := busy(1)
	s.bans = nil
	if m.add(s); len(m.newest) != 3 {
		t.Errorf("%d bans after a sample without, want those of before", len(m.newest))
	}
}

// openPTY returns the two ends of a terminal.
func openPTY(t *testing.T) (master, slave *os.File) {
	t.Helper()
	master, slave, err := terminalPair()
	if err != nil {
		if os.Getenv("STOCKADE_REQUIRE") == "all" {
			t.Fatal(err)
		}
		t.Skip("no terminals here: ", err)
	}
	t.Cleanup(func() { _, _ = master.Close(), slave.Close() })
	return master, slave
}

// terminalPair opens the two ends of a terminal, which the caller closes.
func terminalPair() (master, slave *os.File, err error) {
	if master, err = os.OpenFile("/dev/ptmx", os.O_RDWR, 0); err != nil {
		return nil, nil, err
	}
	fd := int(master.Fd())
	n := 0
	if err = unix.IoctlSetPointerInt(fd, unix.TIOCSPTLCK, 0); err == nil {
		if n, err = unix.IoctlGetInt(fd, unix.TIOCGPTN); err == nil {
			slave, err = os.OpenFile(fmt.Sprintf("/dev/pts/%d", n), os.O_RDWR|unix.O_NOCTTY, 0)
		}
	}
	if err != nil {
		_ = master.Close()
	}
	return master, slave, err
}

// seen gathers what a program writes to its terminal.
type seen struct {
	mu   sync.Mutex
	text strings.Builder
}

// follow reads until the terminal is closed.
func (s *seen) follow(master *os.File) {
	b := make([]byte, 4096)
	for {
		n, err := master.Read(b)
		if err != nil {
			return
		}
		s.mu.Lock()
		s.text.Write(b[:n])
		s.mu.Unlock()
	}
}

func (s *seen) has(text string) bool { return strings.Contains(s.all(), text) }

func (s *seen) all() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.text.String()
}

func TestTopOnATerminal(t *testing.T) {
	fake, socket, err := startFake(t.Cleanup)
	if err != nil {
		t.Fatal(err)
	}
	fake.Add(control.Ban{Address: netip.MustParsePrefix("192.0.2.7/32"), Jail: "sshd", Start: controltest.Now})
	master, slave := openPTY(t)
	before, err := unix.IoctlGetTermios(int(slave.Fd()), unix.TCGETS)
	if err != nil {
		t.Fatal(err)
	}
	var screen seen
	go screen.follow(master)
	ended := make(chan int, 1)
	var stderr strings.Builder
	go func() { ended <- run([]string{"--socket", socket, "top"}, slave, slave, &stderr) }()
	deadline := time.After(30 * time.Second)
	for !screen.has("192.0.2.7") {
		select {
		case <-deadline:
			t.Fatal("top shows no ban")
		case code := <-ended:
			t.Fatalf("top ended with %d: %s", code, stderr.String())
		case <-time.After(10 * time.Millisecond):
		}
	}
	if _, err := master.WriteString("q"); err != nil {
		t.Fatal(err)
	}
	select {
	case code := <-ended:
		if code != 0 || stderr.String() != "" {
			t.Errorf("exit %d, %q: want 0 and nothing", code, stderr.String())
		}
	case <-deadline:
		t.Fatal("q does not end top")
	}
	after, err := unix.IoctlGetTermios(int(slave.Fd()), unix.TCGETS)
	if err != nil || *after != *before {
		t.Errorf("the terminal is not as it was: %v", err)
	}
}
