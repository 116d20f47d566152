package nft

import (
	"context"
	"errors"
	"maps"
	"net/netip"
	"os/exec"
	"slices"
	"strings"
	"testing"
	"time"

	"stockade/firewall"
)

// store is what a daemon would hold: Watch's callback makes the kernel equal to it.
type store map[netip.Prefix]firewall.Element

func watch(t *testing.T, e *Enforcer, s store) <-chan Loss {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	losses := make(chan Loss, 100)
	done := make(chan error, 1)
	go func() {
		done <- e.Watch(ctx, func(l Loss) {
			if l.Elements {
				if r, err := e.Reconcile(ctx, maps.Values(s), firewall.ForeignIgnore); err != nil || r.Failed > 0 {
					t.Errorf("Reconcile: %+v, %v", r, err)
				}
			}
			losses <- l
		})
	}()
	t.Cleanup(func() {
		cancel()
		if err := <-done; err != nil {
			t.Errorf("Watch: %v", err)
		}
	})
	return losses
}

func fill(t *testing.T, e *Enforcer, n int) store {
	t.Helper()
	s := make(store)
	var changes []firewall.Change
	add := func(c firewall.Change) {
		s[c.Prefix] = c.Element
		changes = append(changes, c)
	}
	for i := range n {
		add(banChange(netip.AddrFrom4([4]byte{100, byte(64 + i>>16), byte(i >> 8), byte(i)}).String()+"/32", "", time.Hour))
	}
	add(banChange("192.0.2.7/32", "22", time.Hour))
	add(banChange("2001:db8:7::/64", "", time.Hour))
	add(banChange("2001:db8:7::8/128", "", time.Hour))
	add(banChange("198.51.100.0/24", "", time.Hour))
	c := banChange("203.0.113.9/32", "", time.Hour)
	c.Verdict = firewall.Reject
	add(c)
	applyAll(t, e, changes)
	return s
}

func applyAll(t *testing.T, e *Enforcer, changes []firewall.Change) {
	t.Helper()
	results, err := e.Apply(context.Background(), changes)
	if err != nil {
		t.Fatal(err)
	}
	for _, r := range results {
		if !r.Enforced {
			t.Fatalf("%v: %v", r.Prefix, r.Err)
		}
	}
}

func count(t *testing.T, e *Enforcer) int {
	t.Helper()
	n := 0
	if err := e.Elements(context.Background(), func(firewall.Element, firewall.Counters) bool { n++; return true }); err != nil {
		t.Fatal(err)
	}
	return n
}

func TestWatchRepairsWhatOthersChange(t *testing.T) {
	t.Parallel()
	requireKernel(t, "nft")
	ns := newNamespace(t)
	e := openIn(t, ns, func(o *Options) { o.Config.Owner = "off" })
	protect(t, e, "203.0.113.1")
	s := fill(t, e, 500)
	losses := watch(t, e, s)
	rounds := 3
	if !testing.Short() {
		rounds = 20
	}
	var slowest time.Duration
	for _, foreign := range []struct {
		command  []string
		elements bool
		rounds   int
	}{
		{[]string{"flush", "ruleset"}, true, rounds},
		{[]string{"delete", "table", "inet", "stockade"}, true, 2},
		{[]string{"flush", "set", "inet", "stockade", "ban4"}, true, 2},
		{[]string{"flush", "set", "inet", "stockade", "net4"}, true, 2},
		{[]string{"flush", "set", "inet", "stockade", "ban4_p22"}, true, 2},
		{[]string{"flush", "chain", "inet", "stockade", "gate"}, false, 2},
		{[]string{"flush", "chain", "inet", "stockade", "judge"}, false, 2},
		{[]string{"flush", "table", "inet", "stockade"}, false, 2},
		{[]string{"insert", "rule", "inet", "stockade", "gate", "accept"}, false, 2},
		{[]string{"add", "table", "inet", "stockade", "{", "flags", "dormant;", "}"}, false, 2},
	} {
		for range foreign.rounds {
			start := time.Now()
			command(t, ns, append([]string{"nft"}, foreign.command...)...)
			select {
			case l := <-losses:
				if l.Err != nil || l.Elements != foreign.elements || l.By != "nft" && l.By != "" {
					t.Errorf("%v: %+v", foreign.command, l)
				}
				slowest = max(slowest, time.Since(start))
			case <-time.After(10 * time.Second):
				t.Fatalf("%v: not noticed", foreign.command)
			}
			if n := count(t, e); n != len(s) {
				t.Fatalf("%v: %d elements, want %d", foreign.command, n, len(s))
			}
			e.mu.Lock()
			flaws, err := e.check()
			e.mu.Unlock()
			if err != nil || len(flaws) > 0 {
				t.Fatalf("%v: %v, %v", foreign.command, flaws, err)
			}
			if got := listSet(t, ns, never4); !slices.ContainsFunc(got, func(l listed) bool { return l.first.String() == "203.0.113.1" }) {
				t.Fatalf("%v: protected prefixes are %v", foreign.command, got)
			}
		}
	}
	t.Logf("slowest repair, with %d elements set again: %s", len(s), slowest)
	command(t, ns, "nft", "add table inet other")
	applyAll(t, e, []firewall.Change{banChange("192.0.2.99/32", "", time.Hour)})
	select {
	case l := <-losses:
		t.Errorf("a change elsewhere: %+v", l)
	case <-time.After(2 * watchEvery):
	}
}

