package pipeline

import (
	"context"
	"fmt"
	"net/netip"
	"sync/atomic"
	"testing"
	"time"

	"stockade/jails/state"
	"stockade/receiver"
)

// clock is a clock that stands still until a test moves it.
type clock struct {
	from  time.Time
	ahead atomic.Int64
}

func (c *clock) now() time.Time          { return c.from.Add(time.Duration(c.ahead.Load())) }
func (c *clock) advance(d time.Duration) { c.ahead.Add(int64(d)) }

// hold gives the quotas a clock of the test: they do not grow because the machine is slow.
func (r *rig) hold() *clock {
	c := &clock{from: time.Now()}
	r.quotas.mu.Lock()
	defer r.quotas.mu.Unlock()
	r.quotas.now = c.now
	return c
}

// flood sends failures of many addresses, each enough times to be banned.
func (r *rig) flood(t *testing.T, source string, addresses int) {
	t.Helper()
	var all []*receiver.Entry
	for i := range addresses {
		e := r.line("login", fmt.Sprintf("failed login from 198.18.%d.%d", i>>8, i&255))
		e.Source = r.sources[source]
		n := 3
		if i == addresses-1 {
			n = 6 // the last one is the worst offender
		}
		all = append(all, repeat(n, e)...)
	}
	r.send(t, all...)
}

// While no ban waits, nobody looks twice a second for one that may begin; the first that waits says so.
func TestFirstHeldBanIsAnnounced(t *testing.T) {
	q := NewQuotas()
	q.Set([]*receiver.Source{{SourceConfig: receiver.SourceConfig{Name: "botnet"}}}, func(*receiver.Source) bool { return false })
	if got := q.pace(); got != houseEvery {
		t.Errorf("nothing waits: a look every %s, want %s", got, houseEvery)
	}
	for i, last := range []string{"192.0.2.1", "192.0.2.2"} {
		addr := netip.MustParseAddr(last)
		if !q.hold(&state.Ban{Jail: "login", Source: "botnet", Prefix: netip.PrefixFrom(addr, 32)}, addr) {
			t.Fatalf("%s is not held", last)
		}
		if got := q.pace(); got != releaseEvery {
			t.Errorf("%d wait: a look every %s, want %s", i+1, got, releaseEvery)
		}
		if got, want := len(q.waits), 1-i; got != want {
			t.Errorf("%d wait: %d announcements, want %d", i+1, got, want)
		}
		select {
		case <-q.waits:
		default:
		}
	}
	if got := len(q.approve("botnet")); got != 2 {
		t.Fatalf("%d began, want 2", got)
	}
	if got := q.pace(); got != houseEvery {
		t.Errorf("nothing waits any more: a look every %s, want %s", got, houseEvery)
	}
}

func TestQuotaThrottles(t *testing.T) {
	r := newRig(t, 1)
	c := r.hold()
	r.flood(t, "botnet", 50)
	if got := len(r.store.Bans("login")); got < 10 || got > 11 {
		t.Fatalf("%d bans at once, want the burst of 10", got)
	}
	if s, _ := r.quotas.State("botnet"); s.Pending < 39 || s.Pending > 40 {
		t.Errorf("%d bans wait, want 40", s.Pending)
	}
	if f := r.Faults(); len(f) != 1 || f[0].Name != "quota" {
		t.Errorf("faults = %+v", f)
	}
	c.advance(time.Second)
	eventually(t, "a second gives one more ban", func() bool { return len(r.store.Bans("login")) > 10 })
	worst := false
	for _, b := range r.store.Bans("login") {
		worst = worst || b.Prefix.String() == "198.18.0.49/32"
	}
	if !worst {
		t.Error("the worst offender did not come first")
	}
	// Another source is not held back by this one's quota.
	r.send(t, repeat(3, r.line("login", "failed login from 198.51.100.7"))...)
	eventually(t, "the other source's ban", func() bool { _, ok := r.enforced(t)["198.51.100.7/32"]; return ok })
	if _, err := r.Approve(context.Background(), "botnet"); err != nil {
		t.Fatal(err)
	}
	if got := len(r.enforced(t)); got != 51 {
		t.Errorf("%d elements after the approval, want 51", got)
	}
	lifted, err := r.Unban(context.Background(), func(b *state.Ban) bool { return b.Source == "botnet" })
	if err != nil || len(lifted) != 50 || len(r.enforced(t)) != 1 {
		t.Errorf("undo lifted %d of 50 bans (%v)", len(lifted), err)
	}
}

func TestQuotaQuarantines(t *testing.T) {
	r := newRig(t, 1)
	c := r.hold()
	r.flood(t, "liar", 50)
	if got := len(r.store.Bans("login")); got != 10 {
		t.Fatalf("%d bans, want the burst of 10", got)
	}
	if f := r.Faults(); len(f) != 1 || f[0].Name != "quarantine" {
		t.Errorf("faults = %+v", f)
	}
	refused := map[string]int64{}
	for _, x := range r.sources["liar"].Refused.All() {
		refused[x.Reason] = x.Count
	}
	if refused[refusedQuarantine] == 0 {
		t.Errorf("refused = %v, want some quarantined", refused)
	}
	c.advance(quarantineFor + time.Minute)
	if !r.quotas.believed("liar") {
		t.Error("still not believed 15 minutes later")
	}
}

func TestUnbanTakesBackWhatWaits(t *testing.T) {
	r := newRig(t, 1)
	r.flood(t, "botnet", 50)
	if _, err := r.Unban(context.Background(), func(b *state.Ban) bool { return b.Source == "botnet" }); err != nil {
		t.Fatal(err)
	}
	if s, _ := r.quotas.State("botnet"); s.Pending != 0 || len(r.enforced(t)) != 0 {
		t.Errorf("%d bans still wait, %d are enforced", s.Pending, len(r.enforced(t)))
	}
}

func TestAWitnessedBanDoesNotWaitForTheQuota(t *testing.T) {
	r := newRig(t, 1)
	r.hold()
	r.flood(t, "botnet", 20) // the burst is 10, and nobody saw these
	e := r.line("login", "failed login from 198.51.100.7")
	e.Source = r.sources["botnet"]
	r.send(t, repeat(3, e)...)
	eventually(t, "the address that the kernel saw is banned", func() bool { _, ok := r.enforced(t)["198.51.100.7/32"]; return ok })
	if s, _ := r.quotas.State("botnet"); s.Pending < 8 {
		t.Errorf("%d bans wait, want those of the others", s.Pending)
	}
}

func TestForgeryLeadsToQuarantine(t *testing.T) {
	for _, tt := range []struct {
		name, source, app, text string
		quarantined             bool
	}{
		{"protected addresses accused", "liar", "login", "failed login from 203.0.113.7", true},
		{"lines outside the grants", "narrow", "httpd", "other 192.0.2.9", true},
		{"app names outside the grants", "narrow", "login", "failed login from 192.0.2.9", true},
		{"by a source that is throttled only", "botnet", "login", "failed login from 203.0.113.7", false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			r := newRig(t, 1)
			e := r.line(tt.app, tt.text)
			e.Source = r.sources[tt.source]
			r.judged(t, repeat(forgeriesPerMinute, e)...)
			if s, _ := r.quotas.State(tt.source); !s.Quarantined.IsZero() {
				t.Fatal("a few mistakes are taken for forgery")
			}
			r.judged(t, repeat(forgeriesPerMinute, e)...)
			if s, _ := r.quotas.State(tt.source); s.Quarantined.IsZero() == tt.quarantined {
				t.Fatalf("quarantined since %v", s.Quarantined)
			}
		})
	}
}
