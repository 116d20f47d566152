package pipeline

import (
	"context"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"stockade/jails/state"
)

// TestAcksGatherUntilSomebodyWaits: what nobody waits for is acknowledged at once when that was long
// ago, and else together; who waits for an answer has it at once.
func TestAcksGatherUntilSomebodyWaits(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store, err := state.Open(state.Options{})
		if err != nil {
			t.Fatal(err)
		}
		var told atomic.Int32
		a := newAcks(store, func(Event) { told.Add(1) })
		ctx, cancel := context.WithCancel(t.Context())
		ended := make(chan struct{})
		go func() {
			defer close(ended)
			a.run(ctx)
		}()
		want := func(n int32, when string) {
			t.Helper()
			synctest.Wait()
			if got := told.Load(); got != n {
				t.Fatalf("%s: %d events are told, want %d", when, got, n)
			}
		}
		begin := time.Now()
		a.tell(Event{})
		want(1, "the first one")
		a.tell(Event{})
		want(1, "right behind another")
		done := make(chan error, 1)
		a.answer(done)
		if err := <-done; err != nil {
			t.Fatal(err)
		}
		want(2, "somebody waited")
		if took := time.Since(begin); took != 0 {
			t.Errorf("who waited did so for %s", took)
		}
		a.tell(Event{})
		a.tell(Event{})
		want(2, "right behind the answer")
		time.Sleep(ackPace)
		want(4, "later")
		a.tell(Event{})
		cancel()
		<-ended
		if got := told.Load(); got != 5 {
			t.Errorf("%d events are told at the end, want 5", got)
		}
	})
}
