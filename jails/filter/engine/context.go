package engine

import "unicode/utf8"

// context says what a program may ask of the text before a position. Each kind of position has
// a number, found from the class of the rune before it and, for lookbehinds that look further
// back than one rune, from the text.
type context struct {
	byClass []uint8 // number, by the class of the rune before
	begin   uint8   // number at the subject's beginning
	kinds   []context1
	wide    []int // the lookbehinds that need the text: bit i of number/len(kinds) is wide[i]
	n       int
}

// context1 is one kind of position.
type context1 struct {
	begin, newline, word bool
	behind               []bool // by lookbehind; wide ones are false here
}

const (
	maxWide     = 4
	maxContexts = 64
	maxTails    = 512 // runes and assertions of all wide lookbehinds: each may be asked at each position
)

func newContext(p *program, a *alphabet) (context, bool) {
	var asksLine, asksWord bool
	for _, in := range p.insts {
		if in.op == opAssert {
			switch assertion(in.arg) {
			case beginLine:
				asksLine = true
			case wordBoundary, noWordBoundary:
				asksWord = true
			}
		}
	}
	c := context{byClass: make([]uint8, a.n)}
	items := 0
	for i, b := range p.behinds {
		if !b.isWide() {
			continue
		}
		c.wide = append(c.wide, i)
		for _, t := range b.tails {
			items += len(t)
		}
	}
	ids := map[string]uint8{}
	for class := -1; class < a.n; class++ {
		k := context1{begin: class < 0, behind: make([]bool, len(p.behinds))}
		if class >= 0 {
			k.newline = asksLine && uint8(class) == a.newline
			k.word = asksWord && a.word[class]
		}
		next := len(p.sets)
		for i, b := range p.behinds {
			for _, t := range b.tails {
				ok := len(t) == 0 || class >= 0 && a.member[next][class]
				k.behind[i] = k.behind[i] || ok && !b.isWide()
				next += len(t)
			}
		}
		key := []byte{b2b(k.begin), b2b(k.newline), b2b(k.word)}
		for _, v := range k.behind {
			key = append(key, b2b(v))
		}
		id, seen := ids[string(key)]
		if !seen {
			id = uint8(len(c.kinds))
			ids[string(key)] = id
			c.kinds = append(c.kinds, k)
			if len(c.kinds) > maxContexts {
				return c, false
			}
		}
		if class < 0 {
			c.begin = id
		} else {
			c.byClass[class] = id
		}
	}
	c.n = len(c.kinds) << len(c.wide)
	return c, len(c.wide) <= maxWide && c.n <= maxContexts && items <= maxTails
}

func b2b(v bool) byte {
	if v {
		return 1
	}
	return 0
}

// isWide says whether the answer needs more than the rune before.
func (b *behind) isWide() bool {
	for _, t := range b.tails {
		if len(t) > 1 || len(t) == 1 && t[0].set == nil {
			return true
		}
	}
	return false
}

// holds looks at the text before pos.
func (b *behind) holds(text []byte, pos int) bool {
	for _, t := range b.tails {
		if t.ends(text, pos) {
			return true
		}
	}
	return false
}

func (t tail) ends(text []byte, pos int) bool {
	for _, it := range t {
		r, w := runeBefore(text, pos)
		ok := false
		switch {
		case it.set != nil:
			ok = w > 0 && it.set.contains(r)
			pos -= w
		case it.assert == beginText:
			ok = pos == 0
		case it.assert == beginLine:
			ok = pos == 0 || r == '\n'
		default:
			next := pos < len(text) && setWord.contains(rune(text[pos]))
			ok = (w > 0 && setWord.contains(r) != next || w == 0 && next) == (it.assert == wordBoundary)
		}
		if !ok {
			return false
		}
	}
	return true
}

// runeBefore returns the rune before pos and its width, 0 at the beginning. Behind the text stands
// a newline.
func runeBefore(text []byte, pos int) (rune, int) {
	if pos > len(text) {
		return '\n', 1
	}
	if pos == 0 {
		return 0, 0
	}
	return utf8.DecodeLastRune(text[:pos])
}
