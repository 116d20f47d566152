package pipeline

import (
	"context"
	"fmt"
	"net/netip"
	"strings"
	"sync"
	"time"

	"stockade/firewall"
	"stockade/jails"
	"stockade/jails/state"
)

const (
	leakGrace  = 5 * time.Second  // after a ban was enforced, until a failure means that it does not work
	leakEvery  = time.Second      // at most one look a jail
	leakMemory = 10 * time.Minute // without a leak, until the jail is called effective again
	leakQueue  = 64               // looks that wait at most; more are left out
)

// leaks finds bans that do not work: an address that goes on failing although the kernel holds its
// ban reaches the service past our chains, or on ports that the jail leaves open.
type leaks struct {
	p      *Pipeline
	meter  firewall.Meter // nil: nothing counts packets
	causes func() []string
	in     chan leak

	mu   sync.Mutex
	last map[string]time.Time // by jail: the last look
	seen map[string]time.Time // by jail: the last leak
}

type leak struct {
	jail   *jails.Jail
	prefix netip.Prefix
	at     time.Time
}

func newLeaks(p *Pipeline, fw Firewall, causes func() []string) *leaks {
	l := &leaks{p: p, causes: causes, in: make(chan leak, leakQueue), last: make(map[string]time.Time), seen: make(map[string]time.Time)}
	l.meter, _ = fw.(firewall.Meter)
	return l
}

// consider notes a failure, at the given time, of a prefix that is banned. It never waits.
func (l *leaks) consider(jail *jails.Jail, prefix netip.Prefix, at time.Time) {
	if l.meter == nil {
		return
	}
	l.mu.Lock()
	due := at.Sub(l.last[jail.Name]) >= leakEvery
	if due {
		l.last[jail.Name] = at
	}
	l.mu.Unlock()
	if !due {
		return
	}
	select {
	case l.in <- leak{jail, prefix, at}:
	default:
	}
}

// run looks at what was noted until ctx is done.
func (l *leaks) run(ctx context.Context) {
	tick := time.NewTicker(time.Minute)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case x := <-l.in:
			l.look(ctx, x)
		case now := <-tick.C:
			l.forget(now)
		}
	}
}

func (l *leaks) look(ctx context.Context, x leak) {
	b := l.ban(x)
	if b == nil {
		return
	}
	usage, err := l.meter.Usage(ctx, []firewall.Element{{Prefix: b.Prefix, Scope: firewall.Scope(b.Scope)}})
	if err != nil || !usage[0].Present {
		return // the audit finds and reports that
	}
	l.mu.Lock()
	l.seen[x.jail.Name] = x.at
	l.mu.Unlock()
	cause := fmt.Sprintf("jail %s: %s goes on failing %s after its ban began: ", x.jail.Name, b.Prefix, x.at.Sub(b.Start).Round(time.Second))
	switch {
	case usage[0].Counters.Packets > 0:
		cause += fmt.Sprintf("%d of its packets were stopped, so it comes by another port or protocol than the jail's (%s)", usage[0].Counters.Packets, scopeText(b.Scope))
	default:
		cause += "none of its packets reach our chains: it comes by a bridge, a proxy, another host or another path"
		if l.causes != nil {
			cause = strings.Join(append([]string{cause}, l.causes()...), "; ")
		}
	}
	if l.p.enforcer.setFault("ineffective:"+x.jail.Name, cause) {
		l.p.log.Warn("a ban does not work", "jail", x.jail.Name, "cause", cause)
	}
}

// ban returns the ban that the failure leaked through, nil when there is none that long enforced.
func (l *leaks) ban(x leak) *state.Ban {
	for _, b := range l.p.store.BansOf(x.prefix.Addr()) {
		if b.Jail == x.jail.Name && b.Enforced && x.at.Sub(b.Start) > leakGrace {
			return b
		}
	}
	return nil
}

// forget calls jails effective again that had no leak for a while.
func (l *leaks) forget(now time.Time) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for jail, at := range l.seen {
		if now.Sub(at) >= leakMemory {
			delete(l.seen, jail)
			l.p.enforcer.clearFault("ineffective:" + jail)
		}
	}
}

func scopeText(scope string) string {
	if scope == "" {
		return "all"
	}
	return scope
}
