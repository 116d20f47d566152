package state

import (
	"context"
	"errors"
	"net/netip"
	"sync"
	"testing"
	"time"

	"stockade/jails"
)

func prefix(s string) netip.Prefix { return netip.MustParsePrefix(s) }

func TestSeveralThresholds(t *testing.T) {
	clock := newFakeClock()
	s := testStore(t, Options{Now: clock.now})
	j := testJail(t, func(c *jails.Config) {
		c.Thresholds = []jails.ThresholdConfig{{MaxRetry: 3, FindTime: 10 * time.Second, BanTime: time.Minute}, {MaxRetry: 5, FindTime: time.Hour, BanTime: time.Hour}}
	})
	for i := range 5 {
		clock.advance(20 * time.Second)
		out := s.Fail(j, failure("192.0.2.7/32", clock.t))
		if (out.Ban != nil) != (i == 4) {
			t.Fatalf("failure %d: %+v", i, out)
		}
		if i == 4 && (out.Threshold.MaxRetry != 5 || out.Ban.End.Sub(out.Ban.Start) != time.Hour) {
			t.Errorf("slow ban %+v", out)
		}
	}
	for i := range 3 {
		out := s.Fail(j, failure("192.0.2.8/32", clock.t))
		if i < 2 && out.Left != 2-i || i == 2 && (out.Ban == nil || out.Threshold.MaxRetry != 3) {
			t.Errorf("fast failure %d: %+v", i, out)
		}
	}
}

