package state

import (
	"fmt"
	"testing"
	"time"

	"stockade/jails"
)

// A login takes back the failures of that user from that address, and of nobody else.
func TestSucceed(t *testing.T) {
	clock := newFakeClock()
	s := testStore(t, Options{Now: clock.now})
	j := testJail(t, func(c *jails.Config) { five := 5; c.MaxRetry = &five })
	fail := func(at, user string, attempts int) Outcome {
		clock.advance(time.Second)
		f := failure(at, clock.t)
		f.Attempts, f.Evidence.User = attempts, user
		return s.Fail(j, f)
	}
	const mine, other = "192.0.2.7/32", "192.0.2.8/32"
	fail(mine, "alice", 2)
	fail(mine, "root", 1)
	fail(mine, "", 1)
	fail(other, "alice", 3)
	for _, none := range []int{s.Succeed("sshd", prefix(mine), "bob"), s.Succeed("sshd", prefix(mine), ""),
		s.Succeed("other", prefix(mine), "alice"), s.Succeed("sshd", prefix("192.0.2.9/32"), "alice")} {
		if none != 0 {
			t.Errorf("%d attempts of somebody else were taken", none)
		}
	}
	s.flush() // the window is shared with readers now
	before := s.Windows(prefix(mine).Addr())[0]
	if n := s.Succeed("", prefix(mine), "alice"); n != 2 {
		t.Errorf("%d attempts were taken, want 2", n)
	}
	if w := s.Windows(prefix(mine).Addr())[0]; w.Count != 2 || len(w.Failures) != 2 || before.Count != 4 || len(before.Failures) != 3 {
		t.Errorf("window %+v, before %+v", w, before)
	}
	if w := s.Windows(prefix(other).Addr())[0]; w.Count != 3 {
		t.Errorf("another address lost failures: %+v", w)
	}
	if out := fail(mine, "root", 2); out.Ban != nil || out.Window != 4 {
		t.Errorf("failures 3 and 4: %+v", out)
	}
	if out := fail(mine, "x", 1); out.Ban == nil {
		t.Errorf("failure 5: %+v", out)
	}
	if n := s.Succeed("sshd", prefix(mine), "root"); n != 0 || len(s.Bans("sshd")) != 1 {
		t.Error("a login ended a ban")
	}
	if n := s.Succeed("sshd", prefix(other), "alice"); n != 3 || s.Counts("sshd").FailedCurrent != 0 {
		t.Errorf("took %d, %+v", n, s.Counts("sshd"))
	}
}

// After a restart the failures of a user are still known as his.
func TestSucceedAfterRestart(t *testing.T) {
	dir := t.TempDir()
	s, err := Open(Options{Dir: dir})
	if err != nil {
		t.Fatal(err)
	}
	j := testJail(t, nil)
	f := failure("192.0.2.7/32", time.Now())
	f.Evidence.Time, f.Evidence.User = f.Time, "alice"
	s.Fail(j, f)
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	s = testStore(t, Options{Dir: dir})
	if n := s.Succeed("", f.Prefix, "alice"); n != 1 {
		t.Errorf("%d attempts were taken, want 1", n)
	}
}

// One failure on each of 20 hosts is 20, and the ban falls on the twentieth.
func TestCountsAcrossSources(t *testing.T) {
	clock := newFakeClock()
	s := testStore(t, Options{Now: clock.now})
	j := testJail(t, func(c *jails.Config) { twenty := 20; c.MaxRetry = &twenty })
	for n := 1; n <= 20; n++ {
		clock.advance(100 * time.Millisecond)
		f := failure("192.0.2.7/32", clock.t)
		f.Evidence.Source = fmt.Sprintf("web%d", n)
		if out := s.Fail(j, f); out.Window != n || (out.Ban != nil) != (n == 20) {
			t.Fatalf("failure on host %d: %+v", n, out)
		}
	}
}
