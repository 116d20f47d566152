package state

import (
	"net/netip"
	"testing"
	"time"

	"stockade/jails"
)

// fakeClock is a wall clock that a test moves.
type fakeClock struct{ t time.Time }

func newFakeClock() *fakeClock {
	return &fakeClock{t: time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)}
}

func (c *fakeClock) now() time.Time          { return c.t }
func (c *fakeClock) advance(d time.Duration) { c.t = c.t.Add(d) }

func testStore(t testing.TB, o Options) *Store {
	t.Helper()
	s, err := Open(o)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func testJail(t testing.TB, change func(*jails.Config)) *jails.Jail {
	t.Helper()
	c := jails.Config{Name: "sshd", Filter: jails.FilterConfig{Name: "sshd"}}
	if change != nil {
		change(&c)
	}
	j, err := jails.New(jails.DefaultsConfig{MaxRetry: 3, FindTime: 10 * time.Second, BanTime: time.Minute}, c,
		func(string) ([]byte, error) { return nil, nil })
	if err != nil {
		t.Fatal(err)
	}
	return j
}

func failure(prefix string, at time.Time) Failure {
	p := netip.MustParsePrefix(prefix)
	return Failure{Prefix: p, Addr: p.Addr(), Time: at, Received: at, Attempts: 1,
		Evidence: Evidence{Time: at, Received: at, Source: "web1", Trust: "tls", Raw: "Failed password"}}
}

func TestBanFallsOnTheDecidingFailure(t *testing.T) {
	clock := newFakeClock()
	s := testStore(t, Options{Now: clock.now})
	j := testJail(t, nil)
	start := clock.t
	for i, step := range []struct {
		after  time.Duration
		window int
		ban    bool
	}{
		{0, 1, false},
		{4 * time.Second, 2, false},
		{10*time.Second + 1, 2, false}, // the first one is 1 ns too old
		{14*time.Second + 1, 2, false}, // and the second
		{20*time.Second + 1, 3, true},  // 10 s after the third to the ns
	} {
		clock.t = start.Add(step.after)
		out := s.Fail(j, failure("192.0.2.7/32", clock.t))
		if out.Window != step.window || (out.Ban != nil) != step.ban || !out.Counted {
			t.Fatalf("failure %d: %+v, want window %d, ban %v", i, out, step.window, step.ban)
		}
	}
	if out := s.Fail(j, failure("192.0.2.7/32", clock.t)); !out.AlreadyBanned || out.Counted {
		t.Fatalf("failure while banned: %+v", out)
	}
	if got, want := s.Counts("sshd"), (JailCounts{FailedTotal: 6, BannedCurrent: 1, BannedTotal: 1}); got != want {
		t.Fatalf("counts %+v, want %+v", got, want)
	}
	clock.advance(time.Minute)
	if got, want := s.Counts("sshd"), (JailCounts{FailedTotal: 6, BannedTotal: 1}); got != want {
		t.Fatalf("counts after the ban %+v, want %+v", got, want)
	}
}
