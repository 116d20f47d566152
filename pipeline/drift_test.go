package pipeline

import (
	"net/netip"
	"slices"
	"testing"
	"time"

	"stockade/firewall"
)

func (l *life) drifts() bool {
	return slices.ContainsFunc(l.Faults(), func(f Fault) bool { return f.Name == "drift" })
}

// TestDriftIsForgottenByTheNextAudit (F8): an element that another program removed is set again and
// reported; the fault stays until an audit some time later finds nothing missing.
func TestDriftIsForgottenByTheNextAudit(t *testing.T) {
	k := &kernel{fw: &flaky{Observe: firewall.NewObserve()}, dir: t.TempDir()}
	s := &slow{flaky: k.fw}
	const quiet = 100 * time.Millisecond
	l := k.begin(t, func(p *Pipeline) { p.enforcer.fw, p.enforcer.quiet = s, quiet })
	ban(t, l, "192.0.2.1/32")
	s.read, s.gate = make(chan struct{}), make(chan struct{}) // no audit comes in the first 30 s
	lose := func() {
		t.Helper()
		if _, err := k.fw.Apply(t.Context(), []firewall.Change{{Remove: true,
			Element: firewall.Element{Prefix: netip.MustParsePrefix("192.0.2.1/32"), Scope: "22"}}}); err != nil {
			t.Fatal(err)
		}
		if k.holds(t, "192.0.2.1/32") {
			t.Fatal("it is still in the kernel")
		}
	}
	lose()
	done := make(chan error, 1)
	go func() { done <- l.Reassert(t.Context()) }()
	<-s.read
	s.gate <- struct{}{}
	if err := <-done; err != nil {
		t.Fatal(err)
	}
	if !k.holds(t, "192.0.2.1/32") || !l.drifts() {
		t.Fatalf("in the kernel again: %v, reported: %v", k.holds(t, "192.0.2.1/32"), l.drifts())
	}

	// The audit waits at its gate: until it is through, the fault stays. It finds another loss.
	begin := time.Now()
	<-s.read
	if took := time.Since(begin); took > auditEvery/2 {
		t.Errorf("the next audit began %s after the repair, want it soon", took)
	}
	lose()
	s.gate <- struct{}{}
	<-s.read // the audit after it has begun
	if !k.holds(t, "192.0.2.1/32") || !l.drifts() {
		t.Errorf("in the kernel again: %v, reported: %v", k.holds(t, "192.0.2.1/32"), l.drifts())
	}
	if n := l.stats.Repaired.Load(); n != 2 {
		t.Errorf("%d repairs counted, want 2", n)
	}
	s.gate <- struct{}{}
	eventually(t, "the drift is forgotten", func() bool { return !l.drifts() })
}
