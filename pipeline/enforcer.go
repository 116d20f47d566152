package pipeline

import (
	"context"
	"log/slog"
	"maps"
	"net/netip"
	"slices"
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

// Firewall is a backend that can also be made equal to the store.
type Firewall interface {
	firewall.Enforcer
	firewall.Reconciler
}

// notice is what somebody wants to be told, or done, once the kernel agrees with the store.
type notice struct {
	ban      *state.Ban     // that began; it is logged and told
	line     time.Time      // when its deciding line arrived; zero for a ban that is logged already
	lifted   []*state.Ban   // that were lifted by hand
	await    []state.Change // what must be in the kernel before the notice is settled
	protect  bool           // the guard changed
	reassert bool           // somebody else changed the kernel
	done     chan error     // capacity 1; nil when nobody waits
	after    uint64         // how many of the store's changes must have been taken before
}

// enforcer owns the firewall: one goroutine makes every call to it. What the kernel must hold
// comes from the store; notices only say who waits for it.
type enforcer struct {
	p   *Pipeline
	fw  Firewall
	log *slog.Logger
	in  chan notice // noticeQueue deep; senders wait when it is full

	failed  map[state.Change]error // not in the kernel yet; tried again
	waiting []notice               // some of what they await is in failed
	unsafe  error                  // why the never-ban list is not in the kernel
	audit   audit
	again   reassertion
	acks    acks

	searchLimit int           // see the constant
	quiet       time.Duration // auditAgain
	repaired    time.Time     // when elements were last set again; zero: never

	aheadPath string // "": none
	ahead     *ahead
	noting    []state.Change // memory for what is noted there
	unnoted   bool           // something was not, and that was said

	mu     sync.Mutex
	faults map[string]Fault
}

func newEnforcer(p *Pipeline, fw Firewall, event func(Event), log *slog.Logger) *enforcer {
	return &enforcer{
		p: p, fw: fw, log: log,
		in:     make(chan notice, noticeQueue),
		failed: make(map[state.Change]error),
		acks:   newAcks(p.store, event),
		faults: make(map[string]Fault),
		again:  reassertion{done: make(chan reasserted, 1)},

		searchLimit: searchLimit,
		quiet:       auditAgain,
	}
}

// begin announces a ban that a line caused. The store already holds it.
func (e *enforcer) begin(b *state.Ban, line time.Time) {
	e.in <- notice{ban: b, line: line, await: []state.Change{{Prefix: b.Prefix, Scope: b.Scope}}}
}

// beginHeld announces a ban that was held and is logged. The store already holds it, so that it is
// enforced also where a stop comes before the announcement.
func (e *enforcer) beginHeld(b *state.Ban) {
	select {
	case e.in <- notice{ban: b, await: []state.Change{{Prefix: b.Prefix, Scope: b.Scope}}}:
	case <-e.p.stopped:
	}
}

// lift announces a ban that was lifted because of a line. The store already lacks it.
func (e *enforcer) lift(b *state.Ban) {
	e.in <- notice{lifted: []*state.Ban{b}, await: []state.Change{{Prefix: b.Prefix, Scope: b.Scope}}}
}

// run enforces until ctx is done, then enforces what waits and returns.
func (e *enforcer) run(ctx context.Context) {
	retry := time.NewTimer(time.Hour)
	defer retry.Stop()
	pace := time.NewTimer(auditEvery)
	defer pace.Stop()
	wait := firstRetry
	var notices []notice
	for {
		notices = notices[:0]
		again := false
		var more <-chan struct{}
		if e.again.waits() {
			more = ready
		}
		select {
		case <-more:
		case r := <-e.again.done:
			e.reasserted(r)
			if r.report.Set > 0 && len(e.audit.rest) == 0 {
				pace.Reset(e.quiet)
			}
		case n := <-e.in:
			notices = append(notices, n)
		case <-e.p.store.Changed():
		case <-retry.C:
			again = true
		case <-pace.C:
			if e.again.running {
				pace.Reset(auditPause) // it looks at every ban itself
				continue
			}
			pace.Reset(e.auditSome(ctx))
		case <-ctx.Done():
			e.finish(context.WithoutCancel(ctx))
			return
		}
		before := len(e.failed)
		e.turn(ctx, notices, again)
		switch {
		case len(e.failed) == 0 && e.unsafe == nil && !e.again.lost:
			wait = firstRetry
			retry.Stop()
		case again && len(e.failed) < before: // the rest is tried at once
			wait = firstRetry
			retry.Reset(0)
		case again || wait == firstRetry:
			retry.Reset(wait)
			wait = min(2*wait, longestRetry)
		}
	}
}

// ready is a channel that never waits.
var ready = func() <-chan struct{} {
	c := make(chan struct{})
	close(c)
	return c
}()

// finish makes a last attempt and answers everybody who waits.
func (e *enforcer) finish(ctx context.Context) {
	e.abandon()
	e.turn(ctx, nil, true)
	for added, taken := e.p.store.ChangeCounts(); taken < added || e.again.waits(); _, taken = e.p.store.ChangeCounts() {
		e.turn(ctx, nil, false)
	}
	for _, n := range e.waiting {
		n.answer(errStopping)
	}
	e.waiting = nil
}

// turn takes what waits in the queue and in the store, enforces it and settles the notices. The
// notices are taken first: what they await is then among the store's changes, or was enforced before.
// Those changes may be more than one turn takes.
func (e *enforcer) turn(ctx context.Context, notices []notice, again bool) {
	notices = e.drain(notices)
	added, _ := e.p.store.ChangeCounts()
	for i := range notices {
		if len(notices[i].await) > 0 {
			notices[i].after = added
		}
	}
	protect := e.unsafe != nil && again
	for _, n := range notices {
		protect = protect || n.protect || n.reassert
		e.again.asked = e.again.asked || n.reassert
	}
	if protect {
		e.unsafe = e.fw.Protect(ctx, e.p.guard.Prefixes())
	}
	begin := e.prepareReassert(again)
	changes := e.again.next(e.p.store.TakeChanges)
	if again {
		for c := range e.failed {
			if len(changes) >= 2*changeBatch {
				break // the next retry takes others
			}
			changes = append(changes, c)
		}
	}
	e.enforce(ctx, changes)
	begin(ctx)
	e.noteFirewall()
	e.waiting = append(e.waiting, notices...)
	kept := e.waiting[:0]
	_, taken := e.p.store.ChangeCounts()
	taken -= uint64(len(e.again.taken))
	for _, n := range e.waiting {
		if n.after > taken || !e.settled(n) {
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
	e.noting = e.noting[:0]
	for _, c := range changes {
		w := e.wanted(c)
		wanted = append(wanted, w)
		if !w.Remove && e.failed[c] == nil { // what failed was noted before
			e.noting = append(e.noting, c)
		}
	}
	e.ahead.note(e.noting)
	e.again.changed(changes)
	e.send(ctx, wanted)
}

// send gives the changes to the firewall, and notes what it holds and what is to be tried again.
func (e *enforcer) send(ctx context.Context, wanted []firewall.Change) {
	results, err := e.fw.Apply(ctx, wanted)
	for _, r := range results {
		c := state.Change{Prefix: r.Prefix, Scope: string(r.Scope)}
		switch {
		case r.Err != nil:
			e.failed[c] = r.Err
		case err != nil && !r.Enforced:
			e.failed[c] = err
		default:
			delete(e.failed, c)
		}
		if !r.Remove {
			e.acks.mark(c, r.Enforced)
		}
	}
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
	if n.protect && e.unsafe != nil || n.reassert && e.again.pending() {
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
	if n.ban != nil {
		e.tell(n.ban, false)
	}
	for _, b := range n.lifted {
		e.tell(b, true)
	}
	if len(n.await) == 0 {
		n.answer(nil) // nothing that the disk must hold
	} else {
		e.acks.answer(n.done)
	}
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

// noteFirewall keeps the degraded state of the firewall.
func (e *enforcer) noteFirewall() {
	e.noteAhead()
	err := e.unsafe
	for _, f := range e.failed {
		err = f
		break
	}
	if err == nil {
		if since, was := e.clearFault("enforcer"); was {
			e.log.Info("the firewall takes bans again", "after", time.Since(since).Round(time.Millisecond).String())
		}
		return
	}
	if e.setFault("enforcer", err.Error()) {
		e.log.Warn("bans are not in the firewall; they are kept and tried again", "backend", e.fw.Name(), "err", err)
	}
}

// setFault turns a fault on and reports whether it was off.
func (e *enforcer) setFault(name, cause string) bool {
	e.mu.Lock()
	defer e.mu.Unlock()
	f, was := e.faults[name]
	if !was {
		f = Fault{Name: name, Since: time.Now()}
	}
	f.Cause = cause
	e.faults[name] = f
	return !was
}

// clearFault turns a fault off and reports whether it was on, and since when.
func (e *enforcer) clearFault(name string) (since time.Time, was bool) {
	e.mu.Lock()
	defer e.mu.Unlock()
	f, was := e.faults[name]
	delete(e.faults, name)
	return f.Since, was
}

func (e *enforcer) allFaults() []Fault {
	e.mu.Lock()
	defer e.mu.Unlock()
	return slices.Collect(maps.Values(e.faults))
}
