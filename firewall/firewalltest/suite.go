// Package firewalltest holds the suite that every firewall.Enforcer passes.
//
// The contract, in prose:
//
//   - Apply answers every change, in order; a change names its element by prefix and scope, and of
//     two changes of one element the later wins, whichever it is.
//   - Setting an element that exists changes its end, either way, its comment and its verdict; it
//     is no error. Removing an element that does not exist is no error.
//   - An element whose end is less than a second away, or past, is not set, and is removed if it
//     was there. An element without an end stays until it is removed. Others go by themselves.
//   - One prefix may be held in several scopes, and prefixes may hold each other: each is an
//     element of its own, and removing one leaves the others.
//   - A real backend answers Enforced after it has read the element back, present as asked or gone
//     as asked; a backend that only records never does.
//   - An element that no backend can take (not masked, everybody, not a scope) has an Err that is
//     firewall.ErrPrefix, one inside a protected prefix firewall.ErrProtected; both leave the
//     other changes of the call alone.
//   - Protect replaces the earlier list, accepts overlapping prefixes, and firewall.AlwaysProtected
//     is always part of it.
//   - Close leaves what is enforced. A real backend that is opened again finds it.
package firewalltest

import (
	"context"
	"errors"
	"net/netip"
	"slices"
	"testing"
	"time"

	"stockade/firewall"
)

// Suite runs the contract, its cases in parallel. open gives an Enforcer: the first call within a test an empty one, a
// later one of the same *testing.T one onto what the first has left. real says that the backend
// enforces; without it nothing is expected to outlive Close.
func Suite(t *testing.T, open func(t *testing.T) firewall.Enforcer, real bool) {
	t.Helper()
	for _, c := range []struct {
		name string
		run  func(*suite)
	}{
		{"elements of every kind are set, found and removed", (*suite).kinds},
		{"setting again changes end, comment and verdict", (*suite).again},
		{"of two changes of one element the later wins", (*suite).laterWins},
		{"removing what is absent is no error", (*suite).absent},
		{"what ends within a second is removed", (*suite).tooShort},
		{"elements expire by themselves", (*suite).expiry},
		{"prefixes that hold each other are elements of their own", (*suite).nested},
		{"scopes of one prefix are elements of their own", (*suite).scopes},
		{"what cannot be an element is refused alone", (*suite).refused},
		{"protected prefixes are refused", (*suite).protected},
		{"many elements at once", (*suite).many},
		{"a done context changes nothing", (*suite).done},
		{outlives, (*suite).reopen},
	} {
		if c.name == outlives && !real {
			continue
		}
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			s := &suite{T: t, open: open, real: real}
			s.e = open(t)
			defer func() { _ = s.e.Close() }()
			c.run(s)
		})
	}
}

type suite struct {
	*testing.T
	open func(*testing.T) firewall.Enforcer
	real bool
	e    firewall.Enforcer
}

// outlives names the one case for real backends alone.
const outlives = "what is enforced outlives the backend"

// slack is how far an end may move on its way through the kernel, which keeps what remains.
const slack = 2 * time.Second

func (s *suite) apply(changes ...firewall.Change) []firewall.Result {
	s.Helper()
	results, err := s.e.Apply(context.Background(), changes)
	if err != nil {
		s.Fatalf("Apply: %v", err)
	}
	if len(results) != len(changes) {
		s.Fatalf("%d changes, %d results", len(changes), len(results))
	}
	for i, r := range results {
		if r.Change != changes[i] {
			s.Errorf("result %d is of %+v, want of %+v", i, r.Change, changes[i])
		}
		if want := s.real && r.Err == nil; r.Enforced != want {
			s.Errorf("%v enforced: %v, want %v (%v)", r.Prefix, r.Enforced, want, r.Err)
		}
	}
	return results
}

func (s *suite) ok(changes ...firewall.Change) {
	s.Helper()
	for _, r := range s.apply(changes...) {
		if r.Err != nil {
			s.Errorf("%v: %v", r.Prefix, r.Err)
		}
	}
}

