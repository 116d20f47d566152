package filter

import (
	"math/bits"

	"stockade/jails/filter/engine"
)

// group is the part of a route that shares a form. Each pattern owns one bit of the answer to the
// question which patterns can match a line; the bits of a filter are contiguous, its patterns in
// order and then its prefix. Native patterns with a known beginning are told by it, all others by
// the literals that they need, in one scan.
type group struct {
	form    *Form
	scanner *engine.Scanner // nil when all patterns are told by their beginnings
	heads   *engine.Heads   // nil when none is
	headed  []uint64        // the bits of those that are
	places  []place
	owner   []int    // bit -> index in places
	mask    []uint64 // the bits of the patterns that are searched when their literals occur
	always  []int    // filters that see every line because they remember lines
}

// place is where a filter's bits are.
type place struct {
	filter   int
	first, n int // of the patterns
	prefix   int // -1 without
}

// groups sorts filters by their forms. The literals of a line's route alone are looked for, so
// that a line costs the same however many filters listen to other apps.
func (s *Set) groups(filters []int) []group {
	var (
		list   []*group
		byName = map[string]*group{}
	)
	literals, heads := map[*group][][]string{}, map[*group][][]string{}
	for _, i := range filters {
		f := s.filters[i]
		name := ""
		if f.spec.Form != nil {
			name = "form:" + f.spec.Form.Name
		}
		g := byName[name]
		if g == nil {
			g = &group{form: f.spec.Form}
			byName[name] = g
			list = append(list, g)
		}
		if f.maxLines > 1 {
			g.always = append(g.always, i)
			continue
		}
		p := place{filter: i, first: len(g.owner), n: len(f.rules), prefix: -1}
		add := func(needs, begins []string) {
			if begins != nil {
				needs = nil
			}
			literals[g], heads[g] = append(literals[g], needs), append(heads[g], begins)
			g.owner = append(g.owner, len(g.places))
		}
		for _, r := range f.rules {
			add(r.needs, r.begins)
		}
		if f.pref != nil {
			p.prefix = len(g.owner)
			add(f.pref.re.Literals(), nil)
		}
		g.places = append(g.places, p)
	}
	groups := make([]group, len(list))
	for i, g := range list {
		g.find(literals[g], heads[g])
		for _, p := range g.places {
			for b := p.first; b < p.first+p.n; b++ {
				g.mask[b/64] |= 1 << (b % 64)
			}
		}
		groups[i] = *g
	}
	return groups
}

// find prepares for telling which patterns can match: a pattern that has heads by these, else by
// its literals.
func (g *group) find(literals, heads [][]string) {
	words := (len(heads) + 63) / 64
	g.mask, g.headed = make([]uint64, words), make([]uint64, words)
	n := 0
	for b, h := range heads {
		if h != nil {
			g.headed[b/64] |= 1 << (b % 64)
			n++
		}
	}
	if n > 0 {
		g.heads = engine.NewHeads(heads)
	}
	if n < len(heads) {
		g.scanner = engine.NewScanner(literals)
	}
}

// candidates sets hits to the patterns that can match. Without an app, the tag that stands before
// the text of a native pattern may have to be cut off first.
func (g *group) candidates(hits []uint64, text *reading, app bool) {
	if g.scanner == nil {
		clear(hits)
	} else {
		g.scanner.Scan(text.subject, hits)
		for w, h := range g.headed {
			hits[w] &^= h
		}
	}
	if g.heads == nil {
		return
	}
	g.heads.Find(text.native, hits)
	if !app {
		if _, rest, ok := cutTag(text.native); ok {
			g.heads.Find(rest, hits)
		}
	}
}

// width returns the largest number of bits that a group of the set can have.
func (s *Set) width() int {
	n := 0
	for _, f := range s.filters {
		n += len(f.rules) + 1
	}
	return n
}

// nextBit returns the first bit that is set from i on, end if none is before it.
func nextBit(words []uint64, i, end int) int {
	for i < end {
		if left := words[i/64] >> (i % 64); left != 0 {
			return min(i+bits.TrailingZeros64(left), end)
		}
		i = i/64*64 + 64
	}
	return end
}

func bit(words []uint64, i int) bool { return words[i/64]&(1<<(i%64)) != 0 }
