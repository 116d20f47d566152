package firewall

import (
	"context"
	"net/netip"
	"sync"
	"time"
)

// Observe is the backend that enforces nothing: it keeps in memory what would be enforced. Its
// Results have Enforced false and no Err, except for elements no backend takes. Its methods may be
// called concurrently; they take turns.
type Observe struct {
	now func() time.Time

	mu       sync.Mutex
	elements map[key]Element
	never    []netip.Prefix
	sweepAt  int // number of elements at which expired ones are looked for
}

type key struct {
	prefix netip.Prefix
	scope  Scope
}

// minSweep is the least number of elements at which Observe looks for expired ones.
const minSweep = 1024

// NewObserve makes an empty Observe.
func NewObserve() *Observe {
	return &Observe{now: time.Now, elements: make(map[key]Element), never: AlwaysProtected(), sweepAt: minSweep}
}

// Name is "observe".
func (o *Observe) Name() string { return BackendObserve }

// Apply records the changes.
func (o *Observe) Apply(ctx context.Context, changes []Change) ([]Result, error) {
	results := make([]Result, len(changes))
	for i, c := range changes {
		results[i].Change = c
	}
	if err := ctx.Err(); err != nil {
		return results, err
	}
	o.mu.Lock()
	defer o.mu.Unlock()
	now := o.now()
	for i, c := range changes {
		results[i].Err = o.apply(c, now)
	}
	if len(o.elements) >= o.sweepAt {
		for k, e := range o.elements {
			if expired(e, now) {
				delete(o.elements, k)
			}
		}
		o.sweepAt = max(minSweep, 2*len(o.elements))
	}
	return results, nil
}

func (o *Observe) apply(c Change, now time.Time) error {
	if err := CheckElement(c.Element); err != nil {
		return err
	}
	k := key{c.Prefix, c.Scope}
	switch {
	case c.Remove || !c.End.IsZero() && c.End.Sub(now) < MinRemaining:
		delete(o.elements, k)
	case Protects(o.never, c.Prefix):
		return ErrProtected
	default:
		e := c.Element
		if len(e.Comment) > MaxComment {
			e.Comment = e.Comment[:MaxComment]
		}
		o.elements[k] = e
	}
	return nil
}

// Elements yields what is recorded and has not expired; the counters are zero. yield must not call
// the Observe.
func (o *Observe) Elements(ctx context.Context, yield func(Element, Counters) bool) error {
	o.mu.Lock()
	defer o.mu.Unlock()
	now := o.now()
	for _, e := range o.elements {
		if err := ctx.Err(); err != nil {
			return err
		}
		if !expired(e, now) && !yield(e, Counters{}) {
			return nil
		}
	}
	return nil
}

// Protect replaces the protected prefixes, to which AlwaysProtected is added. Elements recorded
// earlier stay, as they do in the kernel, where a rule stands before them.
func (o *Observe) Protect(ctx context.Context, never []netip.Prefix) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	o.mu.Lock()
	defer o.mu.Unlock()
	o.never = MergePrefixes(append(AlwaysProtected(), never...))
	return nil
}

// Close does nothing.
func (o *Observe) Close() error { return nil }

func expired(e Element, now time.Time) bool { return !e.End.IsZero() && !now.Before(e.End) }
