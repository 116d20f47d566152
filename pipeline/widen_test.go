package pipeline

import (
	"context"
	"fmt"
	"net/netip"
	"slices"
	"testing"
	"time"

	"stockade/firewall"
	"stockade/jails"
	"stockade/jails/filter"
	"stockade/jails/state"
	"stockade/receiver"
)

// use puts one jail in the place of all others. Three failures ban.
func (r *rig) use(t *testing.T, c jails.Config, spec filter.Spec) {
	t.Helper()
	three := 3
	if c.Name, c.Filter.Name = "one", "x"; c.MaxRetry == nil {
		c.MaxRetry = &three
	}
	spec.Name, spec.Apps = "one", []string{"login"}
	f, err := filter.Compile(spec)
	if err != nil {
		t.Fatal(err)
	}
	j, err := jails.New(jails.Defaults(), c, nil)
	if err != nil {
		t.Fatal(err)
	}
	sources, err := receiver.NewSources(testSources, nil)
	if err != nil {
		t.Fatal(err)
	}
	r.Swap(NewPlan([]Bound{{Jail: j, Filter: f}}, sources.All()))
}

var loginSpec = filter.Spec{FailRegex: []string{`^failed login of <F-USER>\S*</F-USER> from <HOST>$`, `^invalid user from <HOST>$`}}

// fails is as many failures of the address as ban it.
func (r *rig) fails(addr string) []*receiver.Entry {
	return repeat(3, r.line("login", "failed login of bob from "+addr))
}

// banned are the prefixes that the jail bans.
func (r *rig) banned() []string {
	var list []string
	for _, b := range r.store.Bans("one") {
		list = append(list, b.Prefix.String())
	}
	return list
}

func (r *rig) wide(prefix string) *state.Ban {
	for _, b := range r.store.Bans("one") {
		if b.Prefix == netip.MustParsePrefix(prefix) {
			return b
		}
	}
	return nil
}

var widening = jails.Config{Ports: []string{"22"}, Widen: &jails.WidenConfig{Members: 4}, BanTime: hours(24), IgnoreIP: []string{"198.51.102.200"}}

func hours(n int) *time.Duration {
	d := time.Duration(n) * time.Hour
	return &d
}

func TestWiden(t *testing.T) {
	r := newRig(t, 2)
	r.use(t, widening, loginSpec)
	for i := range 3 {
		r.send(t, r.fails(fmt.Sprintf("198.51.100.%d", 10+i))...)
	}
	if b := r.wide("198.51.100.0/24"); b != nil {
		t.Fatalf("banned for three addresses: %+v", b)
	}
	r.send(t, r.fails("198.51.100.13")...)
	b := r.wide("198.51.100.0/24")
	if b == nil {
		t.Fatalf("four addresses are banned, and their network is not: %v", r.banned())
	}
	if lasts := b.End.Sub(b.Start); lasts != time.Hour || b.Scope != "22" || b.Source != "host" || b.Reason != "4 addresses of it are banned" {
		t.Errorf("the network is banned for %s: %+v", lasts, b)
	}
	eventually(t, "it is in the firewall", func() bool { return r.enforced(t)["198.51.100.0/24"] == firewall.Scope("22") })
	r.send(t, r.fails("198.51.100.99")...)
	if n := len(r.banned()); n != 5 {
		t.Errorf("%d bans: an address of a banned network was banned on its own", n)
	}
	// The members' own bans stand when the wide one is gone.
	if _, err := r.Unban(context.Background(), func(b *state.Ban) bool { return b.Prefix.Bits() == 24 }); err != nil {
		t.Fatal(err)
	}
	held := r.enforced(t)
	if len(held) != 4 || held["198.51.100.13/32"] != "22" {
		t.Errorf("after the ban of the network: %v", held)
	}
	if got := r.Stats().Widened.Load(); got != 1 {
		t.Errorf("%d networks counted", got)
	}
}

func TestWidenCountsIPv6Networks(t *testing.T) {
	r := newRig(t, 1)
	r.use(t, widening, loginSpec)
	for i := range 4 {
		r.send(t, r.fails(fmt.Sprintf("2001:db8:7:%d::9", i))...)
	}
	if r.wide("2001:db8:7::/48") == nil {
		t.Errorf("bans: %v", r.banned())
	}
}

