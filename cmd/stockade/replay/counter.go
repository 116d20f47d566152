package replay

import (
	"fmt"
	"net/netip"
	"time"

	"stockade/jails"
	"stockade/jails/filter"
	"stockade/jails/state"
)

// The limits of the pipeline.
const (
	maxRaw  = 1024 // bytes of a line kept as evidence
	widest4 = 24   // a subnet that a line names is banned at most this wide
	widest6 = 48

	recidiveFilter = "recidive" // of jails that also count the bans of all others
	tidyEvery      = time.Hour  // of the lines' time: what has run out is let go of
)

// counter counts the hits of one policy in the lines' own time. It belongs to one goroutine.
type counter struct {
	policy    *Policy
	store     *state.Store
	successes *successes
	now       time.Time // the latest time so far
	tidied    time.Time
	sum       Summary
	banned    map[netip.Prefix]struct{}
	onBan     func(*Ban)
}

func newCounter(p *Policy, onBan func(*Ban)) *counter {
	return &counter{
		policy: p, successes: newSuccesses(), onBan: onBan, banned: make(map[netip.Prefix]struct{}),
		sum: Summary{Protected: map[string]int64{}},
	}
}

// take counts one hit.
func (c *counter) take(in *input, b *block, h *hit) error {
	c.sum.Matched++
	if err := c.advance(unix(h.ordered)); err != nil {
		return err
	}
	m := &h.match
	jail := c.policy.jails[m.Filter]
	addr := m.Addr.Unmap().WithZone("")
	if !addr.IsValid() {
		return nil
	}
	if m.Kind == filter.Success {
		c.sum.Successes++
		c.successes.note(addr, c.now)
		prefix, _ := c.counted(jail, addr, m.Bits)
		c.store.Succeed(jail.Name, prefix, m.User)
		return nil
	}
	weight := jail.Weight(m.Pattern)
	if weight == 0 {
		return nil
	}
	attempts := max(m.Attempts, 1) * int(h.repeat) * weight
	if jail.Ignored(addr) {
		c.sum.Protected["ignoreip"]++
		return nil
	}
	prefix, why := c.counted(jail, addr, m.Bits)
	if why != "" {
		c.sum.Protected[why]++
		return nil
	}
	if m.Proof == filter.ProofNone {
		c.sum.Unproven++
		return nil
	}
	c.sum.Failures++
	if jail.Key == jails.KeyUser {
		return nil // it alerts, and bans nobody
	}
	if c.store.FailBanned(jail, prefix, attempts) {
		return nil
	}
	raw := string(h.raw[:min(len(h.raw), maxRaw)])
	c.count(jail, state.Failure{
		Jail: jail.Name, Prefix: prefix, Addr: addr, Time: unix(h.at), Received: unix(h.at), Attempts: attempts,
		Evidence: state.Evidence{
			Time: unix(h.at), Received: unix(h.at), Source: in.source, Trust: jails.TrustKernel.String(),
			User: m.User, Pattern: m.Pattern, Raw: raw,
		},
	}, &origin{in.name, b.first + int64(h.n), raw})
	return nil
}

// origin is the line that decided.
type origin struct {
	file   string
	number int64
	raw    string
}

// advance sets the clock. It never goes back.
func (c *counter) advance(t time.Time) (err error) {
	if t.After(c.now) {
		c.now = t
	}
	if c.store == nil {
		c.tidied = c.now
		c.store, err = state.Open(state.Options{
			Now: func() time.Time { return c.now },
			Admit: func(_ *jails.Jail, f state.Failure, b *state.Ban) bool {
				c.successes.soften(f, b)
				return true
			},
		})
		return err
	}
	if c.now.Sub(c.tidied) >= tidyEvery {
		c.tidied = c.now
		c.store.Counts("") // a reader commits, and what has run out is let go of
	}
	return nil
}

// count counts a failure; when it begins a ban, recidive jails count that.
func (c *counter) count(jail *jails.Jail, f state.Failure, l *origin) {
	b := c.store.Fail(jail, f).Ban
	if b == nil {
		return
	}
	c.banned[b.Prefix] = struct{}{}
	if b.Shadow {
		c.sum.Shadow++
	} else {
		c.sum.Bans++
	}
	c.onBan(newBan(b, f, l))
	if b.Shadow {
		return
	}
	banned := f.Prefix
	for i, other := range c.policy.jails {
		if c.policy.filters[i].Name() != recidiveFilter || other.Name == b.Jail {
			continue
		}
		f.Prefix = banned
		if c.harms(other, banned) != "" {
			f.Prefix = netip.PrefixFrom(f.Addr, f.Addr.BitLen()) // the offender without its neighbours
			if why := c.harms(other, f.Prefix); why != "" {
				c.sum.Protected[why]++
				continue
			}
		}
		f.Jail, f.Attempts, f.Time = other.Name, 1, b.Start
		f.Evidence.Raw = fmt.Sprintf("ban in jail %s: %s", b.Jail, b.Reason)
		c.count(other, f, l)
	}
}

// counted returns the prefix that a failure of addr counts for, or why it does not count.
func (c *counter) counted(jail *jails.Jail, addr netip.Addr, bits int) (prefix netip.Prefix, why string) {
	prefix = jail.Counted(addr, c.policy.v6bits)
	widest := widest6
	if addr.Is4() {
		widest = widest4
	}
	if bits >= 0 && bits < prefix.Bits() && bits >= widest {
		prefix = netip.PrefixFrom(addr, bits).Masked()
	}
	if c.harms(jail, prefix) == "" && !c.successes.inside(prefix, addr, c.now) {
		return prefix, ""
	}
	if key := jails.CountKey(addr, c.policy.v6bits); key != prefix && c.harms(jail, key) == "" && !c.successes.inside(key, addr, c.now) {
		return key, ""
	}
	single := netip.PrefixFrom(addr, addr.BitLen())
	return single, c.harms(jail, single)
}

func (c *counter) harms(jail *jails.Jail, prefix netip.Prefix) (why string) {
	if why, protected := c.policy.guard.Protects(prefix); protected {
		return why
	}
	if jail.Ignore.Overlaps(prefix) {
		return "ignoreip"
	}
	return ""
}

// summary is what the counter knows at the end.
func (c *counter) summary() Summary {
	s := c.sum
	s.Addresses = int64(len(c.banned))
	if c.store != nil {
		st := c.store.Stats()
		s.Lost = st.Lost
	}
	return s
}
