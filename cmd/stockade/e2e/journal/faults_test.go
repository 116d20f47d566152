package journal

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"stockade/cmd/stockade/e2e/rig"
)

// degraded returns the cause of a condition and since when it is, "" when the daemon is not degraded
// by it.
func degraded(d *rig.Daemon, name string) (cause string, since time.Time) {
	for _, c := range d.Status().Degraded {
		if c.Name == name {
			return c.Cause, c.Since
		}
	}
	return "", time.Time{}
}

// fakeJournalctl makes the daemon run a shell script in the place of journalctl.
func fakeJournalctl(t *testing.T, d *rig.Daemon, script string) func(*exec.Cmd) {
	t.Helper()
	if err := os.WriteFile(filepath.Join(d.Dir, "journalctl"), []byte("#!/bin/sh\n"+script), 0o755); err != nil {
		t.Fatal(err)
	}
	return func(cmd *exec.Cmd) { cmd.Env = append(os.Environ(), "PATH="+d.Dir+":"+os.Getenv("PATH")) }
}

const localJournal = `
journals: [{name: local}]
jails: [{name: sshd, filter: sshd}]
firewall: {backend: observe}
`

// TestAJournalctlThatDies: status is degraded from then on, with the cause, until it runs again.
func TestAJournalctlThatDies(t *testing.T) {
	t.Parallel()
	d := rig.NewDaemon(t, "", localJournal)
	sound := filepath.Join(d.Dir, "sound")
	if err := os.WriteFile(sound, nil, 0o644); err != nil {
		t.Fatal(err)
	}
	d.Start(fakeJournalctl(t, d, "[ -e "+sound+" ] || { echo 'no journal is left' >&2; exit 1; }\nexec sleep 300\n"))
	if cause, _ := degraded(d, "input"); cause != "" {
		t.Fatalf("degraded while journalctl runs: %s", cause)
	}
	if err := os.Remove(sound); err != nil {
		t.Fatal(err)
	}
	began := time.Now()
	rig.Eventually(t, 20*time.Second, "the log names the process", func() bool { return len(d.Logged("reading the journal")) > 0 })
	pid := int(d.Logged("reading the journal")[0]["pid"].(float64))
	if err := syscall.Kill(pid, syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	var since time.Time
	rig.Eventually(t, 20*time.Second, "status names the journal and what journalctl said", func() bool {
		var cause string
		cause, since = degraded(d, "input")
		return strings.Contains(cause, "journal local cannot be read") && strings.Contains(cause, "no journal is left")
	})
	if since.Before(began.Add(-time.Second)) || since.After(time.Now()) {
		t.Errorf("degraded since %s, killed at %s", since, began)
	}
	if out, code := d.Run("status"); code != 1 || !strings.Contains(out, "journal local") {
		t.Errorf("status exits with %d:\n%s", code, out)
	}
	if testing.Short() {
		return // it takes seconds to be held for sound
	}
	if err := os.WriteFile(sound, nil, 0o644); err != nil {
		t.Fatal(err)
	}
	rig.Eventually(t, 60*time.Second, "status is good again", func() bool { cause, _ := degraded(d, "input"); return cause == "" })
}

// TestSuppressedMessagesAreALoss: journald limits the rate of units, which need a whole systemd; so the
// record is one that was written down.
func TestSuppressedMessagesAreALoss(t *testing.T) {
	t.Parallel()
	d := rig.NewDaemon(t, "", localJournal)
	d.Start(fakeJournalctl(t, d, `cat <<'END'
__CURSOR=s=0123456789abcdef0123456789abcdef;i=1;b=fedcba9876543210fedcba9876543210;m=1;t=1;x=1
__REALTIME_TIMESTAMP=1
_TRANSPORT=driver
MESSAGE_ID=a596d6fe7bfa4994828e72309e95d61e
SYSLOG_IDENTIFIER=systemd-journald
MESSAGE=Suppressed 1234 messages from ssh.service

END
exec sleep 300
`))
	var cause string
	rig.Eventually(t, 20*time.Second, "status tells of the loss", func() bool { cause, _ = degraded(d, "loss"); return cause != "" })
	if !strings.Contains(cause, "source local lost lines, 1234 so far") || !strings.Contains(cause, "rate limit") {
		t.Errorf("the cause: %s", cause)
	}
	if n := d.Source("local").Refused["suppressed"]; n != 1234 {
		t.Errorf("the source counts %d", n)
	}
}

// TestARotationThatTookRecords: while nothing runs, a real journald rotates and drops what was not read.
func TestARotationThatTookRecords(t *testing.T) {
	t.Parallel()
	inHost(t, func(t *testing.T) {
		j, ns := hostOf(t, "ForwardToSyslog=no")
		d := rig.NewDaemon(t, ns, localJournal).Start()
		j.Logger(0, "-t", "before", "a record that is read")
		rig.Eventually(t, 20*time.Second, "a record is read", func() bool { return d.Source("local").Lines > 0 })
		d.Stop()
		cat := exec.Command("systemd-cat", "--identifier=much", "cat")
		cat.Stdin = strings.NewReader(strings.Repeat(strings.Repeat("0123456789", 100)+"\n", 2000) + "the last\n")
		if out, err := cat.CombinedOutput(); err != nil {
			t.Fatalf("%v %s", err, out)
		}
		rig.Eventually(t, 20*time.Second, "journald has written all records", func() bool {
			out, _ := exec.Command("journalctl", "--quiet", "--identifier=much", "--output=cat", "--lines=1").Output()
			return strings.HasPrefix(string(out), "the last")
		})
		rig.Eventually(t, 20*time.Second, "the oldest records are gone", func() bool {
			for _, how := range [][]string{{"--rotate"}, {"--vacuum-files=1"}} {
				if out, err := exec.Command("journalctl", how...).CombinedOutput(); err != nil {
					t.Fatalf("journalctl %s: %v %s", how, err, out)
				}
			}
			out, _ := exec.Command("journalctl", "--quiet", "--identifier=before").Output() // nothing is an error
			return len(out) == 0
		})
		d.Start()
		var cause string
		rig.Eventually(t, 20*time.Second, "status tells of the loss", func() bool {
			j.Logger(0, "-t", "after", "a record that shows the gap")
			cause, _ = degraded(d, "loss")
			return cause != ""
		})
		n := d.Source("local").Refused["rotated_away"]
		if n < 100 || !strings.Contains(cause, fmt.Sprintf("source local lost lines, %d so far", n)) || !strings.Contains(cause, "rotation") {
			t.Errorf("%d records lost; the cause: %s", n, cause)
		}
		t.Logf("%s", cause)
	})
}

// TestATailWithoutAFile: a folder that goes away degrades the daemon.
func TestATailWithoutAFile(t *testing.T) {
	if testing.Short() {
		t.Skip("a tail is given seconds to find a file")
	}
	t.Parallel()
	d := rig.NewDaemon(t, "", `
tails: [{name: web, paths: ["%DIR%/log/*.log"], app: web}]
jails: [{name: web, filter: {failregex: ['^denied <HOST>$']}}]
firewall: {backend: observe}
`).Start()
	var since time.Time
	rig.Eventually(t, 40*time.Second, "status names the tail and its folder", func() bool {
		cause, at := degraded(d, "input")
		since = at
		return strings.Contains(cause, "tail web follows no file") && strings.Contains(cause, d.Dir+"/log")
	})
	if since.IsZero() || since.After(time.Now()) {
		t.Errorf("degraded since %s", since)
	}
	if err := os.Mkdir(filepath.Join(d.Dir, "log"), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(d.Dir, "log/a.log"), []byte("denied 198.51.100.7\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	rig.Eventually(t, 20*time.Second, "status is good again", func() bool { cause, _ := degraded(d, "input"); return cause == "" })
}
