package filter

import "stockade/jails/filter/engine"

// group is the part of a route that shares a form: one scanner over the literals of all its
// patterns. Each pattern owns one bit of the scanner's answer; the bits of a filter are
// contiguous, its patterns in order and then its prefix.
type group struct {
	form    *Form
	scanner *engine.Scanner
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
	literals := map[*group][][]string{}
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
		for _, r := range f.rules {
			literals[g] = append(literals[g], r.needs)
			g.owner = append(g.owner, len(g.places))
		}
		if f.pref != nil {
			p.prefix = len(g.owner)
			literals[g] = append(literals[g], f.pref.re.Literals())
			g.owner = append(g.owner, len(g.places))
		}
		g.places = append(g.places, p)
	}
	groups := make([]group, len(list))
	for i, g := range list {
		g.scanner = engine.NewScanner(literals[g])
		g.mask = make([]uint64, g.scanner.Words())
		for _, p := range g.places {
			for b := p.first; b < p.first+p.n; b++ {
				g.mask[b/64] |= 1 << (b % 64)
			}
		}
		groups[i] = *g
	}
	return groups
}

// bits returns the largest number of bits that a group of the set can have.
func (s *Set) bits() int {
	n := 0
	for _, f := range s.filters {
		n += len(f.rules) + 1
	}
	return n
}

func bit(words []uint64, i int) bool { return words[i/64]&(1<<(i%64)) != 0 }
