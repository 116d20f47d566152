package e2e

import (
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"stockade/cmd/stockade/e2e/rig"
)

// othersMost is the share of all processors that other processes may take before times say nothing.
const othersMost = 0.1

// account is the time of processors that everybody, and the test with its daemon, had so far.
type account struct {
	at       time.Time
	all, own time.Duration
}

// accountOf reads both. It is exact to some 10 ms.
func accountOf(t testing.TB, d *rig.Daemon) account {
	t.Helper()
	a := account{at: time.Now()}
	text, err := os.ReadFile("/proc/stat")
	if err != nil {
		t.Fatal(err)
	}
	var user, nice, system, idle, iowait, irq, softirq, steal int64
	if _, err := fmt.Sscanf(string(text), "cpu %d %d %d %d %d %d %d %d", &user, &nice, &system, &idle, &iowait, &irq, &softirq, &steal); err != nil {
		t.Fatalf("/proc/stat: %v", err)
	}
	const tick = 10 * time.Millisecond // USER_HZ is 100 everywhere
	a.all = tick * time.Duration(user+nice+system+irq+softirq+steal)
	var self unix.Rusage
	if err := unix.Getrusage(unix.RUSAGE_SELF, &self); err != nil {
		t.Fatal(err)
	}
	a.own = time.Duration(self.Utime.Nano() + self.Stime.Nano())
	threads, err := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/schedstat", d.Cmd.Process.Pid))
	if err != nil {
		t.Fatal(err)
	}
	for _, file := range threads {
		var ran time.Duration
		if text, err := os.ReadFile(file); err == nil { // else the thread has ended
			if _, err := fmt.Sscan(string(text), &ran); err != nil {
				t.Fatalf("%s: %v", file, err)
			}
		}
		a.own += ran
	}
	return a
}

// others is the share of all processors that others had from one account to the next.
func (a account) others(to account) float64 {
	return (to.all - a.all - (to.own - a.own)).Seconds() / (to.at.Sub(a.at).Seconds() * float64(runtime.NumCPU()))
}

// attempts is how often something is measured anew before it is found too slow.
const attempts = 10

// within measures, prints what measure says, and fails the test when it was over its bars in every
// attempt. While others keep the machine busy nothing is asserted.
func within(t *testing.T, d *rig.Daemon, measure func() (said string, ok bool)) {
	t.Helper()
	var failed []string
	for range attempts {
		before := accountOf(t, d)
		said, ok := measure()
		others := before.others(accountOf(t, d))
		t.Logf("%s (others had %.0f %% of the processors)", said, 100*max(others, 0))
		switch {
		case ok:
			return
		case others > othersMost:
			t.Log("this machine is busy with others: the times say nothing")
			return
		}
		failed = append(failed, said)
	}
	t.Errorf("too slow in each of %d attempts:\n%s", attempts, strings.Join(failed, "\n"))
}