// TestOwnedTableRefusesOthers: the kernel guards the table while we run, and keeps it after.
func TestOwnedTableRefusesOthers(t *testing.T) {
	t.Parallel()
	requireKernel(t, "nft")
	ns := newNamespace(t)
	e := openIn(t, ns)
	s := fill(t, e, 100)
	if !e.Owned() {
		skip(t, "the kernel is older than 6.9: tables have no owner that leaves them")
	}
	foreign := func(args ...string) error {
		return in(ns, func() error { return exec.Command("nft", args...).Run() })
	}
	command(t, ns, "nft", "flush ruleset")
	for _, c := range []string{"delete table inet stockade", "flush set inet stockade ban4", "flush chain inet stockade gate"} {
		if foreign(strings.Fields(c)...) == nil {
			t.Errorf("nft %s is not refused", c)
		}
	}
	if n := count(t, e); n != len(s) {
		t.Errorf("%d elements, want %d", n, len(s))
	}
	if _, err := Open(Options{Config: firewall.DefaultConfig(), NetNS: int(ns)}); !errors.Is(err, ErrOwned) {
		t.Errorf("a second Open: %v", err)
	}
	if err := e.Close(); err != nil {
		t.Fatal(err)
	}
	e = openIn(t, ns)
	if n := count(t, e); n != len(s) || !e.Owned() {
		t.Errorf("opened again: %d elements, want %d; owned %v", n, len(s), e.Owned())
	}
	if err := e.Close(); err != nil {
		t.Fatal(err)
	}
	// While we are down the table is anybody's; a program that another test forks holds our socket until
	// its exec.
	eventually(t, 10*time.Second, "the table goes", func() bool {
		command(t, ns, "nft", "flush ruleset")
		return !strings.Contains(command(t, ns, "nft", "list tables"), "stockade")
	})
	e = openIn(t, ns)
	r, err := e.Reconcile(context.Background(), maps.Values(s), firewall.ForeignRemove)
	if err != nil || r.Set != len(s) || r.Failed+r.Removed+r.Present > 0 {
		t.Errorf("%+v, %v", r, err)
	}
	if n := count(t, e); n != len(s) {
		t.Errorf("%d elements, want %d", n, len(s))
	}
}

func TestEmptyScopesAreRemoved(t *testing.T) {
	t.Parallel()
	requireKernel(t, "nft")
	ns := newNamespace(t)
	e := openIn(t, ns)
	a, b := banChange("192.0.2.7/32", "22", time.Hour), banChange("192.0.2.7/32", "80,443", 24*time.Hour)
	b.Verdict = firewall.Reject
	applyAll(t, e, []firewall.Change{a, b})
	hasSet := func(name string) bool {
		return strings.Contains(command(t, ns, "nft", "list table inet stockade"), "set "+name+" {")
	}
	if !hasSet("ban4_p22") || !hasSet("ban4_p80_443_r") {
		t.Fatal("the sets of the scopes are not there")
	}
	a.Remove = true
	applyAll(t, e, []firewall.Change{a})
	if err := e.tidy(time.Now().Add(2 * tidyEvery)); err != nil {
		t.Fatal(err)
	}
	if hasSet("ban4_p22") || !hasSet("ban4_p80_443_r") {
		t.Error("the empty scope is there, or the other is not")
	}
	b.Remove = true
	applyAll(t, e, []firewall.Change{b})
	if err := e.tidy(time.Now().Add(2 * tidyEvery)); err != nil {
		t.Fatal(err)
	}
	if out := command(t, ns, "nft", "list table inet stockade"); strings.Contains(out, "_p") || strings.Contains(out, "chain refuse") {
		t.Errorf("left:\n%s", out)
	}
	a.Remove = false
	applyAll(t, e, []firewall.Change{a})
}
