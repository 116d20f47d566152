package filter

import "stockade/jails/filter/engine"

// formSet is what the filters that share a form have in common: one scanner over the literals of
// all their patterns. Each pattern owns one bit of the scanner's answer; the bits of a filter are
// contiguous, its patterns in order and then its prefix.
type formSet struct {
	form    *Form
	scanner *engine.Scanner
	owner   []int // bit -> filter
	literal [][]string
}

// group is the part of a route that shares a form.
type group struct {
	form   *formSet
	mask   []uint64 // the bits of the patterns that are searched when their literals occur
	always []int    // filters that see every line because they remember lines
}

// place is where a filter's bits are.
type place struct {
	form     *formSet
	first, n int // of the patterns
	prefix   int // -1 without
}

func (s *Set) buildForms() {
	s.places = make([]place, len(s.filters))
	byName := map[string]*formSet{}
	for i, f := range s.filters {
		name := ""
		if f.spec.Form != nil {
			name = "form:" + f.spec.Form.Name
		}
		fs := byName[name]
		if fs == nil {
			fs = &formSet{form: f.spec.Form}
			byName[name] = fs
			s.forms = append(s.forms, fs)
		}
		p := place{form: fs, first: len(fs.owner), n: len(f.rules), prefix: -1}
		for _, r := range f.rules {
			fs.add(i, r.needs)
		}
		if f.pref != nil {
			p.prefix = len(fs.owner)
			fs.add(i, f.pref.re.Literals())
		}
		s.places[i] = p
	}
	for _, fs := range s.forms {
		fs.scanner = engine.NewScanner(fs.literal)
		fs.literal = nil
		s.words = max(s.words, fs.scanner.Words())
	}
}

func (fs *formSet) add(filter int, literals []string) {
	fs.owner = append(fs.owner, filter)
	fs.literal = append(fs.literal, literals)
}

func (s *Set) group(r *route) {
	for _, fs := range s.forms {
		g := group{form: fs, mask: make([]uint64, fs.scanner.Words())}
		used := false
		for _, i := range r.filters {
			p := s.places[i]
			if p.form != fs {
				continue
			}
			used = true
			if s.filters[i].maxLines > 1 {
				g.always = append(g.always, i)
				continue
			}
			for b := p.first; b < p.first+p.n; b++ {
				g.mask[b/64] |= 1 << (b % 64)
			}
		}
		if used {
			r.groups = append(r.groups, g)
		}
	}
}

func bit(words []uint64, i int) bool { return words[i/64]&(1<<(i%64)) != 0 }