// TestWidenIsSpared: nothing else is banned when the network holds somebody who must not be.
func TestWidenIsSpared(t *testing.T) {
	for _, tt := range []struct {
		name    string
		network string // /24
		before  func(r *rig)
		change  func(c *jails.Config, s *filter.Spec)
		level   receiver.Level
	}{
		{name: "widen is off", network: "198.51.100", change: func(c *jails.Config, _ *filter.Spec) { c.Widen = nil }},
		{name: "a protected address", network: "203.0.113"},
		{name: "an ignored address", network: "198.51.102"},
		{name: "a recent login", network: "198.51.100", before: func(r *rig) { r.successes.note(netip.MustParseAddr("198.51.100.200")) }},
		{name: "a protocol-level return trip alone", network: "198.51.100", change: func(_ *jails.Config, s *filter.Spec) {
			s.FailRegex, s.Patterns = nil, []filter.Pattern{{Name: "x", Proof: filter.ProofChallenge, Text: "failed login of {user} from {addr}"}}
		}},
		{name: "a member's ban was lifted", network: "198.51.100", before: func(r *rig) {
			r.store.Unban(netip.MustParsePrefix("198.51.100.10/32"), "")
		}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			r := newRig(t, 1)
			c, s := widening, loginSpec
			if tt.change != nil {
				tt.change(&c, &s)
			}
			r.use(t, c, s)
			for i := range 4 {
				if i == 3 && tt.before != nil {
					tt.before(r)
				}
				r.send(t, r.fails(fmt.Sprintf("%s.%d", tt.network, 10+i))...)
			}
			banned := r.banned()
			if slices.Contains(banned, tt.network+".0/24") || !slices.Contains(banned, tt.network+".13/32") {
				t.Errorf("bans: %v", banned)
			}
		})
	}
}

func TestWidenNeedsATrustedSource(t *testing.T) {
	r := newRig(t, 1)
	r.use(t, widening, loginSpec)
	for i := range 5 {
		list := r.fails(fmt.Sprintf("198.51.100.%d", 10+i))
		for _, e := range list {
			e.Source, e.Peer.Level = r.sources["switch"], receiver.LevelSpoofable
		}
		r.send(t, list...)
	}
	if banned := r.banned(); len(banned) != 5 || r.wide("198.51.100.0/24") != nil {
		t.Errorf("bans: %v", banned)
	}
}

// TestWidenMindsTheQuota: a source that may begin no more bans bans no network either.
func TestWidenMindsTheQuota(t *testing.T) {
	r := newRig(t, 1)
	c := widening
	c.Widen = &jails.WidenConfig{Members: 10}
	r.use(t, c, loginSpec)
	for i := range 10 { // the burst
		list := r.fails(fmt.Sprintf("192.0.2.%d", 10+i))
		for _, e := range list {
			e.Source, e.Peer.Level = r.sources["botnet"], receiver.LevelAddress
		}
		r.send(t, list...)
	}
	if banned := r.banned(); len(banned) != 10 || r.wide("192.0.2.0/24") != nil {
		t.Errorf("bans: %v", banned)
	}
}

func TestLoginEndsAWideBan(t *testing.T) {
	r := newRig(t, 1)
	c, s := widening, filter.Spec{Patterns: []filter.Pattern{
		{Name: "fail", Proof: filter.ProofHandshake, Text: "failed login of {user} from {addr}"},
		{Name: "ok", Proof: filter.ProofHandshake, Kind: filter.Success, Text: "login of {user} from {addr}"},
	}}
	r.use(t, c, s)
	for i := range 4 {
		r.send(t, r.fails(fmt.Sprintf("198.51.100.%d", 10+i))...)
	}
	if r.wide("198.51.100.0/24") == nil {
		t.Fatalf("bans: %v", r.banned())
	}
	r.send(t, r.line("login", "login of alice from 198.51.100.77"))
	if banned := r.banned(); len(banned) != 4 || r.wide("198.51.100.0/24") != nil {
		t.Errorf("after a login: %v", banned)
	}
	eventually(t, "the firewall lets the network in", func() bool { _, held := r.enforced(t)["198.51.100.0/24"]; return !held })
}

