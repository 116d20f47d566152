package nft

import (
	"cmp"
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"math/rand/v2"
	"net/netip"
	"slices"
	"testing"
	"time"

	"github.com/vishvananda/netns"

	"stockade/firewall"
)

var long = flag.Bool("long", false, "run the long forms of the tests")

// listed is an element as the program nft prints it.
type listed struct {
	first, last netip.Addr
	timeout     time.Duration // as set, 0 for none
	expires     time.Duration
	comment     string
	packets     uint64
}

// listSet asks the program nft for a set: a reader independent of this package.
func listSet(t *testing.T, ns netns.NsHandle, set string) []listed {
	t.Helper()
	var doc struct {
		Nftables []struct {
			Set *struct {
				Elem []json.RawMessage
			}
		}
	}
	if err := json.Unmarshal([]byte(command(t, ns, "nft", "-j", "list", "set", "inet", "stockade", set)), &doc); err != nil {
		t.Fatal(err)
	}
	var out []listed
	for _, o := range doc.Nftables {
		if o.Set == nil {
			continue
		}
		for _, raw := range o.Set.Elem {
			var wrapped struct {
				Elem *struct {
					Val              json.RawMessage
					Timeout, Expires float64
					Comment          string
					Counter          struct{ Packets uint64 }
				}
			}
			var n listed
			value := raw
			if json.Unmarshal(raw, &wrapped) == nil && wrapped.Elem != nil {
				w := wrapped.Elem
				value = w.Val
				n = listed{
					timeout: time.Duration(w.Timeout * float64(time.Second)), expires: time.Duration(w.Expires * float64(time.Second)),
					comment: w.Comment, packets: w.Counter.Packets,
				}
			}
			n.first, n.last = parseValue(t, value)
			out = append(out, n)
		}
	}
	slices.SortFunc(out, func(a, b listed) int { return a.first.Compare(b.first) })
	return out
}

func parseValue(t *testing.T, raw json.RawMessage) (first, last netip.Addr) {
	t.Helper()
	var single string
	if json.Unmarshal(raw, &single) == nil {
		a := netip.MustParseAddr(single)
		return a, a
	}
	var v struct {
		Prefix *struct {
			Addr netip.Addr
			Len  int
		}
		Range []netip.Addr
	}
	if err := json.Unmarshal(raw, &v); err != nil {
		t.Fatalf("element %s: %v", raw, err)
	}
	if v.Prefix != nil {
		return v.Prefix.Addr, lastOf(netip.PrefixFrom(v.Prefix.Addr, v.Prefix.Len))
	}
	return v.Range[0], v.Range[1]
}

