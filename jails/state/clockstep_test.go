package state

import (
	"testing"
	"time"

	"stockade/jails"
)

// D6: bans end by the monotonic clock, whatever happens to the wall clock.
func TestClockSteps(t *testing.T) {
	for _, step := range []time.Duration{time.Second, -time.Second, time.Hour, -time.Hour, 87600 * time.Hour, -87600 * time.Hour} {
		t.Run(step.String(), func(t *testing.T) {
			clock := newFakeClock()
			dir := t.TempDir()
			s := testStore(t, Options{Dir: dir, Now: clock.now})
			var mono time.Duration
			s.clock.mono = func(time.Time) int64 { return int64(mono) }
			pass := func(d time.Duration) {
				mono += d
				clock.advance(d)
				s.clockStep()
			}
			j := testJail(t, nil)
			for range 3 {
				s.Fail(j, failure("192.0.2.7/32", clock.t))
			}
			s.Fail(j, failure("192.0.2.8/32", clock.t))
			s.Fail(j, failure("192.0.2.8/32", clock.t))
			s.Ban(Ban{Jail: "manual", Prefix: failure("192.0.2.9/32", clock.t).Prefix})
			pass(5 * time.Second)

			clock.advance(step) // the wall clock alone
			if out := s.Fail(j, failure("192.0.2.8/32", clock.t)); out.Ban == nil {
				t.Fatalf("third failure within 5 s, just after the step: %+v", out)
			}
			pass(time.Second)
			b := s.BansOf(failure("192.0.2.7/32", clock.t).Addr)
			if len(b) != 1 {
				t.Fatalf("%d bans after 6 of 60 s", len(b))
			}
			if left := b[0].End.Sub(clock.t); (left - 54*time.Second).Abs() > time.Second {
				t.Errorf("shows %s left, want 54s", left)
			}
			if err := s.Save(); err != nil {
				t.Fatal(err)
			}
			restarted := testStore(t, Options{Dir: copyDir(t, dir), Now: clock.now})
			if b := restarted.BansOf(failure("192.0.2.7/32", clock.t).Addr); len(b) != 1 || (b[0].End.Sub(clock.t)-54*time.Second).Abs() > time.Second {
				t.Errorf("after a restart: %v", b)
			}
			pass(52 * time.Second)
			if n := s.Counts("sshd").BannedCurrent; n != 2 {
				t.Errorf("%d bans after 58 s, want 2", n)
			}
			pass(3 * time.Second)
			if n := s.Counts("sshd").BannedCurrent; n != 1 {
				t.Errorf("%d bans after 61 s, want the one that began 5 s later", n)
			}
			pass(5 * time.Second)
			if bans := s.Bans(""); len(bans) != 1 || !bans[0].Permanent() {
				t.Errorf("in the end %v, want the permanent one", bans)
			}
		})
	}
}

// The wall clock goes back while nothing runs: a ban never lasts longer than it was meant to.
func TestWallClockGoesBackWhileStopped(t *testing.T) {
	clock := newFakeClock()
	dir := t.TempDir()
	s := testStore(t, Options{Dir: dir, Now: clock.now})
	j := testJail(t, func(c *jails.Config) { n := 1; c.MaxRetry = &n })
	s.Fail(j, failure("192.0.2.7/32", clock.t))
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	clock.advance(-1000 * time.Hour)
	s = testStore(t, Options{Dir: dir, Now: clock.now})
	if b := s.Bans(""); len(b) != 1 || b[0].End.Sub(clock.t) > time.Minute {
		t.Fatalf("bans %+v", b)
	}
	clock.advance(time.Minute)
	if b := s.Bans(""); len(b) != 0 {
		t.Errorf("bans a minute later: %+v", b)
	}
}
