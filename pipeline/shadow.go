package pipeline

import (
	"context"
	"net/netip"
	"time"

	"stockade/jails/state"
)

// Promote makes the bans that a jail had only reported hold, after the jail began to enforce, and
// lifts those for which spare returns true and those that would hit a protected address. Each keeps
// its end. It returns once the kernel holds them. spare must not call the Store.
func (p *Pipeline) Promote(ctx context.Context, jail string, spare func(*state.Ban) bool) (began, spared int, err error) {
	n := notice{}
	for _, old := range p.store.Bans(jail) {
		if !old.Shadow {
			continue
		}
		_, protected := p.guard.Protects(old.Prefix)
		if protected || spare(old) {
			p.store.Unban(old.Prefix, jail)
			p.log.Info("not promoted", "jail", jail, "addr", old.Prefix.String(), "source", old.Source, "reason", old.Reason)
			spared++
			continue
		}
		b := *old
		b.Shadow = false
		made, changed := p.store.Ban(b)
		if !changed {
			continue
		}
		p.stats.Bans.Add(1)
		p.log.Info("ban", "jail", made.Jail, "addr", made.Prefix.String(), "source", made.Source,
			"reason", made.Reason, "failures", made.Failures, "bantime", banTime(made), "held", "by enforce: false")
		p.enforcer.beginHeld(made)
		n.await = append(n.await, state.Change{Prefix: made.Prefix, Scope: made.Scope})
		began++
	}
	if began == 0 {
		return 0, spared, nil
	}
	return began, spared, p.enforce(ctx, n)
}

// Last returns the newest login of an address in the prefix during the last seven days.
func (s *Successes) Last(prefix netip.Prefix) (at time.Time, ok bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if prefix.IsSingleIP() {
		at, ok = s.last[prefix.Addr()]
	} else {
		for a, t := range s.last {
			if prefix.Contains(a) && t.After(at) {
				at, ok = t, true
			}
		}
	}
	if !ok || s.now().Sub(at) > successKept {
		return time.Time{}, false
	}
	return at, true
}