// TestNftListsWhatWasSet compares random elements with what the program nft lists.
func TestNftListsWhatWasSet(t *testing.T) {
	t.Parallel()
	requireKernel(t, "nft")
	n := 5000
	switch {
	case *long:
		n = 100000
	case testing.Short() || raceDetector:
		n = 1000
	}
	ns := newNamespace(t)
	e := openIn(t, ns)
	random := rand.New(rand.NewPCG(1, 2))
	byKey := make(map[netip.Prefix]firewall.Change)
	add := func(p netip.Prefix) {
		remaining := time.Duration(0)
		if random.IntN(10) > 0 {
			remaining = time.Minute + time.Duration(random.IntN(1e6))*time.Second
		}
		c := banChange(p.Masked().String(), "", remaining)
		if remaining == 0 {
			c.End = time.Time{}
		}
		c.Comment = fmt.Sprintf("jail-%d", random.IntN(5))
		if !firewall.Protects(firewall.AlwaysProtected(), c.Prefix) {
			byKey[c.Prefix] = c
		}
	}
	for range n {
		v4 := random.Uint32()
		v6 := [16]byte{0x20, 0x01, byte(random.Uint32()), byte(random.Uint32()), byte(random.Uint32()), byte(random.Uint32()), 0, byte(random.Uint32()), 15: byte(random.Uint32())}
		add(netip.PrefixFrom(netip.AddrFrom4([4]byte{byte(v4 >> 24), byte(v4 >> 16), byte(v4 >> 8), byte(v4)}), 32))
		add(netip.PrefixFrom(netip.AddrFrom16(v6), 64))
		add(netip.PrefixFrom(netip.AddrFrom16(v6), 128))
	}
	for range 1500 {
		v4 := random.Uint32()
		add(netip.PrefixFrom(netip.AddrFrom4([4]byte{byte(v4 >> 24), byte(v4 >> 16), byte(v4 >> 8), byte(v4)}), 1+random.IntN(31)))
		add(netip.PrefixFrom(netip.AddrFrom16([16]byte{byte(v4 >> 24), byte(v4 >> 16), byte(v4 >> 8), byte(v4)}), 1+random.IntN(63)))
	}
	for _, p := range []string{
		"255.255.255.254/32", "128.0.0.0/1", "64.0.0.0/2", "10.0.0.0/9", "10.128.0.0/9", "10.1.0.0/16", "10.1.2.0/24", "1.0.0.0/31", "1.0.0.2/31",
		"fc00::/7", "8000::/1", "2001:db8::/32", "2001:db8::/33", "2001:db8:8000::/33",
	} {
		add(netip.MustParsePrefix(p))
	}
	var changes []firewall.Change
	var nets []firewall.Element
	for _, c := range byKey {
		changes = append(changes, c)
	}
	start := time.Now()
	results, err := e.Apply(context.Background(), changes)
	if err != nil {
		t.Fatal(err)
	}
	took := time.Since(start)
	for _, r := range results {
		if !r.Enforced {
			t.Fatalf("%v: %v", r.Prefix, r.Err)
		}
	}
	t.Logf("%d elements set and read back in %s", len(changes), took)

	type wanted struct {
		listed
		end time.Time
	}
	want := map[kind][]wanted{}
	for _, c := range changes {
		k := kindOf(c.Prefix, 64)
		if k.interval() {
			nets = append(nets, c.Element)
			continue
		}
		want[k] = append(want[k], wanted{listed{first: c.Prefix.Addr(), last: c.Prefix.Addr(), comment: c.Comment}, c.End})
	}
	for _, k := range []kind{net4, net6} {
		for _, s := range segments(slices.DeleteFunc(slices.Clone(nets), func(e firewall.Element) bool { return kindOf(e.Prefix, 64) != k })) {
			want[k] = append(want[k], wanted{listed{first: s.first, last: s.last, comment: s.comment}, s.end})
		}
	}
	for k := range kinds {
		w := want[k]
		slices.SortFunc(w, func(a, b wanted) int { return a.first.Compare(b.first) })
		got := listSet(t, ns, kindNames[k])
		if len(got) != len(w) {
			t.Errorf("set %s: nft lists %d elements, want %d", kindNames[k], len(got), len(w))
		}
		wrong := 0
		for i := range min(len(got), len(w)) {
			g, x := got[i], w[i]
			if g.first != x.first || g.last != x.last || g.comment != x.comment || (g.timeout == 0) != x.end.IsZero() ||
				!x.end.IsZero() && (g.expires-time.Until(x.end)).Abs() > patient {
				if wrong++; wrong < 5 {
					t.Errorf("set %s: nft lists %+v, want %+v", kindNames[k], g, x)
				}
			}
		}
		t.Logf("set %s: %d elements, %d wrong", kindNames[k], len(got), wrong)
	}
}

// patient is how far an end may be off in a listing of the program nft, which takes its time
// while other tests run.
const patient = 30 * time.Second

// TestSegmentsAgreeWithAModel compares, for random prefixes that hold each other, the intervals
// with the longest end of every address.
func TestSegmentsAgreeWithAModel(t *testing.T) {
	random := rand.New(rand.NewPCG(3, 4))
	now := time.Now()
	for range 2000 {
		var elements []firewall.Element
		seen := make(map[netip.Prefix]bool)
		for range 1 + random.IntN(12) {
			p := netip.PrefixFrom(netip.AddrFrom4([4]byte{255, 255, 255, byte(random.Uint32())}), 24+random.IntN(9)).Masked()
			e := firewall.Element{Prefix: p, Comment: p.String()}
			if random.IntN(5) > 0 {
				e.End = now.Add(time.Duration(1+random.IntN(5)) * time.Hour)
			}
			if !seen[p] {
				elements = append(elements, e)
			}
			seen[p] = true
		}
		got := segments(elements)
		if !slices.IsSortedFunc(got, func(a, b segment) int { return cmp.Or(a.first.Compare(b.first), a.last.Compare(b.first)) }) {
			t.Fatalf("not ascending: %v", got)
		}
		for i := range 256 {
			a := netip.AddrFrom4([4]byte{255, 255, 255, byte(i)})
			var want *firewall.Element
			for j, e := range elements {
				if e.Prefix.Contains(a) && (want == nil || outlasts(e.End, want.End)) {
					want = &elements[j]
				}
			}
			var in []segment
			for _, s := range got {
				if s.first.Compare(a) <= 0 && s.last.Compare(a) >= 0 {
					in = append(in, s)
				}
			}
			switch {
			case want == nil && len(in) == 0:
			case want == nil || len(in) != 1 || !in[0].end.Equal(want.End):
				t.Fatalf("%v: in %v, want the end of %+v", a, in, want)
			}
		}
		for _, s := range got {
			next := s.first
			for _, p := range s.prefixes() {
				if p.Addr() != next || p != p.Masked() {
					t.Fatalf("%v is cut into %v", s, s.prefixes())
				}
				next = lastOf(p).Next()
			}
			if next != s.last.Next() {
				t.Fatalf("%v is cut into %v", s, s.prefixes())
			}
		}
	}
}
