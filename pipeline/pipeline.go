// Package pipeline carries a line from the receiver to the kernel.
//
//	reader ─► Feed: admit, route, copy ─► worker: match, judge, count ─► enforcer: batch, read back
//
// A Feed belongs to one reader. It drops what no jail listens to before copying a byte, and sorts
// the rest into batches, one per worker: lines that a stateful filter may join by id go to the
// worker of (source, claimed host, app family), others to any. A worker matches, judges and counts;
// counting is sharded by address inside the store. New bans go to the one goroutine that owns the
// firewall.
//
// Queues: each worker has room for 6 batches of at most 256 lines of lossless Feeds, which wait when
// it is full, so that the sender waits, and for 256 of lossy ones, which then drop the batch and count
// its lines. The enforcer's queue holds 16,384 notices; a worker waits when it is full.
//
// All exported methods may be called concurrently.
package pipeline

import (
	"cmp"
	"context"
	"errors"
	"log/slog"
	"runtime"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"stockade/jails"
	"stockade/jails/state"
	"stockade/receiver"
)

// Options are what a Pipeline is made of.
type Options struct {
	Plan  *Plan
	Guard *Guard
	Store *state.Store // opened with Admission.Admit
	Admission
	Enforcer Firewall
	Log      *slog.Logger

	Event      func(Event)     // told of each ban and unban, in order, off the way of a line; it must not block; nil: nobody
	Canary     func(Canary)    // told of each line that was sent to prove its way; it must not block; nil: such lines count
	Causes     func() []string // why bans may not work on this host, a sentence each; nil: unknown
	Dir        string          // where the clocks of the sources and the logins are kept; "": nowhere
	Ahead      string          // the path, but for its end, of two files in memory that name what the kernel holds and the disk may not; "": none
	IPv6Prefix int             // bits of the prefix that an IPv6 address is counted as; 0: 64
	Workers    int             // 0: one per processor
}

// Pipeline matches, judges, counts and enforces.
type Pipeline struct {
	plan    atomic.Pointer[Plan]
	ignored atomic.Pointer[map[string]*jails.AddrSet] // by jail; see Ignore
	guard   *Guard
	store   *state.Store
	quotas  *Quotas

	successes *Successes
	canary    func(Canary)
	witnesses *witnesses
	leaks     *leaks
	widener   *widener

	log      *slog.Logger
	v6bits   int
	workers  []*worker
	enforcer *enforcer
	stats    Stats
	ready    chan struct{}
	stopped  chan struct{} // closed when no worker takes batches any more
	feeds    atomic.Uint32

	dir       string
	histories histories
}

// New builds a pipeline that does nothing until Run.
func New(o Options) *Pipeline {
	n := o.Workers
	if n == 0 {
		n = runtime.GOMAXPROCS(0)
	}
	p := &Pipeline{
		guard:  o.Guard,
		store:  o.Store,
		quotas: o.Quotas,

		successes: o.Successes,
		canary:    o.Canary,

		dir:     o.Dir,
		v6bits:  cmp.Or(o.IPv6Prefix, 64),
		log:     o.Log.With("component", "pipeline"),
		ready:   make(chan struct{}),
		stopped: make(chan struct{}),
	}
	p.plan.Store(o.Plan)
	p.enforcer = newEnforcer(p, o.Enforcer, o.Event, o.Log.With("component", "firewall"))
	p.enforcer.aheadPath = o.Ahead
	p.witnesses = newWitnesses(p, o.Enforcer)
	p.leaks = newLeaks(p, o.Enforcer, o.Causes)
	p.widener = newWidener(p)
	for range n {
		p.workers = append(p.workers, newWorker(p))
	}
	return p
}

// String names the task in errors and status.
func (p *Pipeline) String() string { return "pipeline" }

// Ready is closed when the kernel holds the store's bans and lines can be taken.
func (p *Pipeline) Ready() <-chan struct{} { return p.ready }

// Swap puts a new plan in place: lines read from now on are judged by it. Windows and bans stay.
func (p *Pipeline) Swap(plan *Plan) { p.plan.Store(plan) }

// Plan returns the plan in force.
func (p *Pipeline) Plan() *Plan { return p.plan.Load() }

// Run makes the kernel equal to the store, then works until ctx is done. The feeds must be silent
// by then: Run empties the queues, enforces what they hold and returns.
func (p *Pipeline) Run(ctx context.Context) error {
	defer p.enforcer.openAhead()()
	if err := p.enforcer.restore(ctx); err != nil {
		return err
	}
	if p.dir != "" {
		if err := p.histories.load(p.dir); err != nil {
			p.log.Warn("the clocks of the sources are learned anew", "err", err)
		}
		if err := p.successes.load(p.dir); err != nil {
			p.log.Warn("who logged in before this start is forgotten", "err", err)
		}
	}
	drained, cancel := context.WithCancel(context.WithoutCancel(ctx))
	defer cancel()

	var enforcing, working sync.WaitGroup
	acking, stopAcks := context.WithCancel(context.WithoutCancel(ctx))
	defer stopAcks()
	var acknowledging sync.WaitGroup
	acknowledging.Go(func() { p.enforcer.acks.run(acking) })
	enforcing.Go(func() { p.enforcer.run(drained) })
	enforcing.Go(func() { p.keepHouse(drained) })
	enforcing.Go(func() { p.leaks.run(drained) })
	for _, w := range p.workers {
		working.Go(func() { w.run(ctx) })
	}
	close(p.ready)
	var witnessing sync.WaitGroup
	witnessing.Go(func() { p.witnesses.run(drained) })
	working.Wait()
	close(p.stopped)
	cancel()
	witnessing.Wait()
	enforcing.Wait()
	stopAcks()
	acknowledging.Wait()
	p.saveHistories()
	p.saveLogins(0)
	return nil
}

// saveHistories keeps the clocks of the sources for the next start.
func (p *Pipeline) saveHistories() {
	if p.dir == "" {
		return
	}
	if err := p.histories.save(p.dir); err != nil {
		p.log.Warn("the clocks of the sources are learned anew after a restart", "err", err)
	}
}

// errStopping is what a change gets when the pipeline stops before it could be enforced.
var errStopping = errors.New("stockade is stopping")

// Open returns the sink of one reader; see receiver.Opener.
func (p *Pipeline) Open(lossy bool) receiver.Sink {
	return &Feed{
		p: p, lossy: lossy, turn: p.feeds.Add(1),
		batches: make([]*batch, len(p.workers)), writers: receiver.NewWriters(),
	}
}

// Stats returns the counters.
func (p *Pipeline) Stats() *Stats { return &p.stats }

// QueueDepth returns how many batches and notices wait.
func (p *Pipeline) QueueDepth() (batches, notices int) {
	for _, w := range p.workers {
		batches += len(w.in) + len(w.lossy)
	}
	return batches, len(p.enforcer.in)
}

// Faults returns what keeps bans from being real, with the time since when; empty when nothing.
func (p *Pipeline) Faults() []Fault {
	if err := p.store.Trouble(); err != nil {
		p.enforcer.setFault("state", "the state on disk falls behind: "+err.Error())
	} else {
		p.enforcer.clearFault("state")
	}
	return slices.Concat(p.enforcer.allFaults(), p.quotas.faults(), p.histories.faults(time.Now()))
}

// Fault is one reason why bans are not real.
type Fault struct {
	Name  string
	Cause string
	Since time.Time
}
