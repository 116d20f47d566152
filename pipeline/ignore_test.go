package pipeline

import (
	"context"
	"net/netip"
	"testing"

	"stockade/jails/state"
)

func TestIgnoreLiftsAndPrevents(t *testing.T) {
	r := newRig(t, 1)
	ctx := context.Background()
	bad := r.line("login", "failed login from 198.51.100.7")
	r.judged(t, repeat(3, bad)...)
	eventually(t, "banned", func() bool { return len(r.enforced(t)) == 1 })
	lists := map[string][]netip.Prefix{"login": {netip.MustParsePrefix("198.51.100.0/29")}}
	if err := r.Ignore(ctx, lists); err != nil {
		t.Fatal(err)
	}
	r.judged(t, repeat(3, bad)...)
	if held := r.enforced(t); len(held) != 0 {
		t.Errorf("held = %v; want nothing of an ignored address", held)
	}
	other := r.line("httpd", "198.51.100.7 401")
	r.judged(t, repeat(3, other)...)
	eventually(t, "another jail bans it", func() bool { return len(r.enforced(t)) == 1 })
	if err := r.Ignore(ctx, nil); err != nil {
		t.Fatal(err)
	}
	r.judged(t, repeat(3, bad)...)
	if got := len(r.store.Bans("login")); got != 1 {
		t.Errorf("%d bans once the list is empty again, want 1", got)
	}
}

// thrice gets an address banned in the jail login, and let go, three times.
func (r *rig) thrice(t *testing.T, addr string) {
	t.Helper()
	for range 3 {
		r.send(t, repeat(3, r.line("login", "failed login from "+addr))...)
		if _, err := r.Unban(context.Background(), func(b *state.Ban) bool { return b.Jail == "login" }); err != nil {
			t.Fatal(err)
		}
	}
}

// TestRecidiveHonoursLists: the bans of other jails count in a recidive jail, but for addresses that it
// ignores itself, and never_ban holds there too.
func TestRecidiveHonoursLists(t *testing.T) {
	for _, c := range []struct {
		name, addr string
		listed     []netip.Prefix // what recidive ignores beside its configuration
		want       string         // banned by recidive, "" for nothing
	}{
		{"listed nowhere", "198.51.100.7", nil, "198.51.100.7/32"},
		{"in ignoreip", "198.51.100.96", nil, ""},
		{"in ignoreip, in disguise", "::ffff:198.51.100.96", nil, ""},
		{"in a list that is watched", "198.51.100.7", []netip.Prefix{netip.MustParsePrefix("198.51.100.0/28")}, ""},
		{"in never_ban", "203.0.113.7", nil, ""},
		{"a neighbour is in ignoreip", "2001:db8:5::1", nil, "2001:db8:5::1/128"},
		{"its network is listed", "2001:db8:6::1", []netip.Prefix{netip.MustParsePrefix("2001:db8:6::/48")}, ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			r := newRig(t, 1)
			if err := r.Ignore(context.Background(), map[string][]netip.Prefix{"recidive": c.listed}); err != nil {
				t.Fatal(err)
			}
			r.thrice(t, c.addr)
			var got string
			for _, b := range r.store.Bans("recidive") {
				got += b.Prefix.String()
			}
			if got != c.want {
				t.Errorf("recidive banned %q, want %q", got, c.want)
			}
		})
	}
}

// TestIgnoreLiftsRecidive: a ban that recidive made is lifted when its list grows, and so is what counted
// toward one.
func TestIgnoreLiftsRecidive(t *testing.T) {
	r := newRig(t, 1)
	ctx := context.Background()
	r.thrice(t, "198.51.100.7")
	eventually(t, "recidive bans", func() bool { return len(r.enforced(t)) == 1 })
	if err := r.Ignore(ctx, map[string][]netip.Prefix{"recidive": {netip.MustParsePrefix("198.51.100.7/32")}}); err != nil {
		t.Fatal(err)
	}
	if held := r.enforced(t); len(held) != 0 {
		t.Errorf("held = %v; want nothing of an ignored address", held)
	}
	r.thrice(t, "198.51.100.7")
	if bans := r.store.Bans("recidive"); len(bans) != 0 {
		t.Errorf("recidive banned %v, which it ignores by now", bans)
	}
}

// TestListsHoldForFailuresThatProveNoAddress: what a list protects is never a suspect that waits for a
// witness; of the others only those count that the kernel saw.
func TestListsHoldForFailuresThatProveNoAddress(t *testing.T) {
	for _, c := range []struct {
		name, addr          string
		listed              []netip.Prefix
		protected, unproven int64
		banned              bool
	}{
		{"seen by the kernel", "198.51.100.7", nil, 0, 0, true},
		{"seen by nobody", "192.0.2.77", nil, 0, 5, false},
		{"in ignoreip, seen", "198.51.100.98", nil, 5, 0, false},
		{"in a list that is watched, seen", "198.51.100.7", []netip.Prefix{netip.MustParsePrefix("198.51.100.0/28")}, 5, 0, false},
		{"in a list that is watched, seen by nobody", "192.0.2.77", []netip.Prefix{netip.MustParsePrefix("192.0.2.0/24")}, 5, 0, false},
		{"in never_ban, seen by nobody", "203.0.113.7", nil, 5, 0, false},
		{"loopback", "127.0.0.1", nil, 5, 0, false},
	} {
		t.Run(c.name, func(t *testing.T) {
			r := newRig(t, 1)
			if err := r.Ignore(context.Background(), map[string][]netip.Prefix{"spoofable": c.listed}); err != nil {
				t.Fatal(err)
			}
			r.send(t, repeat(5, r.line("kernel", "dropped "+c.addr))...)
			st := r.Stats()
			eventually(t, "each failure is protected, unproven or counted", func() bool {
				return st.Protected.Load()+st.Unproven.Load()+st.Failures.Load() >= 5 // recidive counts the ban, too
			})
			if p, u := st.Protected.Load(), st.Unproven.Load(); p != c.protected || u != c.unproven {
				t.Errorf("%d protected, %d unproven, want %d and %d", p, u, c.protected, c.unproven)
			}
			if c.banned {
				eventually(t, "banned", func() bool { return len(r.enforced(t)) == 1 })
			} else if held := r.enforced(t); len(held) != 0 {
				t.Errorf("held = %v", held)
			}
		})
	}
}