func (s *suite) elements() []firewall.Element {
	s.Helper()
	var out []firewall.Element
	err := s.e.Elements(context.Background(), func(e firewall.Element, _ firewall.Counters) bool {
		out = append(out, e)
		return true
	})
	if err != nil {
		s.Fatalf("Elements: %v", err)
	}
	slices.SortFunc(out, compare)
	return out
}

func compare(a, b firewall.Element) int {
	if c := a.Prefix.Compare(b.Prefix); c != 0 {
		return c
	}
	return slices.Compare([]byte(a.Scope), []byte(b.Scope))
}

func (s *suite) want(elements ...firewall.Element) {
	s.Helper()
	slices.SortFunc(elements, compare)
	got := s.elements()
	if len(got) != len(elements) {
		s.Fatalf("elements %v, want %v", got, elements)
	}
	for i, w := range elements {
		g := got[i]
		d := g.End.Sub(w.End)
		if g.End.IsZero() || w.End.IsZero() {
			d = 0
		}
		if g.Prefix != w.Prefix || g.Scope != w.Scope || g.Comment != w.Comment || g.Verdict != w.Verdict ||
			g.End.IsZero() != w.End.IsZero() || d.Abs() > slack {
			s.Errorf("element %+v, want %+v", g, w)
		}
	}
}

func ban(prefix string, scope firewall.Scope, remaining time.Duration, comment string) firewall.Element {
	e := firewall.Element{Prefix: netip.MustParsePrefix(prefix), Scope: scope, Comment: comment}
	if remaining != 0 {
		e.End = time.Now().Add(remaining)
	}
	return e
}

func set(e firewall.Element) firewall.Change { return firewall.Change{Element: e} }

func remove(prefix string, scope firewall.Scope) firewall.Change {
	return firewall.Change{Element: firewall.Element{Prefix: netip.MustParsePrefix(prefix), Scope: scope}, Remove: true}
}

func (s *suite) kinds() {
	all := []firewall.Element{
		ban("192.0.2.7/32", "", time.Hour, "sshd"),
		ban("192.0.2.8/32", "22", time.Hour, "sshd"),
		ban("198.51.100.0/24", "", 24*time.Hour, "manual"),
		ban("203.0.113.1/32", "", 0, "manual"),
		ban("203.0.113.1/32", "80/tcp,443", time.Minute, "web"),
		ban("255.255.255.254/32", "", time.Hour, "sshd"),
		ban("2001:db8:0:7::/64", "", time.Hour, "sshd"),
		ban("2001:db8:0:7::/64", "22", time.Hour, "sshd"),
		ban("2001:db8:0:8::9/128", "", time.Hour, "sshd"),
		ban("2001:db8:1::/48", "", time.Hour, "manual"),
		ban("2001:db8:1:2::/64", "", 0, "manual"),
	}
	for _, e := range all {
		s.ok(set(e))
	}
	s.want(all...)
	var gone []firewall.Change
	for _, e := range all {
		gone = append(gone, firewall.Change{Element: e, Remove: true})
	}
	s.ok(gone...)
	s.want()
}

func (s *suite) again() {
	for _, p := range []string{"192.0.2.7/32", "198.51.100.0/24", "2001:db8:0:7::/64"} {
		e := ban(p, "", time.Hour, "sshd")
		for _, remaining := range []time.Duration{time.Hour, 2 * time.Hour, 3 * time.Hour, 4 * time.Hour, time.Minute, 0, time.Hour} {
			e = ban(p, "", remaining, "sshd")
			s.ok(set(e))
			s.want(e)
		}
		e.Comment, e.Verdict = "nginx", firewall.Reject
		s.ok(set(e))
		s.want(e)
		e.Verdict = firewall.Drop
		s.ok(set(e))
		s.want(e)
		s.ok(remove(p, ""))
		s.want()
	}
}

func (s *suite) laterWins() {
	a, b := ban("192.0.2.7/32", "", time.Hour, "a"), ban("192.0.2.7/32", "", 2*time.Hour, "b")
	s.ok(set(a), set(b))
	s.want(b)
	s.ok(set(b), remove("192.0.2.7/32", ""))
	s.want()
	s.ok(remove("192.0.2.7/32", ""), set(a))
	s.want(a)
}

