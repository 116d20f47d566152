package pipeline

import (
	"context"
	"fmt"
	"iter"
	"net/netip"
	"time"

	"stockade/firewall"
	"stockade/jails/state"
)

const (
	auditEvery = 30 * time.Second      // between the starts of two audits
	auditAgain = 10 * time.Second      // from a repair to the audit that says whether it was the last
	auditPause = 20 * time.Millisecond // between two pieces of one
	auditPiece = 1024                  // prefixes: about 3 ms of the kernel's time
)

// audit is one pass over all bans, a piece at a time.
type audit struct {
	rest     []netip.Prefix
	began    time.Time
	repaired int
}

// restore makes the kernel equal to the store before any line is taken. Elements that the store
// does not know are removed, because it is the truth; only when it was lost, or an older
// generation had to be used, they are adopted.
func (e *enforcer) restore(ctx context.Context) error {
	if err := e.fw.Protect(ctx, e.p.guard.Prefixes()); err != nil {
		return fmt.Errorf("protect the never-ban list in the kernel: %w", err)
	}
	e.p.store.TakeChanges(0) // all of them are desired below
	recovery := e.p.store.Recovery()
	foreign := firewall.ForeignRemove
	switch {
	case recovery.Adopt():
		foreign = firewall.ForeignAdopt
	case recovery.Bans > e.searchLimit:
		foreign = firewall.ForeignIgnore
	}
	report, err := e.fw.Reconcile(ctx, desired(e.p.store.NowEffective()), foreign)
	if err != nil {
		return fmt.Errorf("make the kernel hold the bans of the state: %w", err)
	}
	switch foreign {
	case firewall.ForeignAdopt:
		e.adopt(report.Foreign)
	case firewall.ForeignIgnore:
		report.Removed, err = e.removeAhead(ctx, recovery.Lifted)
		if err != nil {
			return fmt.Errorf("take out of the kernel what no ban stands behind: %w", err)
		}
	}
	if report.Removed > 0 {
		e.log.Warn("removed elements that no ban stands behind", "count", report.Removed)
	}
	if err := e.ahead.begin(); err != nil {
		e.log.Warn("what was noted before the start cannot be emptied", "err", err)
	}
	real := e.fw.Name() != firewall.BackendObserve
	if foreign == firewall.ForeignAdopt || report.Failed > 0 || recovery.Enforced != real {
		e.acknowledge(report, real)
	}
	if report.Desired > 0 {
		e.log.Info("restored bans", "count", report.Desired, "already_in_kernel", report.Present)
	}
	return nil
}

// desired yields every element that the kernel must hold for these bans.
func desired(bans iter.Seq2[netip.Prefix, []state.Effective]) iter.Seq[firewall.Element] {
	return func(yield func(firewall.Element) bool) {
		for prefix, all := range bans {
			for _, el := range all {
				if !yield(set(prefix, el).Element) {
					return
				}
			}
		}
	}
}

// acknowledge marks all bans after a Reconcile, or has all tried again when some failed.
func (e *enforcer) acknowledge(report firewall.Report, real bool) {
	for prefix, all := range e.p.store.AllEffective {
		for _, el := range all {
			c := state.Change{Prefix: prefix, Scope: el.Scope}
			if report.Failed > 0 {
				e.failed[c] = report.Err
			}
			if now := real && report.Failed == 0; el.Enforced != now {
				e.acks.mark(c, now)
			}
		}
	}
}

// adopt takes over elements in the kernel that the store does not hold.
func (e *enforcer) adopt(elements []firewall.Element) {
	for _, el := range elements {
		jail := el.Comment
		if jail == "" {
			jail = "manual"
		}
		e.p.store.Ban(state.Ban{
			Jail: jail, Prefix: el.Prefix, Scope: string(el.Scope), End: el.End,
			Reason: "found in the kernel", Source: "kernel", Trust: "kernel",
		})
	}
	if len(elements) > 0 {
		e.log.Info("adopted bans that the kernel held", "count", len(elements))
	}
}

// auditSome checks the next piece of all bans against the kernel, and says when the piece after it
// is due.
func (e *enforcer) auditSome(ctx context.Context) time.Duration {
	a := &e.audit
	if len(a.rest) == 0 {
		a.began, a.repaired = time.Now(), 0
		for prefix := range e.p.store.AllEffective {
			a.rest = append(a.rest, prefix)
		}
	}
	piece := a.rest[:min(len(a.rest), auditPiece)]
	a.rest = a.rest[len(piece):]
	report, err := e.fw.Reconcile(ctx, e.effective(piece), firewall.ForeignIgnore)
	if err != nil {
		e.again.lost = true // the retry goes over everything
		e.setFault("enforcer", err.Error())
	}
	a.repaired += report.Set
	if len(a.rest) > 0 {
		return auditPause
	}
	a.rest = nil
	e.noteRepair(a.repaired)
	wait := auditEvery - time.Since(a.began)
	if left := e.quiet - time.Since(e.repaired); left > 0 {
		wait = min(wait, left)
	}
	return max(auditPause, wait)
}

// effective yields what the kernel must hold of some prefixes, as it is now.
func (e *enforcer) effective(prefixes []netip.Prefix) iter.Seq[firewall.Element] {
	return func(yield func(firewall.Element) bool) {
		for _, prefix := range prefixes {
			for _, el := range e.p.store.Effective(prefix) {
				if !yield(set(prefix, el).Element) {
					return
				}
			}
		}
	}
}

// noteRepair reports elements that were missing; the fault stays until, some time later, none is.
func (e *enforcer) noteRepair(count int) {
	if count == 0 {
		if time.Since(e.repaired) >= e.quiet {
			e.clearFault("drift")
		}
		return
	}
	e.repaired = time.Now()
	e.p.stats.Repaired.Add(int64(count))
	e.setFault("drift", fmt.Sprintf("%d bans were missing in the kernel and were set again: something else changes table stockade", count))
	e.log.Warn("bans were missing in the kernel and were set again: something else changes our table", "count", count)
}
