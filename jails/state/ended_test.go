package state

import (
	"net/netip"
	"slices"
	"testing"
	"time"
)

// TestEnded holds a ban's end to being told once: by the clock, by the next failure or ban, or by
// Recovery when the store was closed. A ban that is lifted by hand is not told.
func TestEnded(t *testing.T) {
	clock := newFakeClock()
	dir := t.TempDir()
	var told []string
	open := func() *Store {
		return testStore(t, Options{Dir: dir, Now: clock.now, Ended: func(b *Ban) { told = append(told, b.Jail+" "+b.Prefix.String()) }})
	}
	s := open()
	ban := func(addr string, length time.Duration) {
		s.Ban(Ban{Jail: "manual", Prefix: netip.MustParsePrefix(addr), End: clock.t.Add(length), Reason: "why", Source: "operator"})
	}
	j := testJail(t, nil)
	ban("192.0.2.1/32", 2*time.Second) // the clock ends it
	ban("192.0.2.2/32", time.Second)   // another ban follows
	ban("192.0.2.3/32", time.Second)   // it is lifted by hand
	ban("192.0.2.4/32", time.Hour)     // it ends while the store is closed
	for range 3 {
		s.Fail(j, failure("192.0.2.5/32", clock.t)) // as the one before
	}
	// A failure follows.
	s.Ban(Ban{Jail: "sshd", Prefix: netip.MustParsePrefix("192.0.2.6/32"), End: clock.t.Add(time.Second)})
	s.Unban(netip.MustParsePrefix("192.0.2.3/32"), "")
	s.flush()
	if len(told) != 0 {
		t.Errorf("told too early of %v", told)
	}
	clock.advance(1500 * time.Millisecond)
	ban("192.0.2.2/32", time.Hour)
	s.Fail(j, failure("192.0.2.6/32", clock.t))
	if want := []string{"manual 192.0.2.2/32", "sshd 192.0.2.6/32"}; !slices.Equal(told, want) {
		t.Errorf("told %v, want %v", told, want)
	}
	clock.advance(time.Second)
	s.flush()
	s.flush()
	if want := []string{"manual 192.0.2.2/32", "sshd 192.0.2.6/32", "manual 192.0.2.1/32"}; !slices.Equal(told, want) {
		t.Errorf("told %v, want %v", told, want)
	}
	told = nil
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}

	clock.advance(time.Hour)
	s = open()
	var ended []string
	for _, b := range s.Recovery().Ended {
		if b.Reason == "" || b.End.IsZero() || !b.End.After(b.Start) {
			t.Errorf("%+v is not whole", b)
		}
		ended = append(ended, b.Jail+" "+b.Prefix.String())
	}
	slices.Sort(ended)
	if want := []string{"manual 192.0.2.2/32", "manual 192.0.2.4/32", "sshd 192.0.2.5/32"}; !slices.Equal(ended, want) || len(told) != 0 {
		t.Errorf("ended while closed: %v, want %v; told %v", ended, want, told)
	}
}
