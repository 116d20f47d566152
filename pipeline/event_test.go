package pipeline

import (
	"context"
	"errors"
	"log/slog"
	"net/netip"
	"testing"
	"time"

	"stockade/firewall"
	"stockade/jails/state"
	"stockade/receiver"
)

// TestEventsFollowTheKernel holds the events to their order: a ban is told once the kernel holds it,
// not while the firewall refuses it, and a lifted one after it, also one that ends by itself.
func TestEventsFollowTheKernel(t *testing.T) {
	sources, err := receiver.NewSources(testSources, nil)
	if err != nil {
		t.Fatal(err)
	}
	var p *Pipeline
	store, err := state.Open(state.Options{Ended: func(b *state.Ban) { p.Ended(b) }})
	if err != nil {
		t.Fatal(err)
	}
	fw := &flaky{Observe: firewall.NewObserve()}
	events := make(chan Event, 16)
	p = New(Options{
		Plan: plan(t, testJails, sources), Guard: NewGuard(), Store: store, Enforcer: fw, Log: slog.New(slog.DiscardHandler),
		Admission: Admission{NewQuotas(), NewSuccesses()}, Event: func(e Event) { events <- e },
	})
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 2)
	go func() { done <- store.Run(ctx) }()
	go func() { done <- p.Run(ctx) }()
	<-p.Ready()
	defer func() {
		cancel()
		if err := errors.Join(<-done, <-done); err != nil {
			t.Error(err)
		}
	}()

	prefix := netip.MustParsePrefix("192.0.2.7/32")
	fw.broken.Store(true)
	banned := make(chan error, 1)
	go func() {
		_, _, err := p.Ban(ctx, state.Ban{Jail: "login", Prefix: prefix, Start: time.Now(), End: time.Now().Add(time.Hour), Source: "operator"})
		banned <- err
	}()
	for deadline := time.Now().Add(20 * time.Second); len(p.Faults()) == 0; time.Sleep(time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatal("the firewall was never asked")
		}
	}
	select {
	case e := <-events:
		t.Fatalf("told of %v while the firewall refuses it", e.Ban)
	default:
	}
	fw.broken.Store(false)
	if err := <-banned; err != nil {
		t.Fatal(err)
	}
	if _, err := p.Unban(ctx, func(b *state.Ban) bool { return b.Prefix == prefix }); err != nil {
		t.Fatal(err)
	}
	if _, _, err := p.Ban(ctx, state.Ban{Jail: "login", Prefix: prefix, Start: time.Now(), End: time.Now().Add(20 * time.Millisecond)}); err != nil {
		t.Fatal(err)
	}
	for i, want := range []Event{{}, {Lifted: true}, {}, {Lifted: true, Ended: true}} {
		select {
		case e := <-events:
			if e.Ban.Prefix != prefix || e.Lifted != want.Lifted || e.Ended != want.Ended || !e.Enforced {
				t.Errorf("event %d: %+v, want %+v", i, e, want)
			}
		case <-time.After(20 * time.Second):
			t.Fatalf("event %d is missing", i)
		}
	}
}
