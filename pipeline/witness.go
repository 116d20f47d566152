package pipeline

import (
	"context"
	"net/netip"

	"stockade/jails"
	"stockade/jails/state"
)

// Witness is a firewall that knows which addresses completed a TCP handshake lately.
type Witness interface {
	Witnessed(ctx context.Context, addrs []netip.Addr) ([]bool, error)
}

const (
	suspectQueue = 4096 // failures that wait for a witness at most; more are counted and given up
	suspectBatch = 256
)

// suspect is a failure whose event does not prove its address: one spoofed packet makes an honest
// daemon name any victim. It counts only when the kernel saw the address complete a handshake.
type suspect struct {
	jail     *jails.Jail
	failure  state.Failure
	counting counting
}

// witnesses asks the kernel about suspects, many at a time.
type witnesses struct {
	p    *Pipeline
	fw   Witness // nil: nobody knows, so no suspect counts
	in   chan suspect
	ask  []netip.Addr
	hold []suspect
}

func newWitnesses(p *Pipeline, fw Firewall) *witnesses {
	w := &witnesses{p: p, in: make(chan suspect, suspectQueue)}
	w.fw, _ = fw.(Witness)
	return w
}

// consider queues a suspect. It never waits.
func (w *witnesses) consider(s suspect) {
	if w.fw != nil {
		select {
		case w.in <- s:
			return
		default:
		}
	}
	w.p.stats.Unproven.Add(1)
}

// run counts suspects that have a witness, until ctx is done and the queue is empty.
func (w *witnesses) run(ctx context.Context) {
	for {
		select {
		case s := <-w.in:
			w.judge(ctx, s)
		case <-ctx.Done():
			last := context.WithoutCancel(ctx)
			for len(w.in) > 0 {
				w.judge(last, <-w.in)
			}
			return
		}
	}
}

func (w *witnesses) judge(ctx context.Context, first suspect) {
	w.hold = append(w.hold[:0], first)
	for len(w.hold) < suspectBatch && len(w.in) > 0 {
		w.hold = append(w.hold, <-w.in)
	}
	w.ask = w.ask[:0]
	for _, s := range w.hold {
		w.ask = append(w.ask, s.failure.Addr)
	}
	seen, err := w.fw.Witnessed(ctx, w.ask)
	if err != nil {
		w.p.log.Warn("no witness can be asked: failures that prove no address do not count", "err", err)
		w.p.stats.Unproven.Add(int64(len(w.hold)))
		return
	}
	for i, s := range w.hold {
		if !seen[i] {
			w.p.stats.Unproven.Add(1)
			continue
		}
		s.counting.proven = true
		w.p.count(s.jail, s.failure, s.counting)
	}
}
