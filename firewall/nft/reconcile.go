package nft

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"net/netip"

	"golang.org/x/sys/unix"

	"stockade/firewall"
)

// reconcileChunk is how many desired elements are worked on while others wait for the lock.
const reconcileChunk = 4096

// reconciliation is one run of Reconcile.
type reconciliation struct {
	e       *Enforcer
	report  firewall.Report
	nets    []firewall.Change // of all chunks: they are written together
	foreign firewall.Foreign
	keys    map[elementKey]bool // of what is desired, where others are looked for
	empty   map[setID]bool      // sets that held nothing at the start
}

type elementKey struct {
	prefix netip.Prefix
	scope  firewall.Scope
}

// Reconcile reads every desired element by its key and sets those that are missing or differ, in
// pieces; sets are read whole only to look for others.
func (e *Enforcer) Reconcile(ctx context.Context, desired iter.Seq[firewall.Element], foreign firewall.Foreign) (firewall.Report, error) {
	r := &reconciliation{e: e, foreign: foreign, empty: make(map[setID]bool)}
	if foreign != firewall.ForeignIgnore {
		r.keys = make(map[elementKey]bool)
	}
	if err := r.findEmpty(); err != nil {
		return r.report, err
	}
	chunk := make([]firewall.Change, 0, reconcileChunk)
	for el := range desired {
		chunk = append(chunk, firewall.Change{Element: el})
		if len(chunk) == cap(chunk) {
			if err := r.chunk(ctx, chunk); err != nil {
				return r.report, err
			}
			chunk = chunk[:0]
		}
	}
	if err := r.chunk(ctx, chunk); err != nil {
		return r.report, err
	}
	if err := r.finishNets(ctx); err != nil {
		return r.report, err
	}
	if foreign == firewall.ForeignIgnore {
		return r.report, nil
	}
	err := r.others(ctx)
	return r.report, err
}

// findEmpty notes the sets that hold nothing: what is desired in them need not be asked for.
func (r *reconciliation) findEmpty() error {
	sets, _, err := r.e.view()
	if err != nil {
		return err
	}
	for _, id := range sets {
		if id.interval() {
			continue
		}
		if r.empty[id], err = r.e.isEmpty(id); err != nil {
			return err
		}
	}
	return nil
}

// isEmpty reads the beginning of a set, on a socket of its own: the rest stays unread.
func (e *Enforcer) isEmpty(id setID) (bool, error) {
	l, err := dial(e.netns)
	if err != nil {
		return false, permission(err)
	}
	defer func() { _ = l.close() }()
	empty := true
	err = dump(l, e.config.Table, id.name(), func(entry) bool {
		empty = false
		return false
	})
	if err = ignore(err, unix.EINTR, unix.ENOENT); err != nil {
		return false, fmt.Errorf("list set %s: %w", id.name(), err)
	}
	return empty, nil
}

// chunk makes some desired elements true.
func (r *reconciliation) chunk(ctx context.Context, changes []firewall.Change) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	e := r.e
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.closed {
		return errClosed
	}
	results := make([]firewall.Result, len(changes))
	now := e.now()
	kept := changes[:0:0]
	for _, c := range changes {
		if r.keys != nil {
			r.keys[elementKey{c.Prefix, c.Scope}] = true
		}
		if gone(c, now) {
			continue
		}
		r.report.Desired++
		kept = append(kept, c)
	}
	changes = kept
	results = results[:len(changes)]
	ops, nets, _ := e.plan(changes, results)
	for _, i := range nets {
		r.nets = append(r.nets, changes[i])
	}
	err := e.ensureSets(changes, results, ops, nil)
	if err == nil {
		ops, _ = e.known(changes, results, ops, nil)
		ops, err = r.different(ops, results)
	}
	if err == nil {
		err = e.run(ctx, ops, results)
	}
	set := make(map[int]bool, len(ops))
	for _, o := range ops {
		set[o.change] = true
	}
	isNet := make(map[int]bool, len(nets))
	for _, i := range nets {
		isNet[i] = true
	}
	for i, res := range results {
		switch {
		case isNet[i]:
		case !res.Enforced:
			r.failed(res.Err)
		case set[i]:
			r.report.Set++
		default:
			r.report.Present++
		}
	}
	return err
}

