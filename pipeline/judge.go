package pipeline

import (
	"net/netip"
	"time"

	"stockade/jails"
	"stockade/jails/filter"
	"stockade/jails/state"
	"stockade/receiver"
)

const maxRaw = 1024 // bytes of a line kept as evidence

// judge decides whether a match counts, and counts it.
func (w *worker) judge(b *batch, it *item, m *filter.Match) {
	p := w.p
	bound := &w.plan.bound[m.Filter]
	jail := bound.Jail
	if it.cut && !w.plan.native[m.Filter] { // an address at the cut may be a part of another
		p.stats.Truncated.Add(1)
		it.source.Refused.Add(refusedTruncated, it.received, b.text(it.raw))
		return
	}
	if reason := p.distrust(bound, it, b.origin(it), m); reason != "" {
		p.stats.Distrust.Add(1)
		it.source.Refused.Add(reason, it.received, b.text(it.raw))
		if reason == refusedJail {
			p.quotas.accuse(it.source.Name)
		}
		return
	}
	if p.sings(jail.Name, b, it, m) {
		return
	}
	addr := m.Addr.Unmap().WithZone("")
	if !addr.IsValid() {
		return // an id that is no address: nothing a firewall could drop
	}
	if m.Kind == filter.Success {
		p.stats.Successes.Add(1)
		p.successes.note(addr)
		prefix, _ := p.counted(jail, addr, m.Bits)
		p.store.Succeed(jail.Name, prefix, m.User)
		p.widener.spare(addr)
		return
	}
	if p.Ignores(jail, netip.PrefixFrom(addr, addr.BitLen())) {
		p.stats.Protected.Add(1)
		return
	}
	weight := jail.Weight(m.Pattern)
	if weight == 0 {
		p.stats.Weightless.Add(1)
		return
	}
	attempts := max(m.Attempts, 1) * int(it.repeat) * weight
	byUser := jail.Key == jails.KeyUser
	if !byUser && m.Proof != filter.ProofNone && m.Bits < 0 && w.failBanned(it, jail, jail.Counted(addr, p.v6bits), attempts) {
		return // whom that ban hits was looked at when it began
	}
	prefix, why := p.counted(jail, addr, m.Bits)
	if why != "" {
		p.stats.Protected.Add(1)
		reason := refusedProtected
		if why == WhyProxy {
			reason = refusedProxy
		} else {
			p.quotas.accuse(it.source.Name)
		}
		it.source.Refused.Add(reason, it.received, b.text(it.raw))
		return
	}
	c := counting{source: it.source, line: it.received, level: it.level, proven: m.Proof == filter.ProofHandshake && trust(it.level) >= jails.TrustAddress}
	failure := state.Failure{
		Jail:     jail.Name,
		Prefix:   prefix,
		Addr:     addr,
		Time:     it.at(),
		Received: it.received,
		Attempts: attempts,
		Event:    b.event(it),
		Evidence: w.evidence(b, it, m),
	}
	if byUser {
		p.countUsers(jail, failure, c, m)
		return
	}
	if m.Proof == filter.ProofNone {
		p.witnesses.consider(suspect{jail, failure, c})
		return
	}
	p.count(jail, failure, c)
}

// failBanned counts a failure of a prefix that the jail has banned, and reports whether it has.
func (w *worker) failBanned(it *item, jail *jails.Jail, prefix netip.Prefix, attempts int) bool {
	if !w.recent.FailBanned(jail, prefix, attempts) {
		return false
	}
	w.failures.add(it.source)
	w.p.leaks.consider(jail, prefix, it.at())
	return true
}

// counting is what counting a failure needs beside the failure.
type counting struct {
	source *receiver.Source
	line   time.Time // when its line arrived
	level  receiver.Level
	proven bool // the address completed a handshake, as a trusted source or the kernel says
}

// count counts a failure, and begins the ban when it was the last straw.
func (p *Pipeline) count(jail *jails.Jail, f state.Failure, c counting) {
	p.stats.Failures.Add(1)
	c.source.Failures.Add(1)
	outcome := p.store.Fail(jail, f)
	if held := outcome.Held; held != nil && !p.quotas.hold(held, f.Addr) {
		c.source.Refused.Add(refusedHeldFull, c.line, []byte(f.Evidence.Raw))
	}
	switch b := outcome.Ban; {
	case b == nil:
	case b.Shadow:
		p.stats.Shadowed.Add(1)
		p.log.Info("would ban", "jail", jail.Name, "addr", b.Prefix.String(), "source", c.source.Name, "reason", b.Reason)
	default:
		p.stats.Bans.Add(1)
		c.source.Bans.Add(1)
		p.enforcer.begin(b, c.line)
		p.recidive(b, f, c)
		p.widener.consider(jail, b, f, c)
	}
}

