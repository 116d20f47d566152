package journal

import (
	"fmt"
	"os/exec"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"stockade/cmd/stockade/e2e/rig"
	"stockade/receiver/receivertest"
)

const (
	nobody = 65534 // a user without rights
	bans   = 5     // that are timed
)

// inHost runs a test in a mount namespace of its own.
func inHost(t *testing.T, body func(t *testing.T)) {
	t.Helper()
	rig.RequireRoot(t)
	rig.RequirePrograms(t, "logger", "setpriv", "journalctl", "systemd-cat")
	rig.Program(t, "stockade")
	receivertest.Inside(t, body)
}

// hostOf makes this process a host with a journald of its own and no configuration, and returns the
// network namespace that the daemon is to run in. It must be called inside of inHost.
func hostOf(t *testing.T, settings string) (*receivertest.Journal, string) {
	t.Helper()
	if err := syscall.Mount("tmpfs", "/var/lib", "tmpfs", 0, "mode=755"); err != nil {
		t.Fatal(err)
	}
	j := receivertest.StartJournal(t, settings+"\nRateLimitIntervalSec=0")
	return j, rig.NewNS(t)
}

// fail logs failed logins of an address as sshd would, and returns when the last one was started.
func fail(j *receivertest.Journal, uid int, address string, times int) (last time.Time) {
	for i := range times {
		last = time.Now()
		j.Logger(uid, "-t", "sshd", "-p", "auth.info", "-i", fmt.Sprintf("Failed password for root from %s port %d ssh2", address, 40000+i))
	}
	return last
}

// TestForwardingSocket: where journald forwards, its socket is how the built-in default reads.
func TestForwardingSocket(t *testing.T) {
	inHost(t, func(t *testing.T) {
		testDefault(t, "ForwardToSyslog=yes", "forwarding socket /run/systemd/journal/syslog: lines come at once")
	})
}

// TestJournalctl: where it does not, journalctl is.
func TestJournalctl(t *testing.T) {
	inHost(t, func(t *testing.T) {
		testDefault(t, "ForwardToSyslog=no", "read by journalctl, because journald.conf says ForwardToSyslog=no: lines come 0.3 to 0.5 s late")
	})
}

// testDefault serves without a configuration and without rsyslog. Five failures that root wrote end in
// a ban; those that nobody wrote are forged.
func testDefault(t *testing.T, settings, says string) {
	j, ns := hostOf(t, settings)
	d := rig.NewDefault(t, ns).Start()
	if !strings.Contains(d.Log.String(), says) {
		t.Errorf("the log does not say how the journal is read, %q:\n%s", says, d.Log)
	}
	const slandered = "198.51.100.98"
	fail(j, nobody, slandered, 6)
	var took []time.Duration
	for i := range bans {
		address := fmt.Sprintf("198.51.100.%d", 1+i)
		wrote := fail(j, 0, address, 5)
		rig.Eventually(t, 20*time.Second, "five failures end in a ban", func() bool { return rig.Holds(t, ns, "ban4", address) })
		for _, b := range d.Bans() {
			if b.Address == address+"/32" {
				took = append(took, b.Start.Sub(wrote))
			}
		}
	}
	slices.Sort(took)
	if len(took) != bans {
		t.Fatalf("bans: %+v", d.Bans())
	}
	t.Logf("from the start of the last logger to the ban, %d times: median %s, at most %s",
		bans, took[bans/2].Round(10*time.Microsecond), took[bans-1].Round(10*time.Microsecond))
	rig.Soon(20*time.Second, func() bool { return d.Source("journal").Refused["forged"] >= 6 }) // another worker may judge them
	s := d.Source("journal")
	if s.Trust != "kernel" || s.Refused["forged"] != 6 || s.Failures != 5*bans {
		t.Errorf("the source: %+v, want 6 lines refused as forged and %d failures", s, 5*bans)
	}
	if out, code := d.Run("explain", slandered); code != 1 || rig.Holds(t, ns, "ban4", slandered) {
		t.Errorf("an address that nobody accused: explain exits with %d\n%s", code, out)
	}
	if out, code := d.Run("status"); code != 0 {
		t.Errorf("status exits with %d:\n%s", code, out)
	}
}

// TestTheRestOfACutRecord: a client makes a daemon log a line of 48 KiB and what looks like the failure
// of somebody else behind it. journald cuts there, and the rest comes as a record of its own.
func TestTheRestOfACutRecord(t *testing.T) {
	t.Parallel()
	inHost(t, func(t *testing.T) { testCut(t, "ForwardToSyslog=yes") })
}

// TestTheRestOfACutRecordByJournalctl is the same the other way.
func TestTheRestOfACutRecordByJournalctl(t *testing.T) {
	t.Parallel()
	inHost(t, func(t *testing.T) { testCut(t, "ForwardToSyslog=no") })
}

func testCut(t *testing.T, settings string) {
	const victim, offender = "198.51.100.66", "198.51.100.67"
	times := rig.Size(20, 50, 500)
	j, ns := hostOf(t, settings)
	d := rig.NewDefault(t, ns).Start()
	failure := "Failed password for root from %s port 1 ssh2\n"
	cat := exec.Command("systemd-cat", "--identifier=sshd", "cat")
	cat.Stdin = strings.NewReader(strings.Repeat(strings.Repeat("A", 48<<10)+fmt.Sprintf(failure, victim), times))
	if out, err := cat.CombinedOutput(); err != nil {
		t.Fatalf("%v %s", err, out)
	}
	// journald drops honest lines, too, while its queue to us is full.
	rig.Eventually(t, 30*time.Second, "honest failures count", func() bool {
		fail(j, 0, offender, 1)
		return rig.Holds(t, ns, "ban4", offender)
	})
	var explained struct {
		Evidence []any `json:"evidence"`
	}
	d.Decode(&explained, "explain", victim)
	if n := len(explained.Evidence); n != 0 || rig.Holds(t, ns, "ban4", victim) {
		t.Errorf("%d rests counted against the victim", n)
	}
	all := d.Metrics()
	rests, came := all[`stockade_lines_total{outcome="continued"}`], all[`stockade_source_lines_total{source="journal"}`]
	if rests == 0 {
		t.Error("no rest has come: the test shows nothing")
	}
	t.Logf("%s: %d lines of 48 KiB and a rest; %d of their parts and honest lines came, %d were told to be rests; 0 matches", settings, times, came, rests)
}
