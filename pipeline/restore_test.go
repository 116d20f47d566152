package pipeline

import (
	"context"
	"iter"
	"log/slog"
	"net/netip"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"stockade/firewall"
	"stockade/jails/state"
	"stockade/receiver"
)

// kernel is what outlives a killed daemon: the elements, the state folder and the notes in memory.
type kernel struct {
	fw    *flaky
	dir   string
	ahead string
}

// life is one run of the daemon's middle over a kernel.
type life struct {
	*Pipeline
	store *state.Store
	stop  func() // without saving
}

func (k *kernel) begin(t *testing.T, adjust ...func(*Pipeline)) *life {
	t.Helper()
	sources, err := receiver.NewSources(testSources, nil)
	if err != nil {
		t.Fatal(err)
	}
	store, err := state.Open(state.Options{Dir: k.dir})
	if err != nil {
		t.Fatal(err)
	}
	p := New(Options{
		Plan: plan(t, testJails, sources), Guard: NewGuard(), Store: store, Admission: Admission{NewQuotas(), NewSuccesses()},
		Enforcer: k.fw, Log: slog.New(slog.DiscardHandler), Workers: 1, Ahead: k.ahead,
	})
	for _, f := range adjust {
		f(p)
	}
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- p.Run(ctx) }()
	stop := sync.OnceFunc(func() {
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
		_ = store.Close()
	})
	t.Cleanup(stop)
	<-p.Ready()
	return &life{p, store, stop}
}

// copyDir is the state folder as it would be found if the process died now.
func (k *kernel) copyDir(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	if err := os.CopyFS(dir, os.DirFS(k.dir)); err != nil {
		t.Fatal(err)
	}
	return dir
}

func (k *kernel) holds(t *testing.T, prefix string) bool {
	t.Helper()
	found := false
	if err := k.fw.Elements(t.Context(), func(e firewall.Element, _ firewall.Counters) bool {
		found = found || e.Prefix == netip.MustParsePrefix(prefix)
		return true
	}); err != nil {
		t.Fatal(err)
	}
	return found
}

func (k *kernel) count(t *testing.T) (n int) {
	t.Helper()
	if err := k.fw.Elements(t.Context(), func(firewall.Element, firewall.Counters) bool { n++; return true }); err != nil {
		t.Fatal(err)
	}
	return n
}

// noSearch has no set listed at start, as with very many bans.
func noSearch(p *Pipeline) { p.enforcer.searchLimit = 0 }

func ban(t *testing.T, l *life, prefix string) {
	t.Helper()
	if _, changed, err := l.Ban(t.Context(), state.Ban{Jail: "login", Prefix: netip.MustParsePrefix(prefix), End: time.Now().Add(time.Hour), Scope: "22"}); err != nil || !changed {
		t.Fatalf("ban %s: changed %v, %v", prefix, changed, err)
	}
}

// TestKilledAheadOfTheJournal: with so many bans that no set is listed at start, what a killed daemon
// gave to the kernel and the journal does not know is taken out, also what the journal has lifted, and
// nothing else.
func TestKilledAheadOfTheJournal(t *testing.T) {
	k := &kernel{fw: &flaky{Observe: firewall.NewObserve()}, dir: t.TempDir(), ahead: filepath.Join(memoryDir(t), "ahead")}
	l := k.begin(t)
	ban(t, l, "192.0.2.1/32")
	ban(t, l, "192.0.2.2/32")
	before := k.copyDir(t) // the journal ends here
	ban(t, l, "192.0.2.3/32")
	l.stop()
	if !k.holds(t, "192.0.2.3/32") {
		t.Fatal("the third ban is not in the kernel")
	}

	k.dir = before
	l = k.begin(t, noSearch)
	for prefix, want := range map[string]bool{"192.0.2.1/32": true, "192.0.2.2/32": true, "192.0.2.3/32": false} {
		if got := k.holds(t, prefix); got != want {
			t.Errorf("%s is in the kernel: %v, want %v", prefix, got, want)
		}
	}

	// The journal lifts a ban, and the process dies before the kernel is told.
	k.fw.broken.Store(true)
	if lifted := l.store.Unban(netip.MustParsePrefix("192.0.2.2/32"), "login"); len(lifted) != 1 {
		t.Fatalf("%d bans lifted", len(lifted))
	}
	if err := l.store.WaitDurable(t.Context(), l.store.Logged()); err != nil {
		t.Fatal(err)
	}
	after := k.copyDir(t)
	l.stop()
	k.fw.broken.Store(false)
	if !k.holds(t, "192.0.2.2/32") {
		t.Fatal("the lifted ban has left the kernel")
	}
	k.dir = after
	k.begin(t, noSearch)
	if !k.holds(t, "192.0.2.1/32") || k.holds(t, "192.0.2.2/32") || k.count(t) != 1 {
		t.Errorf("%d elements in the kernel; the kept one is there: %v, the lifted one: %v", k.count(t), k.holds(t, "192.0.2.1/32"), k.holds(t, "192.0.2.2/32"))
	}
}

