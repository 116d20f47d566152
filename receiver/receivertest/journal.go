package receivertest

import (
	"flag"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"testing"
	"time"
)

// Inside runs the body of a test in a child process with a private mount namespace, in which a
// journald of its own can live. The test must be called as its package's function is, not as a
// subtest. What it logs is logged here too.
func Inside(t *testing.T, body func(t *testing.T)) {
	t.Helper()
	const mark = "STOCKADE_TEST_INSIDE"
	if os.Getenv(mark) == t.Name() {
		body(t)
		return
	}
	Need(t, os.Geteuid() == 0, "root for a mount namespace")
	NeedProgram(t, journaldPath, "systemd")
	unshare := NeedProgram(t, "unshare", "util-linux")
	args := []string{
		"--mount", "--propagation", "private",
		os.Args[0], "-test.run=^" + t.Name() + "$", "-test.v", "-test.timeout=120s", fmt.Sprintf("-test.short=%v", testing.Short()),
	}
	for _, name := range []string{"long", "build"} { // a flag that the package may have
		if f := flag.Lookup(name); f != nil {
			args = append(args, "-"+name+"="+f.Value.String())
		}
	}
	cmd := exec.Command(unshare, args...)
	cmd.Env = append(os.Environ(), mark+"="+t.Name())
	out, err := cmd.CombinedOutput()
	for line := range strings.SplitSeq(string(out), "\n") {
		if strings.Contains(line, "_test.go:") {
			t.Log(strings.TrimSpace(line))
		}
	}
	if err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
}

const (
	journaldPath = "/lib/systemd/systemd-journald"

	// DevLog is the socket on which a Journal takes what programs log.
	DevLog = "/run/systemd/journal/dev-log"
)

// Journal is a running systemd-journald. Its methods are called by the test's goroutine.
type Journal struct {
	t   *testing.T
	cmd *exec.Cmd
}

// StartJournal starts a systemd-journald that nobody else sees, on an empty /run, /etc/systemd and
// /var/log, with these lines in its configuration. It must be called inside of Inside. The Journal
// ends with the test.
func StartJournal(t *testing.T, settings string) *Journal {
	t.Helper()
	for _, dir := range []string{"/run", "/etc/systemd", "/var/log"} {
		if err := syscall.Mount("tmpfs", dir, "tmpfs", 0, "mode=755"); err != nil {
			t.Fatalf("mount %s: %v", dir, err)
		}
	}
	conf := "[Journal]\nStorage=volatile\nReadKMsg=no\nAudit=no\n" + settings + "\n"
	if err := os.WriteFile("/etc/systemd/journald.conf", []byte(conf), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.MkdirAll("/run/systemd/journal", 0o755); err != nil { //nolint:gosec // as systemd makes it
		t.Fatal(err)
	}
	j := &Journal{t: t}
	j.Start()
	t.Cleanup(j.Stop)
	return j
}

// Start starts a journald that was stopped, and waits until it takes messages.
func (j *Journal) Start() {
	j.t.Helper()
	j.cmd = exec.Command(journaldPath)
	if err := j.cmd.Start(); err != nil {
		j.t.Fatal(err)
	}
	ok := Eventually(60*time.Second, func() bool {
		if exec.Command("logger", "-u", DevLog, "-t", "probe", "probe").Run() != nil {
			return false
		}
		out, _ := exec.Command("journalctl", "--quiet", "--lines=1", "--identifier=probe").Output() // nothing yet is an error
		return len(out) > 0
	})
	if !ok {
		j.t.Fatal("journald does not take messages")
	}
}

// Stop ends journald.
func (j *Journal) Stop() {
	if j.cmd == nil {
		return
	}
	_ = j.cmd.Process.Signal(syscall.SIGTERM)
	_ = j.cmd.Wait()
	j.cmd = nil
}

// Logger runs logger(1), as another user when uid is not 0.
func (j *Journal) Logger(uid int, args ...string) {
	j.t.Helper()
	args = append([]string{"logger", "-u", DevLog}, args...)
	if uid != 0 {
		args = append([]string{"setpriv", fmt.Sprintf("--reuid=%d", uid), fmt.Sprintf("--regid=%d", uid), "--clear-groups"}, args...)
	}
	if out, err := exec.Command(args[0], args[1:]...).CombinedOutput(); err != nil {
		j.t.Fatalf("%v: %v %s", args, err, out)
	}
}