func TestKeyPrefix(t *testing.T) {
	r := newRig(t, 2)
	r.use(t, jails.Config{Key: "prefix", Ports: []string{"22"}, BanTime: hours(24)}, loginSpec)
	for i, addr := range []string{"198.51.100.1", "198.51.100.2", "198.51.100.3"} {
		if n := len(r.banned()); n > 0 {
			t.Fatalf("banned after %d failures", i)
		}
		r.send(t, r.line("login", "failed login of bob from "+addr))
	}
	b := r.wide("198.51.100.0/24")
	if b == nil || b.End.Sub(b.Start) != time.Hour {
		t.Fatalf("bans: %v, %+v", r.banned(), b)
	}
	r.send(t, r.line("login", "failed login of bob from 203.0.113.1"), r.line("login", "failed login of bob from 203.0.113.2"),
		r.line("login", "failed login of bob from 203.0.113.2"), r.line("login", "failed login of bob from 203.0.113.2"))
	if banned := r.banned(); len(banned) != 2 || r.wide("203.0.113.2/32") == nil {
		t.Errorf("around a protected address each is counted on its own: %v", banned)
	}
}

func TestKeyUser(t *testing.T) {
	r := newRig(t, 2)
	events := make(chan Event, 10)
	r.enforcer.acks.event = func(e Event) { events <- e }
	r.use(t, jails.Config{Key: "user"}, loginSpec)
	r.send(t,
		r.line("login", "failed login of root from 198.51.100.1"), r.line("login", "failed login of bob from 198.51.100.1"),
		r.line("login", "failed login of root from 198.51.100.2"), r.line("login", "invalid user from 198.51.100.2"))
	if n := r.Stats().Alerts.Load(); n != 0 {
		t.Fatalf("%d alerts after two failures of each", n)
	}
	r.send(t, r.line("login", "failed login of root from 2001:db8::3"))
	e := <-events
	if e.User != "root" || e.Ban.Failures != 3 || e.Ban.Reason != "3 failures within 10m0s" || len(e.Ban.Evidence) != 3 {
		t.Errorf("told %+v, %+v", e, e.Ban)
	}
	if banned, held := r.banned(), r.enforced(t); len(banned)+len(held) != 0 {
		t.Errorf("a user's failures banned %v %v", banned, held)
	}
	if c := r.store.Counts("one"); c.FailedCurrent != 1 || c.BannedTotal != 0 { // bob
		t.Errorf("%+v", c)
	}
}

func TestWeights(t *testing.T) {
	r := newRig(t, 1)
	r.use(t, jails.Config{Weights: []int{1, 2}}, loginSpec)
	r.send(t, r.line("login", "invalid user from 198.51.100.1"))
	if banned := r.banned(); len(banned) != 0 {
		t.Fatalf("banned after two of three: %v", banned)
	}
	r.send(t, r.line("login", "failed login of bob from 198.51.100.1"))
	if b := r.wide("198.51.100.1/32"); b == nil || b.Failures != 3 {
		t.Errorf("bans %v: %+v", r.banned(), b)
	}
	r.use(t, jails.Config{Weights: []int{1, 0}}, loginSpec)
	r.send(t, repeat(9, r.line("login", "invalid user from 198.51.100.2"))...)
	if w, n := r.store.Windows(netip.MustParseAddr("198.51.100.2")), r.Stats().Weightless.Load(); len(w) != 0 || n != 9 {
		t.Errorf("patterns without weight: %+v, %d counted", w, n)
	}
}