// TestAnsweredWhenAllIsDone: who changes more bans than a batch holds is answered when the kernel has
// all of them.
func TestAnsweredWhenAllIsDone(t *testing.T) {
	k := &kernel{fw: &flaky{Observe: firewall.NewObserve()}, dir: t.TempDir()}
	l := k.begin(t)
	bans := make([]state.Ban, 2*changeBatch+1)
	for i, c := range batchOf(len(bans), 0) {
		bans[i] = state.Ban{Jail: "login", Prefix: c.Prefix, End: time.Now().Add(time.Hour)}
	}
	if err := l.Adopt(t.Context(), bans); err != nil {
		t.Fatal(err)
	}
	if n := k.count(t); n != len(bans) {
		t.Errorf("%d elements in the kernel when %d bans were adopted", n, len(bans))
	}
	lifted, err := l.Unban(t.Context(), func(*state.Ban) bool { return true })
	if err != nil || len(lifted) != len(bans) {
		t.Fatalf("%d bans lifted (%v)", len(lifted), err)
	}
	if n := k.count(t); n != 0 {
		t.Errorf("%d elements in the kernel when all bans were lifted", n)
	}
}

// slow is a firewall whose Reconcile reads everything and then waits before it writes.
type slow struct {
	*flaky
	read chan struct{} // one each time it has read
	gate chan struct{} // one each time it may write
}

func (s *slow) Reconcile(ctx context.Context, desired iter.Seq[firewall.Element], foreign firewall.Foreign) (firewall.Report, error) {
	var all []firewall.Element
	for e := range desired {
		all = append(all, e)
	}
	if s.gate != nil {
		s.read <- struct{}{}
		select {
		case <-s.gate:
		case <-ctx.Done():
			return firewall.Report{}, ctx.Err()
		}
	}
	return s.flaky.Reconcile(ctx, func(yield func(firewall.Element) bool) {
		for _, e := range all {
			if !yield(e) {
				return
			}
		}
	}, foreign)
}

// TestBansGoOnBesideAReassertion: while every ban is set again, new ones begin and others end, and
// what the kernel holds at the end is what the store does. The daemon can stop meanwhile.
func TestBansGoOnBesideAReassertion(t *testing.T) {
	k := &kernel{fw: &flaky{Observe: firewall.NewObserve()}, dir: t.TempDir()}
	s := &slow{flaky: k.fw}
	l := k.begin(t, func(p *Pipeline) { p.enforcer.fw = s })
	ban(t, l, "192.0.2.1/32")
	ban(t, l, "192.0.2.2/32")
	s.read, s.gate = make(chan struct{}), make(chan struct{}) // no audit comes in the first 30 s
	reassert := func() chan error {
		done := make(chan error, 1)
		go func() { done <- l.Reassert(t.Context()) }()
		<-s.read
		return done
	}
	done := reassert()
	ban(t, l, "192.0.2.3/32")
	if !k.holds(t, "192.0.2.3/32") {
		t.Error("a new ban waited for the others to be set again")
	}
	if lifted, err := l.Unban(t.Context(), func(b *state.Ban) bool { return b.Prefix == netip.MustParsePrefix("192.0.2.2/32") }); len(lifted) != 1 || err != nil {
		t.Fatalf("%d lifted, %v", len(lifted), err)
	}
	if err := l.Ping(t.Context()); err != nil {
		t.Errorf("a ping meanwhile: %v", err)
	}
	s.gate <- struct{}{}
	if err := <-done; err != nil {
		t.Fatal(err)
	}
	eventually(t, "the kernel holds what the store does", func() bool {
		return k.holds(t, "192.0.2.1/32") && !k.holds(t, "192.0.2.2/32") && k.holds(t, "192.0.2.3/32")
	})

	done = reassert()
	l.stop()
	if err := <-done; err == nil {
		t.Error("a reassertion that a stop ended was called done")
	}
}

// TestManyFailuresAreRetriedInParts: a kernel that refused thousands of elements gets them in batches.
func TestManyFailuresAreRetriedInParts(t *testing.T) {
	k := &kernel{fw: &flaky{Observe: firewall.NewObserve()}, dir: t.TempDir()}
	l := k.begin(t)
	k.fw.broken.Store(true)
	const bans = 3 * changeBatch
	for _, c := range batchOf(bans, 0) {
		l.store.Ban(state.Ban{Jail: "login", Prefix: c.Prefix, End: time.Now().Add(time.Hour)})
	}
	eventually(t, "all were tried", func() bool {
		added, taken := l.store.ChangeCounts()
		return added == taken && len(l.Faults()) > 0
	})
	k.fw.broken.Store(false)
	for end := time.Now().Add(longestRetry); k.count(t) < bans && time.Now().Before(end); {
		time.Sleep(10 * time.Millisecond) // the first retry may be so far away
	}
	eventually(t, "all are in the kernel", func() bool { return k.count(t) == bans })
	eventually(t, "no fault is left", func() bool { return len(l.Faults()) == 0 })
}
