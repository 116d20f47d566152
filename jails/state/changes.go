package state

import (
	"context"
	"net/netip"
	"sync"
)

// Change names an element of the firewall that may have to change: what it should be is what
// Effective says of it now.
type Change struct {
	Prefix netip.Prefix
	Scope  string
}

// changeQueue collects changes. An element that changes again before it was taken is in it once.
// It is bounded by the number of distinct elements.
type changeQueue struct {
	mu    sync.Mutex
	in    map[Change]struct{}
	order []Change
	added uint64        // to order, so far
	wake  chan struct{} // capacity 1
}

func (q *changeQueue) init() {
	q.in = map[Change]struct{}{}
	q.wake = make(chan struct{}, 1)
}

func (q *changeQueue) add(c Change) {
	q.mu.Lock()
	if _, dup := q.in[c]; !dup {
		q.in[c] = struct{}{}
		q.order = append(q.order, c)
		q.added++
	}
	q.mu.Unlock()
	select {
	case q.wake <- struct{}{}:
	default:
	}
}

func (q *changeQueue) take(limit int) []Change {
	q.mu.Lock()
	defer q.mu.Unlock()
	n := len(q.order)
	if limit > 0 {
		n = min(n, limit)
	}
	out := append([]Change(nil), q.order[:n]...)
	for _, c := range out {
		delete(q.in, c)
	}
	q.order = q.order[n:]
	if len(q.order) == 0 {
		q.order = nil
	} else {
		select {
		case q.wake <- struct{}{}:
		default:
		}
	}
	return out
}

// WaitChanges waits until elements changed and returns them in the order of their first change,
// each once, at most limit of them (0: all). A change that comes after an element was returned
// returns it again, so a consumer that looks at Effective after WaitChanges misses nothing. One
// consumer at a time. It ends with ctx's error when ctx is done.
func (s *Store) WaitChanges(ctx context.Context, limit int) ([]Change, error) {
	for {
		select {
		case <-ctx.Done():
			return nil, ctx.Err()
		case <-s.changes.wake:
		}
		if out := s.changes.take(limit); len(out) > 0 {
			return out, nil
		}
	}
}

// TakeChanges is WaitChanges without waiting; it may return nothing.
func (s *Store) TakeChanges(limit int) []Change { return s.changes.take(limit) }

// ChangeCounts says how many changes came so far, and how many of them were taken: what changed
// before the call is taken once taken has got to added.
func (s *Store) ChangeCounts() (added, taken uint64) {
	s.changes.mu.Lock()
	defer s.changes.mu.Unlock()
	return s.changes.added, s.changes.added - uint64(len(s.changes.order))
}
