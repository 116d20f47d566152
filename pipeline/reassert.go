package pipeline

import (
	"context"

	"stockade/firewall"
	"stockade/jails/state"
)

// reassertion makes the kernel hold every ban again, after somebody else changed it. With a million
// bans that takes seconds: it has a goroutine of its own, beside which changes go to the kernel as
// ever. What changed meanwhile is enforced once more at the end, because the goroutine may have seen
// an older version of it. The fields belong to the goroutine that owns the firewall.
type reassertion struct {
	running bool
	closed  bool // none begins any more
	asked   bool // somebody changed the kernel since the goroutine began
	lost    bool // the last one failed: the retry begins another
	cancel  context.CancelFunc
	done    chan reasserted // capacity 1

	taken  []state.Change            // from the store, noted, and not enforced yet
	during map[state.Change]struct{} // given to the kernel since the goroutine began
	redo   []state.Change            // to be enforced once more
}

// reasserted is how a reassertion ended.
type reasserted struct {
	report firewall.Report
	err    error
}

// pending reports whether the kernel may lack bans.
func (a *reassertion) pending() bool { return a.running || a.asked || a.lost }

// waits reports whether there is more to enforce than the store tells.
func (a *reassertion) waits() bool { return len(a.taken) > 0 || len(a.redo) > 0 }

// next takes what is enforced next: first what waits here, then what take gives.
func (a *reassertion) next(take func(limit int) []state.Change) []state.Change {
	var changes []state.Change
	if len(a.taken) > 0 {
		changes, a.taken = cutFront(a.taken)
	} else {
		changes = take(changeBatch)
	}
	if len(a.redo) > 0 {
		var more []state.Change
		more, a.redo = cutFront(a.redo)
		changes = append(changes, more...)
	}
	return changes
}

func cutFront(list []state.Change) (front, rest []state.Change) {
	n := min(len(list), changeBatch)
	if n == len(list) {
		return list, nil
	}
	return list[:n:n], list[n:]
}

// changed notes what is given to the kernel beside the goroutine.
func (a *reassertion) changed(changes []state.Change) {
	if !a.running {
		return
	}
	for _, c := range changes {
		a.during[c] = struct{}{}
	}
}

// prepareReassert takes the bans of this moment, where they are to be asserted, and returns what
// begins that. Changes that these bans have already are taken from the store and noted: what is given
// to the kernel must be.
func (e *enforcer) prepareReassert(again bool) (begin func(context.Context)) {
	a := &e.again
	if due := a.asked || a.lost && again; !due || a.closed || a.running {
		return func(context.Context) {}
	}
	a.asked, a.lost = false, false
	bans := e.p.store.NowEffective()
	a.taken = append(a.taken, e.p.store.TakeChanges(0)...)
	e.ahead.note(a.taken)
	return func(ctx context.Context) {
		ctx, a.cancel = context.WithCancel(ctx)
		a.running, a.during = true, make(map[state.Change]struct{})
		go func() {
			report, err := e.fw.Reconcile(ctx, desired(bans), firewall.ForeignIgnore)
			if err == nil {
				err = report.Err
			}
			a.done <- reasserted{report, err}
		}()
	}
}

// reasserted takes note of how a reassertion ended.
func (e *enforcer) reasserted(r reasserted) {
	a := &e.again
	a.cancel()
	a.running = false
	a.lost = a.lost || r.err != nil
	for c := range a.during {
		a.redo = append(a.redo, c)
	}
	a.during = nil
	e.noteRepair(r.report.Set)
}

// abandon ends a reassertion that is under way, and lets none begin.
func (e *enforcer) abandon() {
	e.again.closed = true
	if e.again.running {
		e.again.cancel()
		e.reasserted(<-e.again.done)
	}
}
