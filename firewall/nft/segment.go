package nft

import (
	"cmp"
	"math/bits"
	"net/netip"
	"slices"
	"time"

	"stockade/firewall"
)

// segment is one interval of a kernel set, both ends included. Intervals must not overlap there,
// while prefixes may hold each other: each address belongs to the prefix that lasts longest.
type segment struct {
	first, last netip.Addr
	end         time.Time // zero: permanent
	comment     string
	count       firewall.Counters // of what was read
	loose       time.Duration     // how long the reading took: end is that uncertain
}

func (s segment) same(o segment) bool {
	if s.first != o.first || s.last != o.last || s.comment != o.comment || s.end.IsZero() != o.end.IsZero() {
		return false
	}
	return s.end.Sub(o.end).Abs() <= slack+s.loose+o.loose
}

func (s segment) covers(o segment) bool {
	return s.first.Compare(o.first) <= 0 && s.last.Compare(o.last) >= 0 && !outlastsBy(o.end, s.end, slack+s.loose)
}

// outlasts says whether an end at a is later than one at b, where the zero time is never.
func outlasts(a, b time.Time) bool {
	if a.IsZero() || b.IsZero() {
		return a.IsZero() && !b.IsZero()
	}
	return a.After(b)
}

// outlastsBy says whether an end at a is later than one at b by more than d.
func outlastsBy(a, b time.Time, d time.Duration) bool {
	return outlasts(a, b) && (a.IsZero() || a.Sub(b) > d)
}

// segments cuts prefixes of one family that may hold each other into intervals, ascending.
func segments(elements []firewall.Element) []segment {
	sorted := slices.SortedFunc(slices.Values(elements), func(a, b firewall.Element) int {
		return cmp.Or(a.Prefix.Addr().Compare(b.Prefix.Addr()), cmp.Compare(a.Prefix.Bits(), b.Prefix.Bits()))
	})
	var out, open []segment
	// pop closes the innermost open prefix: what remains of it behind its inner ones is emitted.
	pop := func() {
		top := open[len(open)-1]
		open = open[:len(open)-1]
		if top.first.IsValid() && top.first.Compare(top.last) <= 0 {
			out = append(out, top)
		}
		if len(open) > 0 {
			open[len(open)-1].first = top.last.Next()
		}
	}
	for _, e := range sorted {
		s := segment{first: e.Prefix.Addr(), last: lastOf(e.Prefix), end: e.End, comment: e.Comment}
		for len(open) > 0 && open[len(open)-1].last.Less(s.first) {
			pop()
		}
		if n := len(open); n > 0 {
			top := &open[n-1]
			if !outlasts(s.end, top.end) {
				continue
			}
			if top.first.Less(s.first) {
				before := *top
				before.last = s.first.Prev()
				out = append(out, before)
			}
		}
		open = append(open, s)
	}
	for len(open) > 0 {
		pop()
	}
	return out
}

// lastOf is the last address of a prefix.
func lastOf(p netip.Prefix) netip.Addr {
	b := p.Masked().Addr().AsSlice()
	for i := range b {
		if n := p.Bits() - 8*i; n < 8 {
			b[i] |= 0xff >> max(n, 0)
		}
	}
	a, _ := netip.AddrFromSlice(b)
	return a
}

// prefixes cuts an interval into the fewest prefixes.
func (s segment) prefixes() []netip.Prefix {
	var out []netip.Prefix
	for a := s.first; a.IsValid() && a.Compare(s.last) <= 0; {
		n := a.BitLen() - trailingZeros(a)
		for lastOf(netip.PrefixFrom(a, n)).Compare(s.last) > 0 {
			n++
		}
		p := netip.PrefixFrom(a, n)
		out = append(out, p)
		a = lastOf(p).Next()
	}
	return out
}

func trailingZeros(a netip.Addr) int {
	n := 0
	for _, b := range slices.Backward(a.AsSlice()) {
		if b != 0 {
			return n + bits.TrailingZeros8(b)
		}
		n += 8
	}
	return n
}

// readSegments gives the intervals of a set, ascending.
func readSegments(l *link, table, set string, clock func() time.Time) ([]segment, error) {
	var all []entry
	start := clock()
	if err := dump(l, table, set, func(n entry) bool {
		all = append(all, n)
		return true
	}); err != nil {
		return nil, err
	}
	now := clock()
	slices.SortFunc(all, func(a, b entry) int {
		if c := a.key.Compare(b.key); c != 0 || a.end == b.end {
			return c
		}
		if a.end {
			return -1
		}
		return 1
	})
	var out []segment
	for i, n := range all {
		if n.end {
			continue
		}
		s := segment{first: n.key, comment: n.comment, count: n.count, loose: now.Sub(start)}
		if n.remaining != 0 {
			s.end = now.Add(n.remaining)
		}
		if i+1 < len(all) {
			s.last = all[i+1].key.Prev()
		} else {
			s.last = lastOf(netip.PrefixFrom(n.key, 0))
		}
		out = append(out, s)
	}
	return out, nil
}

// appendSegment appends the two members of a list that make an interval. The kernel has no end
// marker for one that reaches the last address.
func appendSegment(e *encoder, s segment, remaining time.Duration) {
	appendEntry(e, s.first, false, remaining, s.comment)
	if after := s.last.Next(); after.IsValid() {
		appendEntry(e, after, true, 0, "")
	}
}
