package pipeline

import (
	"context"
	"sync"
	"time"

	"stockade/jails/state"
)

// acks holds what is true in the kernel and may not be on disk yet. A ban is shown as enforced, and
// who waits is told, only when it would survive both a flush and a power cut. While the disk is
// full bans go to the kernel all the same; marks are kept once an element.
type acks struct {
	store *state.Store
	wake  chan struct{} // capacity 1

	mu    *sync.Mutex
	marks map[state.Change]bool
	done  []chan error
}

const lastAck = 2 * time.Second // what a stop waits for the disk

func newAcks(store *state.Store) acks {
	return acks{store: store, wake: make(chan struct{}, 1), mu: new(sync.Mutex), marks: make(map[state.Change]bool)}
}

// mark notes what the kernel was seen to hold of an element.
func (a *acks) mark(c state.Change, enforced bool) {
	a.mu.Lock()
	a.marks[c] = enforced
	a.mu.Unlock()
	a.kick()
}

// answer tells a waiter once all that was marked before is on disk. A nil channel is nobody.
func (a *acks) answer(done chan error) {
	if done == nil {
		return
	}
	a.mu.Lock()
	a.done = append(a.done, done)
	a.mu.Unlock()
	a.kick()
}

func (a *acks) kick() {
	select {
	case a.wake <- struct{}{}:
	default:
	}
}

// run acknowledges until ctx is done, then once more.
func (a *acks) run(ctx context.Context) {
	for {
		select {
		case <-a.wake:
			a.acknowledge(ctx)
		case <-ctx.Done():
			last, cancel := context.WithTimeout(context.WithoutCancel(ctx), lastAck)
			defer cancel()
			a.acknowledge(last)
			return
		}
	}
}

func (a *acks) acknowledge(ctx context.Context) {
	a.mu.Lock()
	marks, done := a.marks, a.done
	a.marks, a.done = make(map[state.Change]bool), nil
	a.mu.Unlock()
	err := a.store.WaitDurable(ctx, a.store.Logged())
	if err == nil {
		for c, enforced := range marks {
			a.store.MarkElement(c, enforced)
		}
	}
	for _, d := range done {
		d <- err
	}
}
