package pipeline

import (
	"net/netip"
	"os"
	"path/filepath"
	"testing"
	"time"
)

// TestLoginsOutliveARestart: who logged in lately is known to the next start, as long as it is lately.
func TestLoginsOutliveARestart(t *testing.T) {
	dir := t.TempDir()
	now := time.Unix(1_800_000_000, 0)
	open := func() *Successes {
		t.Helper()
		s := NewSuccesses()
		s.now = func() time.Time { return now }
		if err := s.load(dir); err != nil {
			t.Fatal(err)
		}
		return s
	}
	save := func(s *Successes, wait time.Duration) {
		t.Helper()
		if err := s.save(dir, wait); err != nil {
			t.Fatal(err)
		}
	}
	first, second := netip.MustParseAddr("198.51.100.7"), netip.MustParseAddr("2001:db8:2::9")
	s := open()
	s.note(first)
	save(s, loginsWait)
	if s = open(); !s.recent(first) || s.recent(second) {
		t.Errorf("after a restart %v is known: %v, %v: %v; want the first alone", first, s.recent(first), second, s.recent(second))
	}
	now = now.Add(4 * 24 * time.Hour)
	s.note(second)
	save(s, 0)
	now = now.Add(loginsWait / 2)
	s.note(netip.MustParseAddr("198.51.100.8"))
	save(s, loginsWait)
	if s = open(); !s.recent(first) || !s.recent(second) || s.recent(netip.MustParseAddr("198.51.100.8")) {
		t.Errorf("want both, and not the one that came too soon after a save: %v", s.last)
	}
	now = now.Add(4 * 24 * time.Hour)
	if s = open(); s.recent(first) || len(s.last) != 1 || !s.recent(second) {
		t.Errorf("eight days later %v are known, want %v alone", s.last, second)
	}
	if err := os.WriteFile(filepath.Join(dir, loginsFile), []byte("not a file of logins"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := NewSuccesses().load(dir); err == nil {
		t.Error("a damaged file is no error")
	}
}
