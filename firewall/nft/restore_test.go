package nft

import (
	"context"
	"fmt"
	"iter"
	"math/rand/v2"
	"net/netip"
	"os"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"stockade/firewall"
)

// numbered yields n elements, half of them IPv6 offenders.
func numbered(n int, end time.Time) iter.Seq[firewall.Element] {
	return func(yield func(firewall.Element) bool) {
		for i := range n {
			p := netip.PrefixFrom(netip.AddrFrom4([4]byte{byte(20 + i>>24), byte(i >> 16), byte(i >> 8), byte(i)}), 32)
			if i%2 == 1 {
				p = netip.PrefixFrom(netip.AddrFrom16([16]byte{0x20, 1, 0xd, 0xb8, byte(i >> 24), byte(i >> 16), byte(i >> 8), byte(i)}), 64)
			}
			if !yield(firewall.Element{Prefix: p, End: end, Comment: "sshd"}) {
				return
			}
		}
	}
}

// peakMemory is the process's peak resident memory.
func peakMemory(t *testing.T) string {
	t.Helper()
	b, err := os.ReadFile("/proc/self/status")
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(string(b)) {
		if rest, ok := strings.CutPrefix(line, "VmHWM:"); ok {
			return strings.TrimSpace(rest)
		}
	}
	return "unknown"
}