func (r *reconciliation) failed(err error) {
	r.report.Failed++
	if r.report.Err == nil {
		r.report.Err = err
	}
}

// different leaves out the operations whose outcome the kernel already has.
func (r *reconciliation) different(ops []op, results []firewall.Result) ([]op, error) {
	e := r.e
	queries := make([]query, 0, len(ops))
	asked := make([]int, 0, len(ops))
	for i, o := range ops {
		if empty, known := r.empty[o.set]; known && !empty {
			queries = append(queries, query{set: o.set.name(), key: o.key, present: !o.remove})
			asked = append(asked, i)
		}
	}
	if err := get(e.reader, e.config.Table, queries); err != nil {
		return nil, fmt.Errorf("read: %w", err)
	}
	same := make(map[int]bool)
	for j, q := range queries {
		o := &ops[asked[j]]
		switch {
		case q.err != nil:
			return nil, fmt.Errorf("read set %s: %w", q.set, q.err)
		case !q.found && o.remove:
			same[asked[j]] = true
		case q.found && !o.remove && q.ends(o.end) && q.entry.comment == o.comment:
			same[asked[j]] = true
			e.sample(*o)
		default:
			o.renew = q.found
		}
	}
	out := make([]op, 0, len(ops))
	for i, o := range ops {
		empty, known := r.empty[o.set]
		absent := empty || !known // a set we have just made
		if same[i] || absent && o.remove {
			continue
		}
		out = append(out, o)
	}
	return out, nil
}

// finishNets makes the desired prefixes true in one go.
func (r *reconciliation) finishNets(ctx context.Context) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	e := r.e
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.closed {
		return errClosed
	}
	before := make([]bool, len(r.nets))
	results := make([]firewall.Result, len(r.nets))
	which := make([]int, 0, len(r.nets))
	for i, c := range r.nets {
		id := setID{kindOf(c.Prefix, e.config.IPv6Prefix), c.Scope, c.Verdict}
		was, ok := e.netSet(id).elements[c.Prefix]
		before[i] = ok && was.Comment == cut(c.Comment) && !outlastsBy(was.End, c.End, slack) && !outlastsBy(c.End, was.End, slack)
		which = append(which, i)
	}
	err := e.ensureSets(r.nets, results, nil, which)
	if err == nil {
		_, which = e.known(r.nets, results, nil, which)
		err = e.changeNets(r.nets, which, results)
	}
	for i, res := range results {
		switch {
		case !res.Enforced:
			r.failed(res.Err)
		case before[i]:
			r.report.Present++
		default:
			r.report.Set++
		}
	}
	for id, n := range e.nets {
		if n.forgetPieces() {
			_, writeErr := e.writeNets(id)
			err = errors.Join(err, writeErr)
		}
	}
	return err
}

// others looks for what is in the kernel and not desired. Sets that held nothing at the start hold
// only what is desired.
func (r *reconciliation) others(ctx context.Context) error {
	var remove []firewall.Change
	err := r.e.elements(ctx, r.empty, func(el firewall.Element, _ firewall.Counters) bool {
		if r.keys[elementKey{el.Prefix, el.Scope}] {
			return true
		}
		r.report.Foreign = append(r.report.Foreign, el)
		if r.foreign == firewall.ForeignRemove {
			remove = append(remove, firewall.Change{Element: el, Remove: true})
		}
		return len(r.report.Foreign) < firewall.MaxForeign
	})
	if err != nil || len(remove) == 0 {
		return err
	}
	results, err := r.e.Apply(ctx, remove)
	for _, res := range results {
		if res.Enforced {
			r.report.Removed++
		}
	}
	return err
}
