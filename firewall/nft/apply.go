package nft

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"net/netip"
	"slices"
	"time"

	"golang.org/x/sys/unix"

	"stockade/firewall"
)

const (
	// retries is how often a transaction is sent that the kernel could not work on just then.
	retries = 5
	// retryAfter is the pause before the first retry; it doubles.
	retryAfter = 2 * time.Millisecond
	// maxSets bounds the scopes and verdicts in use at once: each set puts rules before every packet.
	maxSets = 256
	// entrySize is the most an entry takes in a message beside its comment, in bytes.
	entrySize = 80
)

// op is one element of one set to set or remove.
type op struct {
	set       setID
	key       netip.Addr
	end       time.Time
	comment   string
	remove    bool
	renew     bool // it exists, and adding it is not enough
	change    int  // index of the change it is part of
	remaining time.Duration
}

// Apply makes the changes in transactions of some thousand elements and reads each back.
func (e *Enforcer) Apply(ctx context.Context, changes []firewall.Change) ([]firewall.Result, error) {
	e.mu.Lock()
	defer e.mu.Unlock()
	results := make([]firewall.Result, len(changes))
	for i, c := range changes {
		results[i].Change = c
	}
	if e.closed {
		return results, errClosed
	}
	if err := ctx.Err(); err != nil {
		return results, err
	}
	ops, nets, later := e.plan(changes, results)
	err := e.ensureSets(changes, results, ops, nets)
	if err == nil {
		ops, nets = e.known(changes, results, ops, nets)
		err = e.run(ctx, ops, results)
	}
	if err == nil && len(nets) > 0 {
		err = e.changeNets(changes, nets, results)
	}
	if e.flowtable {
		if forgetErr := e.forget(results); forgetErr != nil {
			e.log.Warn("connections that a flowtable has taken over go on", "err", forgetErr)
		}
	}
	for i, j := range later {
		results[i].Enforced, results[i].Err = results[j].Enforced, results[j].Err
	}
	return results, err
}

// plan turns the changes into operations on sets of single keys and, by their indexes, changes of
// prefixes. later maps changes to those that supersede them.
func (e *Enforcer) plan(changes []firewall.Change, results []firewall.Result) (ops []op, nets []int, later map[int]int) {
	type key struct {
		prefix netip.Prefix
		scope  firewall.Scope
	}
	last := make(map[key]int, len(changes))
	for i, c := range changes {
		last[key{c.Prefix, c.Scope}] = i
	}
	now := e.now()
	ops = make([]op, 0, len(changes))
	for i, c := range changes {
		if j := last[key{c.Prefix, c.Scope}]; j == i {
			ops, nets = e.planOne(ops, nets, i, c, &results[i], now)
		} else {
			if later == nil {
				later = make(map[int]int)
			}
			later[i] = j
		}
	}
	return together(ops), nets, later
}

// planUnique is plan for changes of which none supersedes another.
func (e *Enforcer) planUnique(changes []firewall.Change, results []firewall.Result) (ops []op, nets []int) {
	now := e.now()
	ops = make([]op, 0, len(changes))
	for i, c := range changes {
		ops, nets = e.planOne(ops, nets, i, c, &results[i], now)
	}
	return together(ops), nets
}

// planOne adds what the change of that index needs.
func (e *Enforcer) planOne(ops []op, nets []int, i int, c firewall.Change, result *firewall.Result, now time.Time) ([]op, []int) {
	if result.Err = firewall.CheckElement(c.Element); result.Err != nil {
		return ops, nets
	}
	remove := gone(c, now)
	if !remove && firewall.Protects(e.never, c.Prefix) {
		result.Err = fmt.Errorf("prefix %s: %w", c.Prefix, firewall.ErrProtected)
		return ops, nets
	}
	k := kindOf(c.Prefix, e.config.IPv6Prefix)
	if k.interval() {
		return ops, append(nets, i)
	}
	for _, v := range verdicts {
		o := op{set: setID{k, c.Scope, v}, key: c.Prefix.Addr(), remove: remove || v != c.Verdict, change: i}
		if o.remove && !e.sets[o.set] {
			continue // there is nothing to remove
		}
		if !o.remove {
			o.end, o.comment = c.End, cut(c.Comment)
		}
		ops = append(ops, o)
	}
	result.Enforced = true // until an operation says otherwise
	return ops, nets
}

// together gives the operations set by set, each set's in their order: a list holds elements of one
// set. There are many operations and few sets.
func together(ops []op) []op {
	count := make(map[setID]int)
	for i := range ops {
		count[ops[i].set]++
	}
	if len(count) < 2 {
		return ops
	}
	next := 0
	for _, id := range slices.SortedFunc(maps.Keys(count), inOrder) {
		next, count[id] = next+count[id], next
	}
	out := make([]op, len(ops))
	for i := range ops {
		at := count[ops[i].set]
		out[at] = ops[i]
		count[ops[i].set] = at + 1
	}
	return out
}

// ensureSets makes the sets that the changes need and that do not exist.
func (e *Enforcer) ensureSets(changes []firewall.Change, results []firewall.Result, ops []op, nets []int) error {
	var added []setID
	need := func(id setID, change int) {
		switch {
		case e.sets[id]:
		case len(e.sets) >= maxSets:
			results[change].Enforced = false
			results[change].Err = fmt.Errorf("scope %q: %w: at most %d sets at once", id.scope, firewall.ErrFull, maxSets)
		default:
			e.sets[id] = true
			added = append(added, id)
		}
	}
	now := e.now()
	for _, o := range ops {
		if !o.remove {
			need(o.set, o.change)
		}
	}
	for _, i := range nets {
		if c := changes[i]; !gone(c, now) {
			need(setID{kindOf(c.Prefix, e.config.IPv6Prefix), c.Scope, c.Verdict}, i)
		}
	}
	if len(added) == 0 {
		return nil
	}
	err := e.withRepair(e.structure)
	if err != nil {
		for _, id := range added {
			delete(e.sets, id)
		}
		for i := range results {
			results[i].Enforced = false
		}
	}
	return err
}

