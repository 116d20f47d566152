package pipeline

import (
	"context"
	"fmt"
	"log/slog"
	"net/netip"
	"sync"
	"time"

	"stockade/firewall"
	"stockade/jails/state"
)

const (
	noticeQueue  = 16384 // notices that wait for the firewall at most; then workers wait
	changeBatch  = 4096  // elements of one batch at most
	firstRetry   = 100 * time.Millisecond
	longestRetry = 5 * time.Second
)

// notice is what somebody wants to be told, or done, once the kernel agrees with the store.
type notice struct {
	ban     *state.Ban     // that began; it is logged
	line    time.Time      // when its deciding line arrived; zero for a ban by hand
	await   []state.Change // what must be in the kernel before the notice is settled
	protect bool           // the guard changed
	done    chan error     // capacity 1; nil when nobody waits
}

// enforcer owns the firewall: one goroutine makes every call to it. What the kernel must hold
// comes from the store; notices only say who waits for it.
type enforcer struct {
	p   *Pipeline
	fw  firewall.Enforcer
	log *slog.Logger
	in  chan notice // noticeQueue deep; senders wait when it is full

	failed  map[state.Change]error // not in the kernel yet; tried again
	waiting []notice               // some of what they await is in failed
	unsafe  error                  // why the never-ban list is not in the kernel

	mu    sync.Mutex
	fault *Fault
}

func newEnforcer(p *Pipeline, fw firewall.Enforcer, log *slog.Logger) *enforcer {
	return &enforcer{p: p, fw: fw, log: log, in: make(chan notice, noticeQueue), failed: make(map[state.Change]error)}
}

// begin announces a ban that a line caused. The store already holds it.
func (e *enforcer) begin(b *state.Ban, line time.Time) {
	e.in <- notice{ban: b, line: line, await: []state.Change{{Prefix: b.Prefix, Scope: b.Scope}}}
}

// restore makes the kernel equal to the store, adopting elements that the store does not know.
func (e *enforcer) restore(ctx context.Context) error {
	if err := e.fw.Protect(ctx, e.p.guard.Prefixes()); err != nil {
		return fmt.Errorf("protect the never-ban list in the kernel: %w", err)
	}
	if err := e.adopt(ctx); err != nil {
		return err
	}
	e.p.store.TakeChanges(0) // all of them are in AllEffective
	var batch []firewall.Change
	var err error
	flush := func() bool {
		if len(batch) > 0 {
			err = e.send(ctx, batch)
			batch = batch[:0]
		}
		return err == nil
	}
	for prefix, all := range e.p.store.AllEffective {
		for _, el := range all {
			batch = append(batch, set(prefix, el))
		}
		if len(batch) >= changeBatch && !flush() {
			break
		}
	}
	flush()
	if err != nil {
		return fmt.Errorf("restore bans in the kernel: %w", err)
	}
	return nil
}

// adopt takes over elements in the kernel that the store does not hold.
func (e *enforcer) adopt(ctx context.Context) error {
	adopted := 0
	err := e.fw.Elements(ctx, func(el firewall.Element, _ firewall.Counters) bool {
		for _, have := range e.p.store.Effective(el.Prefix) {
			if firewall.Scope(have.Scope) == el.Scope {
				return true
			}
		}
		jail := el.Comment
		if jail == "" {
			jail = "manual"
		}
		if _, changed := e.p.store.Ban(state.Ban{
			Jail: jail, Prefix: el.Prefix, Scope: string(el.Scope), End: el.End,
			Reason: "found in the kernel", Source: "kernel", Trust: "kernel",
		}); changed {
			adopted++
		}
		return true
	})
	if err != nil {
		return fmt.Errorf("read the bans that the kernel holds: %w", err)
	}
	if adopted > 0 {
		e.log.Info("adopted bans that the kernel held", "count", adopted)
	}
	return nil
}

// run enforces until ctx is done, then enforces what waits and returns.
func (e *enforcer) run(ctx context.Context) {
	retry := time.NewTimer(time.Hour)
	defer retry.Stop()
	wait := firstRetry
	var notices []notice
	for {
		notices = notices[:0]
		again := false
		select {
		case n := <-e.in:
			notices = append(notices, n)
		case <-e.p.store.Changed():
		case <-retry.C:
			again = true
		case <-ctx.Done():
			e.finish(context.WithoutCancel(ctx))
			return
		}
		e.turn(ctx, notices, again)
		switch {
		case len(e.failed) == 0 && e.unsafe == nil:
			wait = firstRetry
			retry.Stop()
		case again || wait == firstRetry:
			retry.Reset(wait)
			wait = min(2*wait, longestRetry)
		}
	}
}

// finish makes a last attempt and answers everybody who waits.
func (e *enforcer) finish(ctx context.Context) {
	e.turn(ctx, nil, true)
	for _, n := range e.waiting {
		n.answer(errStopping)
	}
	e.waiting = nil
}