func (s *suite) absent() {
	e := ban("192.0.2.7/32", "", time.Hour, "sshd")
	s.ok(remove("192.0.2.1/32", ""), remove("192.0.2.1/32", "22"), set(e), remove("2001:db8::/64", ""), remove("10.0.0.0/8", ""))
	s.want(e)
}

func (s *suite) tooShort() {
	for _, remaining := range []time.Duration{-10 * time.Second, -1, 1, time.Microsecond, 999 * time.Microsecond, time.Millisecond, 990 * time.Millisecond} {
		for _, p := range []string{"192.0.2.7/32", "192.0.2.0/28", "2001:db8:0:7::/64"} {
			s.ok(set(ban(p, "", remaining, "sshd")))
			s.want()
			s.ok(set(ban(p, "", time.Hour, "sshd")))
			s.ok(set(ban(p, "", remaining, "sshd")))
			s.want()
		}
	}
}

func (s *suite) expiry() {
	const expires = 2500 * time.Millisecond // more than one second, by what a busy machine may take
	s.ok(set(ban("192.0.2.7/32", "", expires, "a")), set(ban("192.0.2.0/28", "", expires, "a")),
		set(ban("2001:db8::/64", "22", expires, "a")))
	if n := len(s.elements()); n != 3 {
		s.Fatalf("%d elements at first, want 3", n)
	}
	deadline := time.Now().Add(10 * time.Second)
	for len(s.elements()) > 0 {
		if time.Now().After(deadline) {
			s.Fatalf("still there: %v", s.elements())
		}
		time.Sleep(50 * time.Millisecond)
	}
}

func (s *suite) nested() {
	wide, mid, narrow := ban("10.0.0.0/8", "", time.Hour, "wide"), ban("10.1.0.0/16", "", 3*time.Hour, "mid"), ban("10.1.2.0/24", "", 2*time.Hour, "narrow")
	next := ban("11.0.0.0/8", "", time.Hour, "next")
	single := ban("10.1.2.3/32", "", time.Minute, "single")
	s.ok(set(wide), set(mid), set(narrow), set(next), set(single))
	s.want(wide, mid, narrow, next, single)
	s.ok(remove("10.1.0.0/16", ""))
	s.want(wide, narrow, next, single)
	s.ok(remove("10.0.0.0/8", ""))
	s.want(narrow, next, single)
}

func (s *suite) scopes() {
	all := ban("192.0.2.7/32", "", time.Hour, "a")
	ssh := ban("192.0.2.7/32", "22", 2*time.Hour, "b")
	web := ban("192.0.2.7/32", "80/tcp,443,6000-6010/udp", 3*time.Hour, "c")
	web.Verdict = firewall.Reject
	s.ok(set(all), set(ssh), set(web))
	s.want(all, ssh, web)
	s.ok(remove("192.0.2.7/32", ""))
	s.want(ssh, web)
	s.ok(remove("192.0.2.7/32", "22"), remove("192.0.2.7/32", web.Scope))
	s.want()
}

func (s *suite) refused() {
	good := ban("192.0.2.7/32", "", time.Hour, "a")
	bad := []firewall.Change{
		{Element: firewall.Element{}},
		set(ban("0.0.0.0/0", "", time.Hour, "a")),
		set(ban("::/0", "", time.Hour, "a")),
		{Element: firewall.Element{Prefix: netip.MustParsePrefix("192.0.2.7/24")}},
		{Element: firewall.Element{Prefix: netip.MustParsePrefix("::ffff:192.0.2.7/128")}},
		set(ban("192.0.2.8/32", "http", time.Hour, "a")),
	}
	results := s.apply(append(bad, set(good))...)
	for _, r := range results[:len(bad)] {
		if !errors.Is(r.Err, firewall.ErrPrefix) {
			s.Errorf("%v %q: error %v, want one that is ErrPrefix", r.Prefix, r.Scope, r.Err)
		}
	}
	if err := results[len(bad)].Err; err != nil {
		s.Errorf("the good one: %v", err)
	}
	s.want(good)
}

