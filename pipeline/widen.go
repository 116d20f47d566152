package pipeline

import (
	"fmt"
	"net/netip"
	"slices"
	"sync"
	"time"

	"stockade/jails"
	"stockade/jails/filter"
	"stockade/jails/state"
)

// maxGroups bounds the networks whose banned addresses are remembered. One more takes the place of
// any other.
const maxGroups = 4096

// widener bans the network around several banned addresses, where a jail asks for that: for an hour
// at most, on the service's ports, if each of the addresses proved itself by a handshake, and never
// over what is protected, ignored or logged in lately. The bans of the addresses stay, so the end of
// the wider one leaves them. Who is a member of a network that it does not remember, after a restart
// above all, it learns from the bans and their evidence.
type widener struct {
	p *Pipeline

	mu     sync.Mutex
	groups map[group]map[netip.Prefix]time.Time // the ends of the members' bans; zero: never
}

// group is a network in a jail.
type group struct {
	jail    string
	network netip.Prefix
}

func newWidener(p *Pipeline) *widener {
	return &widener{p: p, groups: make(map[group]map[netip.Prefix]time.Time)}
}

// consider takes note of a ban that began, and bans its network when it was the last member missing.
func (w *widener) consider(jail *jails.Jail, b *state.Ban, f state.Failure, c counting) {
	if jail.Widen == nil || !c.proven {
		return
	}
	network, ok := jail.Widen.Around(b.Prefix)
	if !ok {
		return
	}
	g := group{jail.Name, network}
	members := w.join(g, b, jail.Widen.Members)
	if len(members) < jail.Widen.Members {
		return
	}
	standing := 0
	for _, m := range members {
		if slices.ContainsFunc(w.p.store.Effective(m), func(e state.Effective) bool { return slices.Contains(e.Jails, jail.Name) }) {
			standing++
		} else {
			w.leave(g, m)
		}
	}
	if standing < jail.Widen.Members {
		return
	}
	why := w.p.harms(jail, network)
	if why == "" && w.p.successes.inside(network, netip.Addr{}) {
		why = "a login of one of its addresses"
	}
	if why != "" {
		w.p.log.Info("not widened", "jail", jail.Name, "network", network.String(), "why", why)
		return
	}
	w.ban(jail, network, standing, b, f, c)
}

// join adds a member and returns all whose bans last, no more than it takes to decide.
func (w *widener) join(g group, b *state.Ban, most int) []netip.Prefix {
	w.mu.Lock()
	defer w.mu.Unlock()
	members := w.groups[g]
	if members == nil {
		if len(w.groups) >= maxGroups {
			for other := range w.groups {
				delete(w.groups, other)
				break
			}
		}
		members = w.earlier(g)
		w.groups[g] = members
	}
	for m, end := range members {
		if !end.IsZero() && !end.After(b.Start) {
			delete(members, m)
		}
	}
	for m := range members {
		if len(members) < most {
			break
		}
		delete(members, m) // the network was spared: the newest ones are enough for the next try
	}
	members[b.Prefix] = b.End
	out := make([]netip.Prefix, 0, len(members))
	for m := range members {
		out = append(out, m)
	}
	return out
}

// earlier are members by the bans that the store holds: those that a pattern with a handshake and a
// source that is no liar's made. A witness is not remembered.
func (w *widener) earlier(g group) map[netip.Prefix]time.Time {
	members := make(map[netip.Prefix]time.Time)
	var proofs []filter.PatternInfo
	for _, bound := range w.p.Plan().bound {
		if bound.Jail.Name == g.jail && bound.Filter.Name() != recidiveFilter { // whose evidence is of other filters
			proofs = bound.Filter.Patterns()
		}
	}
	w.p.store.BansWithin(g.network, g.jail, func(b *state.Ban) bool {
		if b.Source == SourceOperator || len(b.Evidence) == 0 || b.Prefix == g.network || b.Shadow {
			return true
		}
		last := b.Evidence[len(b.Evidence)-1]
		trust, err := jails.ParseTrust(last.Trust)
		if err == nil && trust >= jails.TrustAddress && last.Pattern >= 0 && last.Pattern < len(proofs) && proofs[last.Pattern].Proof == filter.ProofHandshake {
			members[b.Prefix] = b.End
		}
		return len(members) < jails.MaxMembers
	})
	return members
}

func (w *widener) leave(g group, m netip.Prefix) {
	w.mu.Lock()
	defer w.mu.Unlock()
	delete(w.groups[g], m)
}

// ban bans the network for as long as its last member, an hour at most.
func (w *widener) ban(jail *jails.Jail, network netip.Prefix, members int, last *state.Ban, f state.Failure, c counting) {
	wide := *last
	wide.Prefix, wide.Reason = network, fmt.Sprintf("%d addresses of it are banned", members)
	if most := wide.Start.Add(jails.MaxWideBan); wide.End.IsZero() || wide.End.After(most) {
		wide.End = most
	}
	if !w.p.quotas.Admit(jail, f, &wide) {
		return
	}
	made, changed := w.p.store.Ban(wide)
	if !changed {
		return
	}
	w.p.stats.Widened.Add(1)
	w.p.stats.Bans.Add(1)
	c.source.Bans.Add(1)
	w.p.enforcer.begin(made, c.line)
}

// stands reports whether the network around the address is banned in the jail, by other hands than
// the operator's.
func (w *widener) stands(network netip.Prefix, jail string, addr netip.Addr) bool {
	if len(w.p.store.Effective(network)) == 0 {
		return false
	}
	return slices.ContainsFunc(w.p.store.BansOf(addr), func(b *state.Ban) bool {
		return b.Prefix == network && b.Jail == jail && b.Source != SourceOperator
	})
}

// spare lifts the wider bans around an address that logged in.
func (w *widener) spare(addr netip.Addr) {
	for _, bound := range w.p.Plan().bound {
		if bound.Jail.Widen == nil {
			continue
		}
		network, ok := bound.Jail.Widen.Around(jails.CountKey(addr, w.p.v6bits))
		if !ok {
			continue
		}
		if !w.stands(network, bound.Jail.Name, addr) {
			continue
		}
		for _, b := range w.p.store.Unban(network, bound.Jail.Name) {
			w.p.log.Info("unban", "jail", b.Jail, "addr", b.Prefix.String(), "source", b.Source, "reason", "an address of it logged in")
			w.p.enforcer.lift(b)
		}
	}
}