// turn takes what waits in the queue and in the store, enforces it and settles the notices. The
// notices are taken first: what they await is then in the store's changes, or was enforced before.
func (e *enforcer) turn(ctx context.Context, notices []notice, again bool) {
	notices = e.drain(notices)
	protect := e.unsafe != nil && again
	for _, n := range notices {
		protect = protect || n.protect
	}
	if protect {
		e.unsafe = e.fw.Protect(ctx, e.p.guard.Prefixes())
	}
	changes := e.p.store.TakeChanges(changeBatch)
	if again {
		for c := range e.failed {
			changes = append(changes, c)
		}
	}
	e.enforce(ctx, changes)
	e.noteFault()
	e.waiting = append(e.waiting, notices...)
	kept := e.waiting[:0]
	for _, n := range e.waiting {
		if !e.settled(n) {
			kept = append(kept, n)
		}
	}
	clear(e.waiting[len(kept):])
	e.waiting = kept
}

// drain takes what waits, up to a batch.
func (e *enforcer) drain(notices []notice) []notice {
	for len(notices) < changeBatch {
		select {
		case n := <-e.in:
			notices = append(notices, n)
		default:
			return notices
		}
	}
	return notices
}

// enforce makes the kernel agree with the store about the given elements.
func (e *enforcer) enforce(ctx context.Context, changes []state.Change) {
	if len(changes) == 0 {
		return
	}
	wanted := make([]firewall.Change, 0, len(changes))
	for _, c := range changes {
		wanted = append(wanted, e.wanted(c))
	}
	if err := e.send(ctx, wanted); err != nil && len(e.failed) == 0 {
		for _, c := range changes {
			e.failed[c] = err
		}
	}
}

// send gives the changes to the firewall and notes in the store what the kernel holds.
func (e *enforcer) send(ctx context.Context, wanted []firewall.Change) error {
	results, err := e.fw.Apply(ctx, wanted)
	for _, r := range results {
		c := state.Change{Prefix: r.Prefix, Scope: string(r.Scope)}
		if r.Err != nil {
			e.failed[c] = r.Err
		} else {
			delete(e.failed, c)
		}
		if !r.Remove {
			e.p.store.MarkElement(c, r.Enforced)
		}
	}
	return err
}

// wanted says what the kernel must hold of an element.
func (e *enforcer) wanted(c state.Change) firewall.Change {
	for _, el := range e.p.store.Effective(c.Prefix) {
		if el.Scope == c.Scope {
			return set(c.Prefix, el)
		}
	}
	return firewall.Change{Element: firewall.Element{Prefix: c.Prefix, Scope: firewall.Scope(c.Scope)}, Remove: true}
}

func set(prefix netip.Prefix, el state.Effective) firewall.Change {
	verdict := firewall.Drop
	if el.Verdict == firewall.Reject.String() {
		verdict = firewall.Reject
	}
	return firewall.Change{Element: firewall.Element{
		Prefix: prefix, Scope: firewall.Scope(el.Scope), End: el.End, Comment: el.Jail, Verdict: verdict,
	}}
}

// settled reports whether a notice's elements are in the kernel, and then tells whom it concerns.
func (e *enforcer) settled(n notice) bool {
	if n.protect && e.unsafe != nil {
		return false
	}
	for _, c := range n.await {
		if err := e.failed[c]; err != nil {
			return false
		}
	}
	if b := n.ban; b != nil && !n.line.IsZero() {
		took := time.Since(n.line)
		e.p.stats.ToKernel.Observe(took)
		e.log.Info("ban", "jail", b.Jail, "addr", b.Prefix.String(), "source", b.Source, "reason", b.Reason,
			"failures", b.Failures, "bantime", banTime(b), "backend", e.fw.Name(), "took", took.String())
	}
	n.answer(nil)
	return true
}

func (n notice) answer(err error) {
	if n.done != nil {
		n.done <- err
	}
}

func banTime(b *state.Ban) string {
	if b.Permanent() {
		return "permanent"
	}
	return b.End.Sub(b.Start).Round(time.Second).String()
}

// noteFault keeps the degraded state of the firewall.
func (e *enforcer) noteFault() {
	err := e.unsafe
	for _, f := range e.failed {
		err = f
		break
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	switch {
	case err == nil && e.fault != nil:
		e.log.Info("the firewall takes bans again", "after", time.Since(e.fault.Since).Round(time.Millisecond).String())
		e.fault = nil
	case err != nil && e.fault == nil:
		e.fault = &Fault{Name: "enforcer", Cause: err.Error(), Since: time.Now()}
		e.log.Warn("bans are not in the firewall; they are kept and tried again", "backend", e.fw.Name(), "err", err)
	case err != nil:
		e.fault.Cause = err.Error()
	}
}

func (e *enforcer) faults() []Fault {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.fault == nil {
		return nil
	}
	return []Fault{*e.fault}
}
