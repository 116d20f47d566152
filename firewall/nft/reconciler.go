package nft

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"stockade/firewall"
)

// work makes pieces true until there are no more.
func (r *reconciliation) work(ctx context.Context, work <-chan []firewall.Change, used chan<- []firewall.Change) error {
	l, err := r.e.borrow()
	if err != nil {
		return err
	}
	defer r.e.giveBack(l)
	w := reconciler{r: r, link: l}
	for piece := range work {
		if err := w.piece(ctx, piece); err != nil {
			return err
		}
		select {
		case used <- piece:
		default:
		}
	}
	return nil
}

// reconciler works on one piece at a time. It holds the Enforcer's lock while it writes, not while
// it asks.
type reconciler struct {
	r       *reconciliation
	link    *link
	asked   asked
	results []firewall.Result
}

// piece makes some desired elements true.
func (w *reconciler) piece(ctx context.Context, changes []firewall.Change) error {
	e, r := w.r.e, w.r
	now := e.now()
	changes = slices.DeleteFunc(changes, func(c firewall.Change) bool { return gone(c, now) })
	w.results = append(w.results[:0], make([]firewall.Result, len(changes))...)
	ops, nets, err := w.plan(ctx, changes)
	if err == nil {
		ops, err = w.different(ops)
	}
	if err == nil {
		err = w.run(ctx, ops)
	}
	const fromNets, written = 1, 2
	how := make([]uint8, len(changes))
	for _, o := range ops {
		how[o.change] = written
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, i := range nets {
		how[i] = fromNets
		r.nets = append(r.nets, changes[i])
	}
	r.report.Desired += len(changes)
	for i, res := range w.results {
		switch {
		case how[i] == fromNets:
		case !res.Enforced:
			r.failed(cmpErr(res.Err, err))
		case how[i] == written:
			r.report.Set++
		default:
			r.report.Present++
		}
	}
	return err
}

// plan makes operations of the changes, and the sets that they need.
func (w *reconciler) plan(ctx context.Context, changes []firewall.Change) ([]op, []int, error) {
	e := w.r.e
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.closed {
		return nil, nil, errClosed
	}
	if err := ctx.Err(); err != nil {
		return nil, nil, err
	}
	ops, nets := e.planUnique(changes, w.results)
	err := e.ensureSets(changes, w.results, ops, nil)
	if err == nil {
		ops, _ = e.known(changes, w.results, ops, nil)
	}
	return ops, nets, err
}

// failed counts an element that could not be made true. r.mu is held.
func (r *reconciliation) failed(err error) {
	r.report.Failed++
	r.report.Err = cmpErr(r.report.Err, err)
}

// different leaves out the operations whose outcome the kernel already has. It keeps their order.
func (w *reconciler) different(ops []op) ([]op, error) {
	e := w.r.e
	ask := w.asked.reset()
	for _, o := range ops {
		if empty, known := w.r.empty[o.set]; known && !empty {
			ask.add(o)
		}
	}
	if err := get(w.link, e.config.Table, ask.queries); err != nil {
		return nil, fmt.Errorf("read: %w", err)
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	out, answers := ops[:0], ask.queries
	for _, o := range ops {
		empty, known := w.r.empty[o.set]
		if empty || !known { // or it is a set that we have just made
			if !o.remove {
				out = append(out, o)
			}
			continue
		}
		q := &answers[0]
		answers = answers[1:]
		switch {
		case q.err != nil:
			return nil, fmt.Errorf("read set %s: %w", q.set, q.err)
		case !q.agrees(&o):
			o.renew = q.found
			out = append(out, o)
		case !o.remove:
			e.sample(&o)
		}
	}
	return out, nil
}

// run carries operations out and reads them back.
func (w *reconciler) run(ctx context.Context, ops []op) error {
	e := w.r.e
	full := make(map[setID]bool)
	for len(ops) > 0 {
		n := e.fitting(ops)
		if err := w.transact(ctx, ops[:n], full); err != nil {
			for _, o := range ops {
				e.fail(o, w.results, err)
			}
			return err
		}
		ops = ops[n:]
	}
	return nil
}

// transact carries some operations out in one transaction and reads them back without the lock.
func (w *reconciler) transact(ctx context.Context, ops []op, full map[setID]bool) error {
	e := w.r.e
	if written, err := w.write(ctx, ops, full); err != nil || !written {
		return err
	}
	ask := w.asked.reset()
	for _, o := range ops {
		ask.add(o)
	}
	if err := get(w.link, e.config.Table, ask.queries); err != nil {
		return fmt.Errorf("read back: %w", err)
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.closed {
		return errClosed
	}
	return e.renew(e.differing(ops, ask.queries, w.results), w.results)
}

// write reports whether the operations were written and are to be read back. Those that the kernel
// refuses as a whole are done with: each was tried on its own.
func (w *reconciler) write(ctx context.Context, ops []op, full map[setID]bool) (bool, error) {
	e := w.r.e
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.closed {
		return false, errClosed
	}
	if err := ctx.Err(); err != nil {
		return false, err
	}
	if err := e.write(ops); err != nil && !errors.Is(err, errUnknown) {
		return false, e.transact(ops, w.results, full)
	}
	return true, nil
}