// recidiveFilter is the filter of jails that also count the bans of all others.
const recidiveFilter = "recidive"

// recidive counts a ban as a failure in the recidive jails, but for those that ignore the address.
func (p *Pipeline) recidive(b *state.Ban, f state.Failure, c counting) {
	banned := f.Prefix
	for _, bound := range p.Plan().bound {
		if bound.Filter.Name() != recidiveFilter || bound.Jail.Name == b.Jail {
			continue
		}
		f.Prefix = banned
		if p.harms(bound.Jail, banned) != "" {
			f.Prefix = netip.PrefixFrom(f.Addr, f.Addr.BitLen()) // the offender without its neighbours
			if p.harms(bound.Jail, f.Prefix) != "" {
				p.stats.Protected.Add(1)
				continue
			}
		}
		f.Jail, f.Attempts = bound.Jail.Name, 1
		f.Time = b.Start
		f.Evidence.Raw = "ban in jail " + b.Jail + ": " + b.Reason
		p.count(bound.Jail, f, c)
	}
}

func (w *worker) evidence(b *batch, it *item, m *filter.Match) state.Evidence {
	raw := b.text(it.raw)
	return state.Evidence{
		Time:     it.at(),
		Received: it.received,
		Source:   it.source.Name,
		Trust:    trust(it.level).String(),
		Origin:   describeOrigin(b.origin(it)),
		User:     m.User,
		Pattern:  m.Pattern,
		Raw:      string(raw[:min(len(raw), maxRaw)]),
	}
}

// WhyProxy is the guard's reason for the configured proxies: a line that names one should name its
// client instead.
const WhyProxy = "proxies"

// counted returns the prefix that a failure of addr counts for: what the jail's key makes of it, or
// the subnet that the line named, at most as wide as jails.WidestV4 and WidestV6. Where that would hit a protected address, or one that logged in
// lately, it falls back to the single address; when that is protected too, why says it.
func (p *Pipeline) counted(jail *jails.Jail, addr netip.Addr, bits int) (prefix netip.Prefix, why string) {
	prefix = jail.Counted(addr, p.v6bits)
	if bits >= 0 && bits < prefix.Bits() && bits >= widest(addr) {
		prefix = netip.PrefixFrom(addr, bits).Masked()
	}
	if p.harms(jail, prefix) == "" && !p.successes.inside(prefix, addr) {
		return prefix, ""
	}
	if key := jails.CountKey(addr, p.v6bits); key != prefix && p.harms(jail, key) == "" && !p.successes.inside(key, addr) {
		return key, ""
	}
	single := netip.PrefixFrom(addr, addr.BitLen())
	return single, p.harms(jail, single)
}

// harms returns "", or what a ban of the prefix would hit that is protected or ignored.
func (p *Pipeline) harms(jail *jails.Jail, prefix netip.Prefix) (why string) {
	if why, protected := p.guard.Protects(prefix); protected {
		return why
	}
	if p.Ignores(jail, prefix) {
		return "ignoreip"
	}
	return ""
}

func widest(addr netip.Addr) int {
	if addr.Is4() {
		return jails.WidestV4
	}
	return jails.WidestV6
}

// distrust returns "" or the reason for which a match of a jail does not count.
func (p *Pipeline) distrust(bound *Bound, it *item, o *receiver.Origin, m *filter.Match) (reason string) {
	jail, g := bound.Jail, it.grant
	switch {
	case g == nil || !g.jails[m.Filter]:
		return refusedJail
	case trust(it.level) < jail.MinTrust && p.tooWeak(jail, it):
		return refusedTrust
	case !p.quotas.believed(it.source.Name):
		return refusedQuarantine
	}
	return forged(bound, it, o)
}

// tooWeak reports whether a source below the jail's trust does not count. An explicit min_trust is
// absolute; else the operator may accept the source, or several sources must agree.
func (p *Pipeline) tooWeak(jail *jails.Jail, it *item) bool {
	return jail.TrustGiven || !it.grant.spoofable && jail.Corroborate < 2
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