func (s *suite) protected() {
	never := []netip.Prefix{
		netip.MustParsePrefix("192.0.2.0/24"), netip.MustParsePrefix("192.0.2.7/32"), netip.MustParsePrefix("192.0.2.128/25"),
		netip.MustParsePrefix("::ffff:198.51.100.1/128"), netip.MustParsePrefix("2001:db8::1/128"), netip.MustParsePrefix("2001:db8::/48"),
	}
	if err := s.e.Protect(context.Background(), never); err != nil {
		s.Fatal(err)
	}
	good := []firewall.Change{set(ban("192.0.0.0/16", "", time.Hour, "a")), set(ban("192.0.3.1/32", "", time.Hour, "a"))}
	bad := []firewall.Change{
		set(ban("192.0.2.9/32", "", time.Hour, "a")), set(ban("192.0.2.0/25", "22", time.Hour, "a")), set(ban("198.51.100.1/32", "", time.Hour, "a")),
		set(ban("2001:db8:0:7::/64", "", time.Hour, "a")), set(ban("127.0.0.1/32", "", time.Hour, "a")), set(ban("255.255.255.255/32", "", time.Hour, "a")),
		set(ban("fe80::/64", "", time.Hour, "a")), set(ban("::1/128", "", time.Hour, "a")), set(ban("224.0.0.1/32", "", time.Hour, "a")),
	}
	for _, r := range s.apply(bad...) {
		if !errors.Is(r.Err, firewall.ErrProtected) {
			s.Errorf("%v: error %v, want one that is ErrProtected", r.Prefix, r.Err)
		}
	}
	s.ok(good...)
	s.want(good[0].Element, good[1].Element)
	if err := s.e.Protect(context.Background(), nil); err != nil {
		s.Fatal(err)
	}
	s.ok(bad[0])
	s.ok(good[0], remove("192.0.0.0/16", ""), remove("192.0.3.1/32", ""))
	s.want(bad[0].Element)
}

func (s *suite) many() {
	const n = 5000 // more than one message, and more than one read-back, holds
	changes := make([]firewall.Change, 0, 2*n)
	for i := range n {
		a := netip.AddrFrom4([4]byte{100, 64, byte(i >> 8), byte(i)})
		b := netip.AddrFrom16([16]byte{0x20, 1, 0xd, 0xb8, byte(i >> 8), byte(i)})
		changes = append(changes, set(ban(a.String()+"/32", "", time.Hour, "many")), set(ban(b.String()+"/64", "22", time.Hour, "many")))
	}
	s.ok(changes...)
	if got := len(s.elements()); got != 2*n {
		s.Errorf("%d elements, want %d", got, 2*n)
	}
	for i := range changes {
		changes[i].Remove = true
	}
	s.ok(changes...)
	s.want()
}

func (s *suite) done() {
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	results, err := s.e.Apply(ctx, []firewall.Change{set(ban("192.0.2.7/32", "", time.Hour, "a"))})
	if !errors.Is(err, context.Canceled) || len(results) != 1 || results[0].Enforced {
		s.Errorf("results %+v, error %v", results, err)
	}
	s.want()
}

func (s *suite) reopen() {
	all := []firewall.Element{
		ban("192.0.2.7/32", "", time.Hour, "sshd"), ban("192.0.2.7/32", "22", time.Hour, "sshd"),
		ban("2001:db8:0:7::/64", "", time.Hour, "sshd"), ban("198.51.100.0/24", "", time.Hour, "manual"),
		ban("203.0.113.9/32", "", 0, "manual"),
	}
	all[0].Verdict = firewall.Reject
	for _, e := range all {
		s.ok(set(e))
	}
	if err := s.e.Close(); err != nil {
		s.Fatal(err)
	}
	if err := s.e.Close(); err != nil {
		s.Errorf("a second Close: %v", err)
	}
	s.e = s.open(s.T)
	s.want(all...)
	s.ok(remove("192.0.2.7/32", ""), remove("192.0.2.7/32", "22"))
	s.want(all[2:]...)
}
