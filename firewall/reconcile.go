package firewall

import (
	"context"
	"iter"
)

// Foreign says what Reconcile does about elements of our table that are not desired.
type Foreign uint8

// The ways to treat elements that are not desired. All but ForeignIgnore read every set whole,
// which costs the kernel 0.6 s at 100,000 elements and 95 s at 1,000,000.
const (
	ForeignIgnore Foreign = iota // not looked for
	ForeignAdopt                 // kept, and listed in Report.Foreign
	ForeignRemove                // removed, and listed in Report.Foreign
)

// Report is what Reconcile found and did, in elements.
type Report struct {
	Desired int       // given, less those that end within MinRemaining
	Present int       // found in the kernel as desired
	Set     int       // missing, or with another end, verdict or comment; now set and read back
	Failed  int       // not enforced
	Err     error     // the first reason of Failed
	Foreign []Element // in the kernel, not desired; at most MaxForeign
	Removed int       // of the foreign ones
}

// MaxForeign is the largest length of Report.Foreign.
const MaxForeign = 1 << 20

// Reconciler is an Enforcer that can be made equal to a store.
type Reconciler interface {
	// Reconcile makes each desired element enforced, without touching those that already are, and
	// treats the others as foreign says. desired is read once, in pieces, may be of any length,
	// and gives each key once; it must not call the backend. What Apply changes meanwhile, from
	// another goroutine, may be undone. The error says that the kernel could not be reached, or is
	// that of a done ctx; the report then covers what was done until then.
	Reconcile(ctx context.Context, desired iter.Seq[Element], foreign Foreign) (Report, error)
}

// Reconcile makes Observe record exactly what is desired, plus, with ForeignAdopt or
// ForeignIgnore, what it has recorded before.
func (o *Observe) Reconcile(ctx context.Context, desired iter.Seq[Element], foreign Foreign) (Report, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	var r Report
	now := o.now()
	seen := make(map[key]bool)
	for e := range desired {
		if err := ctx.Err(); err != nil {
			return r, err
		}
		k := key{e.Prefix, e.Scope}
		if !e.End.IsZero() && e.End.Sub(now) < MinRemaining {
			continue
		}
		seen[k] = true
		r.Desired++
		if o.elements[k] == e {
			r.Present++
			continue
		}
		if err := o.apply(Change{Element: e}, now); err != nil {
			r.Failed++
			if r.Err == nil {
				r.Err = err
			}
			continue
		}
		r.Set++
	}
	if foreign == ForeignIgnore {
		return r, nil
	}
	for k, e := range o.elements {
		if seen[k] || expired(e, now) {
			continue
		}
		if len(r.Foreign) < MaxForeign {
			r.Foreign = append(r.Foreign, e)
		}
		if foreign == ForeignRemove {
			delete(o.elements, k)
			r.Removed++
		}
	}
	return r, nil
}