// processorTime is what the process has used, of all its threads.
func processorTime(t *testing.T) time.Duration {
	t.Helper()
	var u unix.Rusage
	if err := unix.Getrusage(unix.RUSAGE_SELF, &u); err != nil {
		t.Fatal(err)
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

// TestRestore makes the kernel equal to a store: from nothing, from what a stopped daemon left,
// and with drift.
func TestRestore(t *testing.T) {
	requireKernel(t)
	sizes := map[int]time.Duration{100_000: time.Second} // bars of processor time
	switch {
	case *long:
		sizes[1_000_000] = 10 * time.Second
	case testing.Short() || raceDetector:
		sizes = map[int]time.Duration{10_000: time.Second}
	}
	for n, bar := range sizes {
		t.Run(fmt.Sprint(n), func(t *testing.T) {
			ns := newNamespace(t)
			e := openIn(t, ns)
			end := time.Now().Add(time.Hour)
			reconcile := func(what string, want firewall.Report) {
				t.Helper()
				start, used := time.Now(), processorTime(t)
				r, err := e.Reconcile(context.Background(), numbered(n, end), firewall.ForeignIgnore)
				took := time.Since(start)
				used = processorTime(t) - used
				if err != nil || r.Failed > 0 || r.Present != want.Present || r.Set != want.Set {
					t.Fatalf("%s: %+v, %v", what, r, err)
				}
				t.Logf("%s: %d elements in %s, processor time %s (bar %s); peak memory %s",
					what, n, took.Round(time.Millisecond), used.Round(time.Millisecond), bar, peakMemory(t))
				if used > 5*bar {
					t.Errorf("%s: used %s, bar %s", what, used, bar)
				}
			}
			reconcile("into an empty kernel", firewall.Report{Set: n})
			if err := e.Close(); err != nil {
				t.Fatal(err)
			}
			e = openIn(t, ns)
			reconcile("onto a persisted table", firewall.Report{Present: n})
			var some []firewall.Change
			i := 0
			for el := range numbered(n, end) {
				if i++; i%100 == 0 {
					some = append(some, firewall.Change{Element: el, Remove: true})
				}
			}
			applyAll(t, e, some)
			reconcile("with one of 100 missing", firewall.Report{Present: n - len(some), Set: len(some)})
		})
	}
}

// TestReconcileFindsDrift: elements that others removed, added or changed (E6), in a table without owner.
func TestReconcileFindsDrift(t *testing.T) {
	t.Parallel()
	requireKernel(t, "nft")
	ns := newNamespace(t)
	e := openIn(t, ns, func(o *Options) { o.Config.Owner = "off" })
	s := fill(t, e, 1000)
	desired := func(yield func(firewall.Element) bool) {
		for _, el := range s {
			if !yield(el) {
				return
			}
		}
	}
	reconcile := func(foreign firewall.Foreign) firewall.Report {
		t.Helper()
		r, err := e.Reconcile(context.Background(), desired, foreign)
		if err != nil || r.Failed > 0 || r.Desired != len(s) {
			t.Fatalf("%+v, %v", r, err)
		}
		return r
	}
	if r := reconcile(firewall.ForeignRemove); r.Present != len(s) || len(r.Foreign) > 0 {
		t.Errorf("without drift: %+v", r)
	}
	command(t, ns, "nft", "delete element inet stockade ban4 { 100.64.1.7 }")
	command(t, ns, "nft", "delete element inet stockade ban4_p22 { 192.0.2.7 }")
	command(t, ns, "nft", "delete element inet stockade net4 { 198.51.100.0/24 }")
	if r := reconcile(firewall.ForeignIgnore); r.Set != 2 && r.Set != 3 {
		t.Errorf("with three removed: %+v", r)
	}
	if n := count(t, e); n != len(s) {
		t.Errorf("%d elements, want %d", n, len(s))
	}
	command(t, ns, "nft", "add element inet stockade ban4 { 9.9.9.9, 8.8.8.8 timeout 1h comment \"other\" }")
	command(t, ns, "nft", "delete element inet stockade ban4 { 100.64.1.8 }; add element inet stockade ban4 { 100.64.1.8 timeout 5s }")
	r := reconcile(firewall.ForeignAdopt)
	if r.Set != 1 || len(r.Foreign) != 2 || r.Removed != 0 {
		t.Errorf("with two added and one shortened: %+v", r)
	}
	if n := count(t, e); n != len(s)+2 {
		t.Errorf("%d elements, want %d", n, len(s)+2)
	}
	if r := reconcile(firewall.ForeignRemove); r.Removed != 2 {
		t.Errorf("with two added: %+v", r)
	}
	if n := count(t, e); n != len(s) {
		t.Errorf("%d elements, want %d", n, len(s))
	}
}

// TestReconcileAfterRestartKnowsItsNets: the kernel knows intervals, not which prefixes they
// were; unbanning one later must not leave a piece.
func TestReconcileAfterRestartKnowsItsNets(t *testing.T) {
	t.Parallel()
	requireKernel(t)
	ns := newNamespace(t)
	e := openIn(t, ns)
	wide, narrow := banChange("10.0.0.0/8", "", time.Hour), banChange("10.1.0.0/16", "", 2*time.Hour)
	applyAll(t, e, []firewall.Change{wide, narrow})
	_ = e.Close()
	e = openIn(t, ns)
	r, err := e.Reconcile(context.Background(), func(yield func(firewall.Element) bool) {
		_ = yield(wide.Element) && yield(narrow.Element)
	}, firewall.ForeignIgnore)
	if err != nil || r.Failed > 0 {
		t.Fatalf("%+v, %v", r, err)
	}
	if n := count(t, e); n != 2 {
		t.Errorf("%d elements, want 2", n)
	}
	wide.Remove = true
	applyAll(t, e, []firewall.Change{wide})
	if n := count(t, e); n != 1 {
		t.Errorf("%d elements, want the narrow one", n)
	}
}

// TestLifetimesInTheKernel is E2: set, extended three times and shortened, as nft lists it.
func TestLifetimesInTheKernel(t *testing.T) {
	t.Parallel()
	requireKernel(t, "nft")
	n := 10_000
	if testing.Short() || raceDetector {
		n = 1000
	}
	ns := newNamespace(t)
	e := openIn(t, ns)
	random := rand.New(rand.NewPCG(5, 6))
	ends := make(map[netip.Addr]time.Time)
	for range 5 {
		var changes []firewall.Change
		for i := range n {
			a := netip.AddrFrom4([4]byte{100, 64, byte(i >> 8), byte(i)})
			c := banChange(a.String()+"/32", "", time.Minute+time.Duration(random.IntN(1e5))*time.Second)
			ends[a] = c.End
			changes = append(changes, c)
		}
		applyAll(t, e, changes)
		wrong := 0
		listed := listSet(t, ns, "ban4")
		for _, l := range listed {
			if d := l.expires - time.Until(ends[l.first]); d.Abs() > patient {
				wrong++
			}
		}
		if wrong > 0 || len(listed) != n {
			t.Errorf("%d of %d elements end at another time", wrong, len(listed))
		}
	}
}

// TestDeletingRacesExpiry is E4: batches that set, extend and remove elements which expire
// meanwhile lose none.
func TestDeletingRacesExpiry(t *testing.T) {
	t.Parallel()
	requireKernel(t)
	lasts := 2500 * time.Millisecond // elements live a little longer than one second
	switch {
	case *long:
		lasts = time.Minute
	case testing.Short():
		lasts = 1300 * time.Millisecond
	}
	ns := newNamespace(t)
	e := openIn(t, ns)
	random := rand.New(rand.NewPCG(7, 8))
	want := make(map[netip.Prefix]bool)
	batches := 0
	for start := time.Now(); time.Since(start) < lasts; batches++ {
		var changes []firewall.Change
		for range 20 {
			p := netip.PrefixFrom(netip.AddrFrom4([4]byte{100, 64, 0, byte(random.Uint32())}), 32)
			c := firewall.Change{Element: firewall.Element{Prefix: p}}
			delete(want, p)
			switch random.IntN(3) {
			case 0:
				c.End = time.Now().Add(firewall.MinRemaining + time.Duration(random.IntN(int(100*time.Millisecond))))
			case 1:
				c.End = time.Now().Add(time.Hour)
				want[p] = true
			case 2:
				c.Remove = true
			}
			changes = append(changes, c)
		}
		for i, c := range changes { // the later wins
			if c.End.IsZero() || time.Until(c.End) < time.Minute {
				continue
			}
			for _, later := range changes[i+1:] {
				if later.Prefix == c.Prefix && (later.Remove || time.Until(later.End) < time.Minute) {
					delete(want, c.Prefix)
				}
			}
		}
		applyAll(t, e, changes)
	}
	left := 0
	if err := e.Elements(context.Background(), func(el firewall.Element, _ firewall.Counters) bool {
		if time.Until(el.End) > time.Minute {
			left++
			if !want[el.Prefix] {
				t.Errorf("%v is there", el.Prefix)
			}
		}
		return true
	}); err != nil {
		t.Fatal(err)
	}
	t.Logf("%d batches of 20 changes", batches)
	if left != len(want) {
		t.Errorf("%d elements left, want %d", left, len(want))
	}
}

// TestFullSet is E8: what has no room says so, and the rest is enforced.
func TestFullSet(t *testing.T) {
	t.Parallel()
	requireKernel(t)
	ns := newNamespace(t)
	e := openIn(t, ns, func(o *Options) { o.SetSize = 1000 })
	var changes []firewall.Change
	for i := range 1500 {
		changes = append(changes, banChange(netip.AddrFrom4([4]byte{100, 64, byte(i >> 8), byte(i)}).String()+"/32", "", time.Hour))
	}
	start := time.Now()
	results, err := e.Apply(context.Background(), changes)
	if err != nil {
		t.Fatal(err)
	}
	enforced := enforcedOf(t, results)
	if n := count(t, e); n != enforced || n != 1000 {
		t.Errorf("%d results enforced, %d elements, want 1000", enforced, n)
	}
	t.Logf("1,500 into a set of 1,000: told after %s", time.Since(start))
	gone := changes[0]
	gone.Remove = true
	applyAll(t, e, []firewall.Change{gone, changes[1]})
	applyAll(t, e, []firewall.Change{banChange("192.0.2.7/32", "", time.Hour)})
}

func enforcedOf(t *testing.T, results []firewall.Result) int {
	t.Helper()
	n := 0
	for _, r := range results {
		if r.Enforced {
			n++
		} else if !strings.Contains(fmt.Sprint(r.Err), firewall.ErrFull.Error()) {
			t.Fatalf("%v: %v", r.Prefix, r.Err)
		}
	}
	return n
}

// TestTooManyNets: interval sets are bounded, because they are slow.
func TestTooManyNets(t *testing.T) {
	t.Parallel()
	requireKernel(t)
	e := openIn(t, newNamespace(t))
	var changes []firewall.Change
	for i := range firewall.MaxNets + 10 {
		changes = append(changes, banChange(netip.AddrFrom4([4]byte{byte(20 + i>>16), byte(i >> 8), byte(i), 0}).String()+"/24", "", time.Hour))
	}
	start := time.Now()
	results, err := e.Apply(context.Background(), changes)
	if err != nil {
		t.Fatal(err)
	}
	if n := enforcedOf(t, results); n != firewall.MaxNets {
		t.Errorf("%d enforced, want %d", n, firewall.MaxNets)
	}
	t.Logf("%d prefixes in %s", firewall.MaxNets, time.Since(start))
	start = time.Now()
	applyAll(t, e, changes[:1])
	t.Logf("one more change: %s", time.Since(start))
}
