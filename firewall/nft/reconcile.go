package nft

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"net/netip"
	"sync"

	"golang.org/x/sys/unix"

	"stockade/firewall"
)

const (
	// reconcilePiece is how many desired elements are worked on at a time.
	reconcilePiece = 4096
	// reconcileWorkers is how many pieces are worked on at once: while the kernel takes one, another
	// is asked for, on a socket of its own.
	reconcileWorkers = 2
)

// reconciliation is one run of Reconcile.
type reconciliation struct {
	e       *Enforcer
	foreign firewall.Foreign
	keys    map[elementKey]bool // of what is desired, where others are looked for
	empty   map[setID]bool      // sets by whether they held nothing at the start

	mu     sync.Mutex // guards what follows
	report firewall.Report
	nets   []firewall.Change // of all pieces: they are written together
	err    error             // the first one
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
	if err := r.pieces(ctx, desired); err != nil {
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

// pieces hands what is desired to workers, of which it starts as many as there are pieces for.
func (r *reconciliation) pieces(ctx context.Context, desired iter.Seq[firewall.Element]) error {
	inner, cancel := context.WithCancel(ctx)
	defer cancel()
	work := make(chan []firewall.Change)                   // unbuffered
	used := make(chan []firewall.Change, reconcileWorkers) // pieces whose memory is free again
	var workers sync.WaitGroup
	started := 0
	hand := func(piece []firewall.Change) bool {
		if started < reconcileWorkers {
			started++
			workers.Go(func() {
				if err := r.work(inner, work, used); err != nil {
					r.mu.Lock()
					r.err = cmpErr(r.err, err)
					r.mu.Unlock()
					cancel()
				}
			})
		}
		select {
		case work <- piece:
			return true
		case <-inner.Done():
			return false
		}
	}
	fresh := func() []firewall.Change {
		select {
		case piece := <-used:
			return piece[:0]
		default:
			return nil
		}
	}
	var piece []firewall.Change
	for el := range desired {
		if r.keys != nil {
			r.keys[elementKey{el.Prefix, el.Scope}] = true
		}
		if piece = append(piece, firewall.Change{Element: el}); len(piece) == reconcilePiece {
			if !hand(piece) {
				break
			}
			piece = fresh()
		}
	}
	if len(piece) > 0 {
		hand(piece)
	}
	close(work)
	workers.Wait()
	return cmpErr(r.err, ctx.Err())
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