// TestThresholds: fast and slow attackers of one jail.
func TestThresholds(t *testing.T) {
	r := newRig(t, 1)
	r.use(t, jails.Config{Thresholds: []jails.ThresholdConfig{{MaxRetry: 5, FindTime: 10 * time.Minute, BanTime: time.Hour}, {MaxRetry: 8, FindTime: 24 * time.Hour, BanTime: 7 * 24 * time.Hour}}}, loginSpec)
	j := r.Plan().Jail("one")
	for range 4 {
		r.store.Fail(j, state.Failure{Jail: "one", Prefix: netip.MustParsePrefix("198.51.100.1/32"), Time: time.Now().Add(-time.Hour), Evidence: state.Evidence{Source: "host"}})
	}
	r.send(t, repeat(3, r.line("login", "failed login of bob from 198.51.100.1"))...)
	if banned := r.banned(); len(banned) != 0 {
		t.Fatalf("banned after 3 in 10 minutes and 7 in a day: %v", banned)
	}
	r.send(t, r.line("login", "failed login of bob from 198.51.100.1"))
	if b := r.wide("198.51.100.1/32"); b == nil || b.End.Sub(b.Start) != 7*24*time.Hour {
		t.Errorf("the eighth of a day: %+v", b)
	}
	r.send(t, repeat(5, r.line("login", "failed login of bob from 198.51.100.2"))...)
	if b := r.wide("198.51.100.2/32"); b == nil || b.End.Sub(b.Start) != time.Hour {
		t.Errorf("the fifth in 10 minutes: %+v", b)
	}
}

// TestSuccessTakesItsOwnFailuresAlone: the login of one user forgives that user, at that address.
func TestSuccessTakesItsOwnFailuresAlone(t *testing.T) {
	r := newRig(t, 1)
	r.use(t, jails.Config{}, filter.Spec{Patterns: []filter.Pattern{
		{Name: "fail", Proof: filter.ProofHandshake, Text: "failed login of {user} from {addr}"},
		{Name: "ok", Proof: filter.ProofHandshake, Kind: filter.Success, Text: "login of {user} from {addr}"},
	}})
	r.send(t,
		r.line("login", "failed login of alice from 198.51.100.1"), r.line("login", "failed login of root from 198.51.100.1"),
		r.line("login", "failed login of alice from 198.51.100.2"), r.line("login", "failed login of alice from 198.51.100.2"),
		r.line("login", "login of alice from 198.51.100.1"))
	if w := r.store.Windows(netip.MustParseAddr("198.51.100.1")); len(w) != 1 || w[0].Count != 1 || w[0].Failures[0].User != "root" {
		t.Errorf("of the address that logged in: %+v", w)
	}
	if w := r.store.Windows(netip.MustParseAddr("198.51.100.2")); len(w) != 1 || w[0].Count != 2 {
		t.Errorf("of another address: %+v", w)
	}
}

// TestWidenRemembersOverARestart: addresses that were banned before a restart are members after it,
// but for those that nothing proved.
func TestWidenRemembersOverARestart(t *testing.T) {
	for _, tt := range []struct {
		name   string
		proven bool
	}{{"proven by a handshake", true}, {"unproven", false}} {
		t.Run(tt.name, func(t *testing.T) {
			k := &kernel{fw: &flaky{Observe: firewall.NewObserve()}, dir: t.TempDir()}
			sources, err := receiver.NewSources(testSources, nil)
			if err != nil {
				t.Fatal(err)
			}
			begin := func(proven bool) *rig {
				l := k.begin(t)
				r := &rig{Pipeline: l.Pipeline, fw: k.fw, sources: make(map[string]*receiver.Source), stop: l.stop}
				for _, s := range sources.All() {
					r.sources[s.Name] = s
				}
				spec := loginSpec
				spec.Unproven = !proven
				r.use(t, widening, spec)
				return r
			}
			r := begin(tt.proven)
			for i := range 3 { // the witness vouches for this network
				r.send(t, r.fails(fmt.Sprintf("198.51.100.%d", 10+i))...)
			}
			eventually(t, "three addresses are banned", func() bool { return len(r.banned()) == 3 })
			r.stop()
			r = begin(tt.proven)
			r.send(t, r.fails("198.51.100.13")...)
			eventually(t, "the fourth address is banned", func() bool { return slices.Contains(r.banned(), "198.51.100.13/32") })
			r.stop() // what follows from the ban has followed
			if wide := r.wide("198.51.100.0/24") != nil; wide != tt.proven {
				t.Errorf("the network is banned: %v, want %v", wide, tt.proven)
			}
		})
	}
}
