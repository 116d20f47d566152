package pipeline

import (
	"context"
	"fmt"
	"time"

	"stockade/jails/state"
)

// Ban begins or changes a ban by hand and returns once the kernel confirmed it. changed is false
// when the prefix was already banned in that jail just so.
func (p *Pipeline) Ban(ctx context.Context, b state.Ban) (made *state.Ban, changed bool, err error) {
	made, changed = p.store.Ban(b)
	if !changed {
		return made, false, nil
	}
	p.log.Info("ban", "jail", made.Jail, "addr", made.Prefix.String(), "source", made.Source,
		"reason", made.Reason, "bantime", banTime(made))
	return made, true, p.enforce(ctx, notice{ban: made, await: []state.Change{{Prefix: made.Prefix, Scope: made.Scope}}})
}

// Unban lifts the bans for which lift returns true, and returns them once the kernel let them in.
func (p *Pipeline) Unban(ctx context.Context, lift func(*state.Ban) bool) ([]*state.Ban, error) {
	p.quotas.forget(lift)
	lifted := p.store.UnbanWhere(lift)
	if len(lifted) == 0 {
		return nil, nil
	}
	n := notice{lifted: lifted}
	for _, b := range lifted {
		n.await = append(n.await, state.Change{Prefix: b.Prefix, Scope: b.Scope})
		p.log.Info("unban", "jail", b.Jail, "addr", b.Prefix.String(), "source", b.Source, "reason", b.Reason)
	}
	return lifted, p.enforce(ctx, n)
}

// Protect replaces one layer of the guard, in the kernel too, and lifts bans that now hit a
// protected address.
func (p *Pipeline) Protect(ctx context.Context, l Layer, list []Protected) error {
	p.guard.Set(l, list)
	if err := p.enforce(ctx, notice{protect: true}); err != nil {
		return err
	}
	_, err := p.Unban(ctx, func(b *state.Ban) bool {
		_, protected := p.guard.Protects(b.Prefix)
		return protected
	})
	return err
}

// Approve begins the bans that wait for a source's quota, ends its quarantine, and returns how many
// bans began once the kernel holds them.
func (p *Pipeline) Approve(ctx context.Context, source string) (int, error) {
	began := p.beginHeld(p.quotas.approve(source))
	if len(began.await) == 0 {
		return 0, nil
	}
	return len(began.await), p.enforce(ctx, began)
}

// keepHouse begins bans that waited for a quota as the quota allows, and saves the clocks of the
// sources, until ctx is done.
func (p *Pipeline) keepHouse(ctx context.Context) {
	tick := time.NewTimer(state.UntilNext(houseEvery))
	defer tick.Stop()
	save := time.NewTicker(saveEvery)
	defer save.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
			tick.Reset(state.UntilNext(p.quotas.pace()))
			p.beginHeld(p.quotas.release())
			p.beginWitnessed(ctx)
			if p.histories.unsaved() {
				p.saveHistories()
			}
			p.saveLogins(loginsWait)
		case <-p.quotas.waits:
			tick.Reset(state.UntilNext(p.quotas.pace()))
		case <-save.C:
			p.saveHistories()
		}
	}
}

const (
	houseEvery   = time.Second            // how often it is seen what is to be saved
	releaseEvery = 500 * time.Millisecond // the same while bans are held, which are looked at, too
	saveEvery    = 5 * time.Minute        // how often the clocks of the sources are saved
)

// beginWitnessed begins those held bans whose addresses the kernel saw complete a handshake: a liar
// cannot invent them.
func (p *Pipeline) beginWitnessed(ctx context.Context) {
	if p.witnesses.fw == nil {
		return
	}
	keys, addrs := p.quotas.unseen()
	if len(keys) == 0 {
		return
	}
	seen, err := p.witnesses.fw.Witnessed(ctx, addrs)
	if err != nil {
		return // the bans wait for the quota; who asks for witnesses of failures says why
	}
	var begin []heldKey
	for i, k := range keys {
		if seen[i] {
			begin = append(begin, k)
		}
	}
	p.beginHeld(p.quotas.take(begin))
}

// beginHeld begins bans that were held, with their time starting now. The notice awaits them.
func (p *Pipeline) beginHeld(held []*state.Ban) (n notice) {
	now := time.Now()
	for _, h := range held {
		b := *h
		if !b.End.IsZero() {
			b.End = now.Add(b.End.Sub(b.Start))
		}
		b.Start = now
		if jail := p.Plan().Jail(b.Jail); jail != nil && p.harms(jail, b.Prefix) != "" {
			continue
		}
		made, changed := p.store.Ban(b)
		if !changed {
			continue
		}
		p.stats.Bans.Add(1)
		p.log.Info("ban", "jail", made.Jail, "addr", made.Prefix.String(), "source", made.Source,
			"reason", made.Reason, "failures", made.Failures, "bantime", banTime(made), "held", "by the source's quota")
		p.enforcer.beginHeld(made)
		n.await = append(n.await, state.Change{Prefix: made.Prefix, Scope: made.Scope})
	}
	return n
}

// Reassert makes the kernel hold every ban and the never-ban list again, after somebody else changed
// it, and returns once it does.
func (p *Pipeline) Reassert(ctx context.Context) error {
	return p.enforce(ctx, notice{reassert: true})
}

// Ping returns nil once every worker and the goroutine that owns the firewall have answered: none
// of them is stuck.
func (p *Pipeline) Ping(ctx context.Context) error {
	pong := make(chan struct{}, len(p.workers))
	for _, w := range p.workers {
		select {
		case w.in <- &batch{pong: pong}:
		case <-ctx.Done():
			return fmt.Errorf("a worker takes no lines: %w", ctx.Err())
		case <-p.stopped:
			return errStopping
		}
	}
	for range p.workers {
		select {
		case <-pong:
		case <-ctx.Done():
			return fmt.Errorf("a worker does not answer: %w", ctx.Err())
		}
	}
	if err := p.enforce(ctx, notice{}); err != nil {
		return fmt.Errorf("the firewall's goroutine does not answer: %w", err)
	}
	return nil
}

// enforce queues a notice and waits until it is settled.
func (p *Pipeline) enforce(ctx context.Context, n notice) error {
	n.done = make(chan error, 1)
	select {
	case p.enforcer.in <- n:
	case <-ctx.Done():
		return ctx.Err()
	case <-p.stopped:
		return errStopping
	}
	select {
	case err := <-n.done:
		return err
	case <-ctx.Done():
		return ctx.Err()
	}
}
