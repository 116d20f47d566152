package pipeline

import (
	"net/netip"
	"slices"
	"strconv"

	"stockade/jails"
	"stockade/jails/filter"
	"stockade/jails/state"
	"stockade/receiver"
)

const maxRaw = 1024 // bytes of a line kept as evidence

// A subnet that a line names is banned at most this wide; wider, only the address is counted.
const (
	widest4 = 24
	widest6 = 48
)

// judge decides whether a match counts, counts it, and begins the ban when it was the last straw.
func (w *worker) judge(b *batch, it *item, m *filter.Match) {
	p := w.p
	bound := &w.plan.bound[m.Filter]
	jail := bound.Jail
	if m.Kind != filter.Failure {
		return
	}
	reason := distrust(jail, bound.Filter, it, m.Filter)
	if reason == "" && !p.quotas.believed(it.source.Name) {
		reason = refusedQuarantine
	}
	if reason != "" {
		p.stats.Distrust.Add(1)
		it.source.Refused.Add(reason, it.received, b.text(it.raw))
		return
	}
	addr := m.Addr.Unmap().WithZone("")
	if !addr.IsValid() {
		return // an id that is no address: nothing a firewall could drop
	}
	if jail.Ignored(addr) {
		p.stats.Protected.Add(1)
		return
	}
	prefix, protected := p.counted(jail, addr, m.Bits)
	if protected {
		p.stats.Protected.Add(1)
		return
	}
	p.stats.Failures.Add(1)
	it.source.Failures.Add(1)
	attempts := max(m.Attempts, 1) * it.repeat
	if p.store.FailBanned(jail, prefix, attempts) {
		return
	}
	outcome := p.store.Fail(jail, state.Failure{
		Jail:     jail.Name,
		Prefix:   prefix,
		Addr:     addr,
		Time:     it.at,
		Received: it.received,
		Attempts: attempts,
		Evidence: w.evidence(b, it, m),
	})
	if held := outcome.Held; held != nil && !p.quotas.hold(held) {
		it.source.Refused.Add(refusedHeldFull, it.received, b.text(it.raw))
	}
	if outcome.Ban == nil {
		return
	}
	if outcome.Ban.Shadow {
		p.stats.Shadowed.Add(1)
		p.log.Info("would ban", "jail", jail.Name, "addr", prefix.String(), "source", it.source.Name, "reason", outcome.Ban.Reason)
		return
	}
	p.stats.Bans.Add(1)
	it.source.Bans.Add(1)
	p.enforcer.begin(outcome.Ban, it.received)
}

func (w *worker) evidence(b *batch, it *item, m *filter.Match) state.Evidence {
	raw := b.text(it.raw)
	return state.Evidence{
		Time:     it.at,
		Received: it.received,
		Source:   it.source.Name,
		Trust:    trust(it.level).String(),
		Origin:   origin(it.origin),
		User:     m.User,
		Pattern:  m.Pattern,
		Raw:      string(raw[:min(len(raw), maxRaw)]),
	}
}

// counted returns the prefix that a failure of addr counts for: the address, its IPv6 network, or
// the subnet that the line named. Where that would hit a protected address it falls back to the
// single address.
func (p *Pipeline) counted(jail *jails.Jail, addr netip.Addr, bits int) (prefix netip.Prefix, protected bool) {
	prefix = jails.CountKey(addr, p.v6bits)
	if bits >= 0 && bits < prefix.Bits() && bits >= widest(addr) {
		prefix = netip.PrefixFrom(addr, bits).Masked()
	}
	if p.harmless(jail, prefix) {
		return prefix, false
	}
	single := netip.PrefixFrom(addr, addr.BitLen())
	return single, !p.harmless(jail, single)
}

// harmless reports whether a ban of prefix hits nothing that is protected or ignored.
func (p *Pipeline) harmless(jail *jails.Jail, prefix netip.Prefix) bool {
	_, protected := p.guard.Protects(prefix)
	return !protected && !jail.Ignore.Overlaps(prefix)
}

func widest(addr netip.Addr) int {
	if addr.Is4() {
		return widest4
	}
	return widest6
}

// distrust returns "" or the reason for which a match of a jail does not count.
func distrust(jail *jails.Jail, f *filter.Filter, it *item, index int) (reason string) {
	g := it.grant
	if g == nil || !g.jails[index] {
		return refusedJail
	}
	if trust(it.level) < jail.MinTrust && (jail.TrustGiven || !g.spoofable) {
		return refusedTrust
	}
	if jail.Origin != nil {
		if !it.origin.Known || !slices.Contains(jail.Origin.UIDs, it.origin.UID) {
			return refusedOrigin
		}
		return ""
	}
	if uids := f.Origin().UID; len(uids) > 0 && it.origin.Known && !slices.Contains(uids, it.origin.UID) {
		return refusedOrigin
	}
	return ""
}

// trust maps what a transport proves to the level a jail asks for.
func trust(l receiver.Level) jails.Trust {
	switch l {
	case receiver.LevelSpoofable:
		return jails.TrustSpoofable
	case receiver.LevelOnLink:
		return jails.TrustOnLink
	case receiver.LevelAddress:
		return jails.TrustAddress
	case receiver.LevelTLS:
		return jails.TrustTLS
	case receiver.LevelKernel:
		return jails.TrustKernel
	}
	return jails.TrustNone
}

// origin describes a line's writer for reports; "" when nothing vouches for one.
func origin(o receiver.Origin) string {
	if !o.Known {
		return ""
	}
	s := "uid=" + strconv.FormatUint(uint64(o.UID), 10)
	if o.Exe != "" {
		s += " exe=" + o.Exe
	}
	if o.Unit != "" {
		s += " unit=" + o.Unit
	}
	return s
}