// What an ended ban rested on is kept for 7 days, also over a restart.
func TestEvidenceOfEndedBans(t *testing.T) {
	clock := newFakeClock()
	dir := t.TempDir()
	s := testStore(t, Options{Dir: dir, Now: clock.now})
	j := testJail(t, nil)
	for range 3 {
		s.Fail(j, failure("192.0.2.7/32", clock.t))
	}
	addr := prefix("192.0.2.7/32").Addr()
	if o := s.Offenders(addr); len(o) != 1 || o[0].Evidence != nil {
		t.Errorf("while banned the ban has the evidence: %+v", o)
	}
	clock.advance(time.Hour)
	if o := s.Offenders(addr); len(o) != 1 || len(o[0].Evidence) != 3 || o[0].Evidence[0].Raw == "" {
		t.Errorf("after the ban: %+v", o[0])
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	s = testStore(t, Options{Dir: dir, Now: clock.now})
	if o := s.Offenders(addr); len(o) != 1 || len(o[0].Evidence) != 3 {
		t.Errorf("after a restart: %+v", o)
	}
	clock.advance(7 * 24 * time.Hour)
	if o := s.Offenders(addr); len(o) != 1 || o[0].Evidence != nil || s.Stats().Evidence != 0 {
		t.Errorf("after 7 days: %+v, %d bytes", o, s.Stats().Evidence)
	}
	clock.advance(23 * 24 * time.Hour)
	if o := s.Offenders(addr); len(o) != 0 {
		t.Errorf("after 30 days: %+v", o)
	}
}

func TestAttemptsCount(t *testing.T) {
	clock := newFakeClock()
	s := testStore(t, Options{Now: clock.now})
	f := failure("192.0.2.7/32", clock.t)
	f.Attempts = 3
	out := s.Fail(testJail(t, nil), f)
	if out.Ban == nil || out.Ban.Failures != 3 || s.Counts("sshd").FailedTotal != 3 {
		t.Errorf("%+v", out)
	}
}

func TestCorroboration(t *testing.T) {
	clock := newFakeClock()
	s := testStore(t, Options{Now: clock.now})
	j := testJail(t, func(c *jails.Config) { one := 1; c.MaxRetry, c.Corroborate = &one, 2 })
	fail := func(prefix, source, trust string) *Ban {
		f := failure(prefix, clock.t)
		f.Evidence.Source, f.Evidence.Trust = source, trust
		return s.Fail(j, f).Ban
	}
	for range 10 {
		if fail("192.0.2.7/32", "a", "spoofable") != nil {
			t.Fatal("one source was enough")
		}
	}
	if fail("192.0.2.7/32", "b", "spoofable") != nil {
		t.Fatal("two spoofable sources were enough")
	}
	if fail("192.0.2.7/32", "b", "address") == nil {
		t.Fatal("two sources, one of them firm, are not enough")
	}
	if fail("192.0.2.9/32", "a", "onlink") != nil || fail("192.0.2.9/32", "b", "onlink") != nil {
		t.Fatal("two sources that any host of their network can forge were enough")
	}
	if fail("192.0.2.8/32", "a", "tls") != nil || fail("192.0.2.8/32", "c", "spoofable") == nil {
		t.Fatal("a firm one and a spoofable one")
	}
}

func TestOneEventOfTwoSourcesCountsOnce(t *testing.T) {
	clock := newFakeClock()
	s := testStore(t, Options{Now: clock.now})
	j := testJail(t, func(c *jails.Config) { three := 3; c.MaxRetry = &three })
	fail := func(prefix string, j *jails.Jail, source, trust string, event uint32) Outcome {
		f := failure(prefix, clock.t)
		f.Evidence.Source, f.Evidence.Trust, f.Event = source, trust, event
		return s.Fail(j, f)
	}
	for event := range uint32(2) {
		for _, source := range []string{"a", "relay", "relay"} {
			if out := fail("192.0.2.7/32", j, source, "tls", event+1); out.Ban != nil || out.Window != int(event)+1 {
				t.Fatalf("event %d from %s: %+v", event+1, source, out)
			}
		}
	}
	if fail("192.0.2.7/32", j, "relay", "tls", 3).Ban == nil {
		t.Error("the third event does not ban")
	}
	for range 2 { // lines without a stamp are told apart by nothing
		fail("192.0.2.8/32", j, "a", "tls", 0)
	}
	if fail("192.0.2.8/32", j, "b", "tls", 0).Ban == nil {
		t.Error("lines without a stamp do not all count")
	}
	two := testJail(t, func(c *jails.Config) { c.Name = "two"; one := 1; c.MaxRetry, c.Corroborate = &one, 2 })
	if fail("192.0.2.9/32", two, "forger", "spoofable", 1).Ban != nil || fail("192.0.2.9/32", two, "a", "tls", 1).Ban != nil {
		t.Error("one event is two sources' agreement")
	}
	if fail("192.0.2.9/32", two, "b", "spoofable", 2).Ban == nil {
		t.Error("the firm source lost its word to the forger who was first")
	}
}

func TestAdmission(t *testing.T) {
	clock := newFakeClock()
	admit := false
	s := testStore(t, Options{Now: clock.now, Admit: func(*jails.Jail, Failure, *Ban) bool { return admit }})
	j := testJail(t, nil)
	var out Outcome
	for range 20 {
		out = s.Fail(j, failure("192.0.2.7/32", clock.t))
	}
	if out.Ban != nil || out.Held == nil || len(s.Bans("")) != 0 || s.Counts("sshd").FailedCurrent != 1 {
		t.Fatalf("%+v", out)
	}
	b, changed := s.Ban(*out.Held)
	if !changed || b.Count != 1 || !b.End.Equal(out.Held.End) || s.Counts("sshd").FailedCurrent != 0 {
		t.Errorf("held ban begins as %+v", b)
	}
	admit = true
	for range 3 {
		out = s.Fail(j, failure("192.0.2.8/32", clock.t))
	}
	if out.Ban == nil {
		t.Errorf("%+v", out)
	}
}

func TestBanAndUnban(t *testing.T) {
	clock := newFakeClock()
	s := testStore(t, Options{Now: clock.now})
	j := testJail(t, nil)
	p := prefix("192.0.2.7/32")
	b, changed := s.Ban(Ban{Jail: "manual", Prefix: p, End: clock.t.Add(time.Hour), Reason: "x"})
	if !changed || b.Count != 1 || !b.Start.Equal(clock.t) {
		t.Fatalf("%+v, %v", b, changed)
	}
	if _, changed = s.Ban(*b); changed {
		t.Error("the same ban changes something")
	}
	c := *b
	c.End = clock.t.Add(time.Minute)
	if b, changed = s.Ban(c); !changed || !b.End.Equal(c.End) || b.Count != 1 || s.Counts("manual").BannedTotal != 1 {
		t.Errorf("shortened: %+v, %v", b, changed)
	}
	s.Fail(j, failure("192.0.2.7/32", clock.t))
	s.Fail(j, failure("192.0.2.7/32", clock.t))
	if got := s.Unban(p, "sshd"); len(got) != 0 || s.Counts("sshd").FailedCurrent != 0 {
		t.Errorf("unban in a jail without a ban: %v; its window is left", got)
	}
	if len(s.BansOf(p.Addr())) != 1 {
		t.Error("unban in one jail lifted the ban of another")
	}
	if got := s.Unban(p, ""); len(got) != 1 || got[0].Jail != "manual" {
		t.Errorf("unban: %v", got)
	}
	if got := s.Unban(p, ""); len(got) != 0 || s.Counts("manual") != (JailCounts{BannedTotal: 1}) {
		t.Errorf("second unban: %v, %+v", got, s.Counts("manual"))
	}
	s.Ban(Ban{Jail: "manual", Prefix: p, Source: "a"})
	s.Ban(Ban{Jail: "sshd", Prefix: p, Source: "b"})
	s.Ban(Ban{Jail: "sshd", Prefix: prefix("192.0.2.8/32"), Source: "a"})
	if got := s.UnbanWhere(func(b *Ban) bool { return b.Source == "a" }); len(got) != 2 {
		t.Errorf("unbanned of source a: %v", got)
	}
	if left := s.Bans(""); len(left) != 1 || left[0].Source != "b" {
		t.Errorf("left: %v", left)
	}
	if got := s.Offenders(p.Addr()); len(got) != 2 {
		t.Errorf("offenders %v", got)
	}
}

func TestWiderBan(t *testing.T) {
	clock := newFakeClock()
	s := testStore(t, Options{Now: clock.now})
	j := testJail(t, nil)
	s.Ban(Ban{Jail: "sshd", Prefix: prefix("192.0.2.77/24"), End: clock.t.Add(time.Minute)})
	s.Ban(Ban{Jail: "sshd", Prefix: prefix("2001:db8::/32")})
	for _, p := range []string{"192.0.2.7/32", "2001:db8:1:2::/64"} {
		if out := s.Fail(j, failure(p, clock.t)); !out.AlreadyBanned {
			t.Errorf("%s under a wider ban: %+v", p, out)
		}
		if !s.FailBanned(j, prefix(p), 1) {
			t.Errorf("%s is not seen as banned", p)
		}
		if got := s.BansOf(prefix(p).Addr()); len(got) != 1 || got[0].Prefix.Bits() == prefix(p).Bits() {
			t.Errorf("bans of %s: %v", p, got)
		}
	}
	if s.FailBanned(j, prefix("192.0.3.7/32"), 1) || s.Counts("sshd").FailedTotal != 4 {
		t.Error("an address outside is banned")
	}
	clock.advance(time.Minute)
	if out := s.Fail(j, failure("192.0.2.7/32", clock.t)); !out.Counted {
		t.Errorf("after the wider ban: %+v", out)
	}
}

func TestEffectiveAndChanges(t *testing.T) {
	clock := newFakeClock()
	s := testStore(t, Options{Now: clock.now})
	p := prefix("192.0.2.7/32")
	s.Ban(Ban{Jail: "a", Prefix: p, Scope: "22", End: clock.t.Add(time.Hour)})
	s.Ban(Ban{Jail: "b", Prefix: p, Scope: "22", End: clock.t.Add(2 * time.Hour), Verdict: "reject"})
	s.Ban(Ban{Jail: "c", Prefix: p, Scope: "80", End: clock.t.Add(3 * time.Hour)})
	s.Ban(Ban{Jail: "d", Prefix: p, Scope: "80", Shadow: true})
	changes, err := s.WaitChanges(t.Context(), 0)
	if err != nil || len(changes) != 2 || changes[0] != (Change{p, "22"}) || changes[1] != (Change{p, "80"}) {
		t.Fatalf("changes %v, %v", changes, err)
	}
	e := s.Effective(p)
	if len(e) != 2 || e[0].Jail != "b" || len(e[0].Jails) != 2 || e[0].Verdict != "reject" || !e[0].End.Equal(clock.t.Add(2*time.Hour)) || e[1].Jail != "c" {
		t.Fatalf("effective %+v", e)
	}
	if n := s.MarkElement(changes[0], true); n != 2 || !s.MarkEnforced(p, "c", true) || s.MarkEnforced(p, "x", true) {
		t.Errorf("%d bans marked", n)
	}
	for _, b := range s.Bans("") {
		if b.Enforced == b.Shadow {
			t.Errorf("%s enforced: %v", b.Jail, b.Enforced)
		}
	}
	if e = s.Effective(p); !e[0].Enforced {
		t.Errorf("effective %+v", e)
	}
	if again := s.TakeChanges(0); len(again) != 0 {
		t.Errorf("marking is a change: %v", again)
	}
	s.Unban(p, "b")
	if e = s.Effective(p); e[0].Jail != "a" || !e[0].End.Equal(clock.t.Add(time.Hour)) {
		t.Errorf("after the longer one is gone: %+v", e)
	}
	clock.advance(time.Hour)
	s.flush()
	if got := s.TakeChanges(1); len(got) != 1 || len(s.Effective(p)) != 1 {
		t.Errorf("after the shorter one ran out: %v, %+v", got, s.Effective(p))
	}
	b := s.BansOf(p.Addr())[0]
	c := *b
	c.Scope = "443"
	s.Ban(c)
	if got := s.TakeChanges(0); len(got) != 2 {
		t.Errorf("a new scope changes %v, want both elements", got)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := s.WaitChanges(ctx, 0); !errors.Is(err, context.Canceled) {
		t.Error(err)
	}
}

func TestLateFailures(t *testing.T) {
	clock := newFakeClock()
	s := testStore(t, Options{Now: clock.now})
	j := testJail(t, nil)
	fail := func(age time.Duration) Outcome { return s.Fail(j, failure("192.0.2.7/32", clock.t.Add(-age))) }
	if out := fail(11 * time.Second); !out.Stale || s.Counts("sshd").FailedCurrent != 0 {
		t.Errorf("older than findtime: %+v", out)
	}
	fail(0)
	if out := fail(9 * time.Second); out.Window != 2 {
		t.Errorf("one that comes late counts where it belongs: %+v", out)
	}
	clock.advance(2 * time.Second)
	if out := fail(0); out.Ban != nil || out.Window != 2 {
		t.Errorf("11 s after the late one: %+v", out)
	}
	if out := fail(-time.Hour); out.Ban == nil || out.Ban.Start.After(clock.t) {
		t.Errorf("a stamp in the future counts now: %+v", out)
	}
}

func TestConcurrentFailuresAreExact(t *testing.T) {
	s := testStore(t, Options{Dir: t.TempDir()})
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error)
	go func() { done <- s.Run(ctx) }()
	<-s.Ready()
	j := testJail(t, func(c *jails.Config) { hour := time.Hour; c.FindTime, c.BanTime = &hour, &hour })
	addresses := uint32(size(300, 3000, 20000))
	var wg sync.WaitGroup
	for g := range uint32(4) {
		wg.Go(func() {
			for round := range 4 {
				for n := range addresses {
					if n%4 != g {
						continue
					}
					f := failure("192.0.2.1/32", time.Now())
					f.Prefix = addr4(n << 8)
					if out := s.Fail(j, f); (out.Ban != nil) != (round == 2) || out.AlreadyBanned != (round == 3) {
						t.Errorf("round %d of %s: %+v", round, f.Prefix, out)
						return
					}
				}
			}
		})
	}
	wg.Wait()
	want := JailCounts{FailedTotal: int64(addresses) * 4, BannedCurrent: int(addresses), BannedTotal: int64(addresses)}
	if got := s.Counts("sshd"); got != want {
		t.Errorf("counts %+v, want %+v", got, want)
	}
	if n := len(s.Bans("sshd")); n != int(addresses) {
		t.Errorf("%d bans", n)
	}
	cancel()
	if err := <-done; err != nil {
		t.Error(err)
	}
	if err := s.Close(); err != nil {
		t.Error(err)
	}
	r := testStore(t, Options{Dir: s.opt.Dir})
	if got := r.Counts("sshd"); got != want {
		t.Errorf("counts after a restart %+v, want %+v", got, want)
	}
}

func TestRunEndsBans(t *testing.T) {
	s := testStore(t, Options{})
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error)
	go func() { done <- s.Run(ctx) }()
	s.Ban(Ban{Jail: "manual", Prefix: prefix("192.0.2.7/32"), End: time.Now().Add(100 * time.Millisecond)})
	for range 2 { // begins, ends
		wait, stop := context.WithTimeout(t.Context(), 10*time.Second)
		changes, err := s.WaitChanges(wait, 0)
		stop()
		if err != nil || len(changes) != 1 {
			t.Fatal(changes, err)
		}
	}
	if e := s.Effective(prefix("192.0.2.7/32")); len(e) != 0 {
		t.Errorf("%+v", e)
	}
	cancel()
	if err := <-done; err != nil {
		t.Error(err)
	}
}

func TestFailAllocatesNothingForTheBanned(t *testing.T) {
	s := testStore(t, Options{})
	j := testJail(t, nil)
	f := failure("192.0.2.7/32", time.Time{})
	s.Ban(Ban{Jail: j.Name, Prefix: f.Prefix})
	if n := testing.AllocsPerRun(1000, func() { s.Fail(j, f) }); n != 0 {
		t.Errorf("Fail: %.1f allocations", n)
	}
	if n := testing.AllocsPerRun(1000, func() { s.FailBanned(j, f.Prefix, 1) }); n != 0 {
		t.Errorf("FailBanned: %.1f allocations", n)
	}
	if c := s.Counts(j.Name); c.FailedTotal < 2000 {
		t.Errorf("%+v", c)
	}
}
