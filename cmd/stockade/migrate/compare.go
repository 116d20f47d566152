package migrate

import (
	"cmp"
	"net/netip"
	"slices"
	"time"

	"stockade/jails"
)

// Policy is what Stockade's configuration says of the addresses and jails that are compared.
type Policy struct {
	Jails   []*jails.Jail
	IPv6    int                                           // firewall.ipv6_prefix
	Protect func(p netip.Prefix) (why string, found bool) // never_ban and proxies
}

// Pair is one ban that either program or both made.
type Pair struct {
	Jail     string     `json:"jail"`
	Address  string     `json:"address"`
	Fail2ban *time.Time `json:"fail2ban"` // when fail2ban banned; nil: it did not
	Stockade *time.Time `json:"stockade"`
	First    string     `json:"first"`  // fail2ban, stockade, both (within a second)
	Lead     float64    `json:"lead"`   // seconds by which the first one was first; 0 when only one banned
	Reason   string     `json:"reason"` // why they differ; "" when they do not, or nothing explains it
}

// Comparison is who banned whom first.
type Comparison struct {
	From         time.Time `json:"from"` // the time that both logs cover
	Until        time.Time `json:"until"`
	Pairs        []Pair    `json:"pairs"` // in the order of time
	Both         int       `json:"both"`
	OnlyFail2ban int       `json:"only_fail2ban"`
	OnlyStockade int       `json:"only_stockade"`
	Unexplained  int       `json:"unexplained"` // differences without a reason
	Outside      int       `json:"outside"`     // bans while only one of them logged
}

// sameBan is how far apart two bans of one attack can be at least; a jail's findtime, where longer.
const sameBan = time.Minute

// alike is how much earlier one must be to be first.
const alike = time.Second

// key is whom a ban is of.
type key struct {
	jail   string
	prefix netip.Prefix
	name   string // of an offender without an address
}

type history struct {
	found              []time.Time
	theirs, ours       []Seen
	theirEnds, ourEnds []time.Time
	addrs              map[string]bool // as fail2ban named them
}

// Compare puts the bans of two logs side by side.
func Compare(theirs, ours *Log, p Policy) *Comparison {
	c := &Comparison{From: later(theirs.First, ours.First), Until: earlier(theirs.Last, ours.Last), Pairs: []Pair{}}
	all := map[key]*history{}
	of := func(s Seen) *history {
		k := key{jail: s.Jail, prefix: s.Prefix}
		if s.Prefix.IsValid() && s.Prefix.IsSingleIP() {
			k.prefix = jails.CountKey(s.Prefix.Addr(), p.IPv6)
		} else if !s.Prefix.IsValid() {
			k.name = s.Text
		}
		if all[k] == nil {
			all[k] = &history{addrs: map[string]bool{}}
		}
		return all[k]
	}
	known := map[string]bool{} // jails of fail2ban's that said anything
	for _, s := range theirs.Seen {
		h := of(s)
		known[s.Jail] = true
		h.addrs[s.Text] = true
		switch s.Kind {
		case SeenFound:
			h.found = append(h.found, s.Time)
		case SeenBan:
			h.theirs = append(h.theirs, s)
		case SeenUnban:
			h.theirEnds = append(h.theirEnds, s.Time)
		}
	}
	for _, s := range ours.Seen {
		switch h := of(s); s.Kind {
		case SeenBan:
			h.ours = append(h.ours, s)
		case SeenUnban:
			h.ourEnds = append(h.ourEnds, s.Time)
		}
	}
	for k, h := range all {
		slices.SortFunc(h.found, time.Time.Compare)
		c.pair(k, h, p, known)
	}
	slices.SortFunc(c.Pairs, func(a, b Pair) int {
		return cmp.Or(a.when().Compare(b.when()), cmp.Compare(a.Jail, b.Jail), cmp.Compare(a.Address, b.Address))
	})
	return c
}

func (p *Pair) when() time.Time {
	switch {
	case p.Fail2ban == nil:
		return *p.Stockade
	case p.Stockade == nil:
		return *p.Fail2ban
	}
	return earlier(*p.Fail2ban, *p.Stockade)
}

// pair finds the bans of one address that belong together.
func (c *Comparison) pair(k key, h *history, p Policy, known map[string]bool) {
	r := &reasons{key: k, history: h, policy: p, known: known}
	near := max(r.findtime(), sameBan)
	used := make([]bool, len(h.ours))
	for _, t := range h.theirs {
		best := -1
		for i, o := range h.ours {
			if d := o.Time.Sub(t.Time).Abs(); !used[i] && d <= near && (best < 0 || d < h.ours[best].Time.Sub(t.Time).Abs()) {
				best = i
			}
		}
		out := Pair{Jail: k.jail, Address: t.Text, Fail2ban: &t.Time, First: "fail2ban"}
		if best >= 0 {
			used[best] = true
			out.Stockade = &h.ours[best].Time
			out.lead()
			c.Both++
			c.Pairs = append(c.Pairs, out)
			continue
		}
		if c.outside(t.Time) {
			continue
		}
		out.Reason = r.onlyTheirs(t)
		c.OnlyFail2ban++
		c.add(out)
	}
	for i, o := range h.ours {
		if used[i] || c.outside(o.Time) {
			continue
		}
		out := Pair{Jail: k.jail, Address: o.Text, Stockade: &o.Time, First: "stockade", Reason: r.onlyOurs(o)}
		c.OnlyStockade++
		c.add(out)
	}
}

func (c *Comparison) add(p Pair) {
	if p.Reason == "" {
		c.Unexplained++
	}
	c.Pairs = append(c.Pairs, p)
}

// outside counts a ban that only one log could have.
func (c *Comparison) outside(t time.Time) bool {
	if t.Before(c.From) || t.After(c.Until) {
		c.Outside++
		return true
	}
	return false
}

// lead says who was first, and by how much.
func (p *Pair) lead() {
	d := p.Fail2ban.Sub(*p.Stockade)
	p.Lead = d.Abs().Round(time.Millisecond).Seconds()
	switch {
	case d.Abs() < alike:
		p.First = "both"
	case d > 0:
		p.First, p.Reason = "stockade", "fail2ban came to the line later: it looks at its files and its queue from time to time"
	default:
		p.Reason = "fail2ban's counter was rescaled, or the line arrived here later"
	}
}

func earlier(a, b time.Time) time.Time {
	if a.Before(b) {
		return a
	}
	return b
}

func later(a, b time.Time) time.Time {
	if a.After(b) {
		return a
	}
	return b
}