// known leaves out operations on sets that do not exist: there is nothing to remove.
func (e *Enforcer) known(changes []firewall.Change, results []firewall.Result, ops []op, nets []int) ([]op, []int) {
	out := ops[:0]
	for _, o := range ops {
		if e.sets[o.set] {
			out = append(out, o)
		}
	}
	some := nets[:0]
	for _, i := range nets {
		c := changes[i]
		k := kindOf(c.Prefix, e.config.IPv6Prefix)
		switch {
		case results[i].Err != nil:
		case !e.sets[setID{k, c.Scope, firewall.Drop}] && !e.sets[setID{k, c.Scope, firewall.Reject}]:
			results[i].Enforced = true
		default:
			some = append(some, i)
		}
	}
	return out, some
}

// fitting is how many of the operations fit into one transaction.
func (e *Enforcer) fitting(ops []op) int {
	n, size, room := 0, 0, e.writer.batchRoom()
	for n < len(ops) && n < maxBatch && size < room {
		size += 3 * (entrySize + len(ops[n].comment))
		n++
	}
	return n
}

// run carries the operations out in transactions.
func (e *Enforcer) run(ctx context.Context, ops []op, results []firewall.Result) error {
	full := make(map[setID]bool)
	for len(ops) > 0 {
		n := e.fitting(ops)
		err := ctx.Err()
		if err == nil {
			err = e.transact(ops[:n], results, full)
		}
		if err != nil {
			for _, o := range ops {
				e.fail(o, results, err)
			}
			return err
		}
		ops = ops[n:]
	}
	return nil
}

// maxBatch is the most operations in one transaction: others' changes wait meanwhile.
const maxBatch = 8192

// transact carries out some operations in one transaction and reads them back. What the kernel refuses as a whole is halved until
// the operations to blame are alone. The error says that the kernel could not be reached.
func (e *Enforcer) transact(ops []op, results []firewall.Result, full map[setID]bool) error {
	err := e.write(ops)
	switch {
	case err == nil || errors.Is(err, errUnknown):
		return e.confirm(ops, results)
	case errors.Is(err, firewall.ErrCapability):
		return err
	case len(ops) == 1:
		if errors.Is(err, unix.ENFILE) {
			err = firewall.ErrFull
			full[ops[0].set] = true
		}
		e.fail(ops[0], results, fmt.Errorf("set %s: %w", ops[0].set.name(), err))
		return nil
	}
	for _, half := range [][]op{ops[:len(ops)/2], ops[len(ops)/2:]} {
		if o := half[0]; full[o.set] && len(half) > 1 {
			// Every further element would be tried alone: leave out what has no room.
			kept := make([]op, 0, len(half))
			for _, o := range half {
				if full[o.set] && !o.remove {
					e.fail(o, results, fmt.Errorf("set %s: %w", o.set.name(), firewall.ErrFull))
				} else {
					kept = append(kept, o)
				}
			}
			half = kept
		}
		if len(half) == 0 {
			continue
		}
		if err := e.transact(half, results, full); err != nil {
			return err
		}
	}
	return nil
}

func (e *Enforcer) fail(o op, results []firewall.Result, err error) {
	r := &results[o.change]
	r.Enforced = false
	r.Err = cmpErr(r.Err, err)
}

// write sends one transaction, again when the kernel was busy or the table had to be repaired.
func (e *Enforcer) write(ops []op) error {
	pause := retryAfter
	var err error
	for range retries {
		e.encode(ops)
		err = e.counted(e.sent(e.writer.commit()))
		switch {
		case errors.Is(err, unix.EAGAIN), errors.Is(err, unix.EINTR), errors.Is(err, unix.EBUSY),
			errors.Is(err, unix.ENOMEM), errors.Is(err, unix.ERESTART):
			time.Sleep(pause)
			pause *= 2
		case errors.Is(err, unix.ENOENT):
			if err := e.repair(); err != nil {
				return err
			}
		default:
			return err
		}
	}
	return err
}

// encode writes the transaction of the operations. What is to be removed is added and deleted: the
// first makes the second succeed. What is to be renewed is added once more.
func (e *Enforcer) encode(ops []op) {
	l := e.writer
	l.batch()
	now := e.now()
	for i := range ops {
		if o := &ops[i]; !o.end.IsZero() {
			o.remaining = max(o.end.Sub(now), firewall.MinRemaining)
		}
	}
	var old, add []*op
	for len(ops) > 0 {
		set, n := ops[0].set, 0
		old, add = old[:0], add[:0]
		for n < len(ops) && ops[n].set == set {
			o := &ops[n]
			n++
			if o.remove || o.renew {
				old = append(old, o)
			}
			if !o.remove {
				add = append(add, o)
			}
		}
		ops = ops[n:]
		name := set.name()
		list := func(typ, flags uint16, ops []*op) {
			elementList(&l.enc, typ, flags|unix.NLM_F_ACK, e.config.Table, name, len(ops), func(enc *encoder, i int) {
				appendEntry(enc, ops[i].key, false, ops[i].remaining, ops[i].comment)
			})
		}
		list(unix.NFT_MSG_NEWSETELEM, unix.NLM_F_CREATE, old)
		list(unix.NFT_MSG_DELSETELEM, 0, old)
		list(unix.NFT_MSG_NEWSETELEM, unix.NLM_F_CREATE, add)
	}
}
