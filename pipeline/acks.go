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
	haste chan struct{} // capacity 1: somebody waits for an answer

	event func(Event) // nil: nobody is told

	mu     *sync.Mutex
	marks  map[state.Change]bool
	done   []chan error
	events []Event // at most maxEvents; more are told before the disk has them
}

const (
	ackPace   = 5 * time.Millisecond // from one fsync to the next that nobody waits for
	lastAck   = 2 * time.Second      // what a stop waits for the disk
	maxEvents = noticeQueue
)

func newAcks(store *state.Store, event func(Event)) acks {
	return acks{store: store, wake: make(chan struct{}, 1), haste: make(chan struct{}, 1), event: event, mu: new(sync.Mutex), marks: make(map[state.Change]bool)}
}

// tell announces a change once all that was marked before is on disk.
func (a *acks) tell(e Event) {
	if a.event == nil {
		return
	}
	a.mu.Lock()
	full := len(a.events) >= maxEvents
	if !full {
		a.events = append(a.events, e)
	}
	a.mu.Unlock()
	if full {
		a.event(e)
		return
	}
	a.kick()
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
	kick(a.haste)
}

func (a *acks) kick() { kick(a.wake) }

func kick(wake chan struct{}) {
	select {
	case wake <- struct{}{}:
	default:
	}
}

// run acknowledges until ctx is done, then once more.
func (a *acks) run(ctx context.Context) {
	for {
		select {
		case <-a.wake:
			a.acknowledge(ctx)
			a.rest(ctx)
		case <-ctx.Done():
			last, cancel := context.WithTimeout(context.WithoutCancel(ctx), lastAck)
			defer cancel()
			a.acknowledge(last)
			return
		}
	}
}

// rest lets more gather, until somebody waits for an answer.
func (a *acks) rest(ctx context.Context) {
	pace := time.NewTimer(ackPace)
	defer pace.Stop()
	select {
	case <-pace.C:
	case <-a.haste:
	case <-ctx.Done():
	}
}

func (a *acks) acknowledge(ctx context.Context) {
	a.mu.Lock()
	marks, done, events := a.marks, a.done, a.events
	a.marks, a.done, a.events = make(map[state.Change]bool), nil, nil
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
	for _, e := range events {
		a.event(e)
	}
}
