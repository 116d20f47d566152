package journald

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"stockade/receiver/receivertest"
	"stockade/receiver/receivertest/record"
)

// TestAJournalctlThatEndsIsAFault: while it ends again and again, Stats say since when and why; when
// it runs, they do not.
func TestAJournalctlThatEndsIsAFault(t *testing.T) {
	dir := t.TempDir()
	program := filepath.Join(dir, "journalctl")
	script := "#!/bin/sh\n[ -e " + dir + "/sound ] && exec sleep 300\necho 'no journal here' >&2\nexit 1\n"
	if err := os.WriteFile(program, []byte(script), 0o700); err != nil { //nolint:gosec // it is run
		t.Fatal(err)
	}
	in, err := New(Options{
		Config: Config{Name: "local"}, Registry: record.Registry(t, hostSource), Open: new(record.Recorder).Open,
		Log: new(receivertest.Log).Logger(), Program: program,
	})
	if err != nil {
		t.Fatal(err)
	}
	in.backoff, in.sound = 10*time.Millisecond, 100*time.Millisecond
	began := time.Now()
	run(t, in)
	if !receivertest.Eventually(20*time.Second, func() bool { return in.Stats().Restarts >= 3 }) {
		t.Fatal("journalctl is not started again")
	}
	s := in.Stats()
	if s.Idle.Before(began) || time.Since(s.Idle) > time.Since(began) || !strings.Contains(s.Why, "no journal here") {
		t.Errorf("idle since %s: %q", s.Idle, s.Why)
	}
	if err := os.WriteFile(filepath.Join(dir, "sound"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if !receivertest.Eventually(20*time.Second, func() bool { s := in.Stats(); return s.Idle.IsZero() && s.Running && s.Why == "" }) {
		t.Errorf("stats of a journalctl that runs: %+v", in.Stats())
	}
}
