package engine

import (
	"slices"
	"sort"
	"unicode/utf8"
)

// alphabet divides the runes into classes that a program does not tell apart.
type alphabet struct {
	ascii   [utf8.RuneSelf]uint8
	starts  []rune  // first runes of ranges, from utf8.RuneSelf up
	classes []uint8 // class of each range
	n       int
	member  [][]bool // by set, then class
	word    []bool   // by class
	newline uint8    // the class of \n alone
}

// newAlphabet builds the classes of p's sets; ok is false when there are more than 255.
func newAlphabet(p *program) (a *alphabet, ok bool) {
	sets := slices.Clone(p.sets)
	for _, b := range p.behinds {
		for _, t := range b.tails {
			for _, it := range t {
				sets = append(sets, it.set)
			}
		}
	}
	own := len(sets)
	sets = append(sets, setNewline)
	for _, in := range p.insts {
		if in.op == opAssert && (assertion(in.arg) == wordBoundary || assertion(in.arg) == noWordBoundary) {
			sets = append(sets, setWord)
			break
		}
	}
	cuts := []rune{0, utf8.RuneSelf}
	for _, s := range sets {
		for i := 0; i < len(s); i += 2 {
			cuts = append(cuts, s[i], s[i+1]+1)
		}
	}
	slices.Sort(cuts)
	cuts = slices.Compact(cuts)
	a = &alphabet{}
	ids := map[string]uint8{}
	var sample []rune
	key := make([]byte, len(sets))
	for i, lo := range cuts {
		if lo > utf8.MaxRune {
			break
		}
		for j, s := range sets {
			key[j] = 0
			if s.contains(lo) {
				key[j] = 1
			}
		}
		id, seen := ids[string(key)]
		if !seen {
			if len(ids) == 255 {
				return nil, false
			}
			id = uint8(len(ids))
			ids[string(key)] = id
			sample = append(sample, lo)
		}
		if lo >= utf8.RuneSelf {
			if n := len(a.classes); n == 0 || a.classes[n-1] != id {
				a.starts, a.classes = append(a.starts, lo), append(a.classes, id)
			}
			continue
		}
		for r := lo; r < utf8.RuneSelf && r < cuts[i+1]; r++ {
			a.ascii[r] = id
		}
	}
	a.n = len(sample)
	a.newline = a.ascii['\n']
	a.word = a.members(setWord, sample)
	for _, s := range sets[:own] {
		a.member = append(a.member, a.members(s, sample))
	}
	return a, true
}

func (a *alphabet) members(s set, sample []rune) []bool {
	in := make([]bool, len(sample))
	for i, r := range sample {
		in[i] = s.contains(r)
	}
	return in
}

// class returns the class of a rune.
func (a *alphabet) class(r rune) uint8 {
	if r < utf8.RuneSelf {
		return a.ascii[r]
	}
	if len(a.classes) == 1 {
		return a.classes[0]
	}
	return a.classes[sort.Search(len(a.starts), func(i int) bool { return a.starts[i] > r })-1]
}
