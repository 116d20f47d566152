package lint

import (
	"strconv"
	"strings"
)

// parse reads a pattern that the engine accepts. What the linter need not understand becomes a
// node that takes no text, so it never fails.
func parse(pattern string) *node {
	p := parser{text: pattern}
	n := p.alternatives()
	for p.at < len(p.text) { // a stray bracket, which the engine would have refused
		p.at++
		n = &node{kind: kConcat, subs: []*node{n, p.alternatives()}}
	}
	return n
}

// maxDepth bounds nested groups; deeper ones are taken for text that cannot be told.
const maxDepth = 200

type parser struct {
	text  string
	at    int
	depth int
}

func (p *parser) peek() byte {
	if p.at >= len(p.text) {
		return 0
	}
	return p.text[p.at]
}

// take consumes s if it stands next.
func (p *parser) take(s string) bool {
	if !strings.HasPrefix(p.text[p.at:], s) {
		return false
	}
	p.at += len(s)
	return true
}

func (p *parser) alternatives() *node {
	subs := []*node{p.sequence()}
	for p.take("|") {
		subs = append(subs, p.sequence())
	}
	if len(subs) == 1 {
		return subs[0]
	}
	return &node{kind: kAlt, subs: subs}
}

func (p *parser) sequence() *node {
	n := &node{kind: kConcat}
	for p.at < len(p.text) && p.peek() != '|' && p.peek() != ')' {
		from := p.at
		n.subs = append(n.subs, p.repeat(from, p.atom()))
	}
	return n
}

// repeat reads the quantifiers that follow an atom, which begins at from.
func (p *parser) repeat(from int, n *node) *node {
	for {
		r := node{kind: kRepeat, subs: []*node{n}, max: unlimited}
		switch {
		case p.take("*"):
		case p.take("+"):
			r.min = 1
		case p.take("?"):
			r.max = 1
		default:
			if p.peek() != '{' || !p.bounds(&r) {
				return n
			}
		}
		_ = p.take("?") || p.take("+")
		r.source = p.text[from:p.at]
		n = &r
	}
}

// bounds reads {m}, {m,}, {,n} or {m,n}; anything else is text.
func (p *parser) bounds(r *node) bool {
	end := strings.IndexByte(p.text[p.at:], '}')
	if end < 0 {
		return false
	}
	from, to, comma := strings.Cut(p.text[p.at+1:p.at+end], ",")
	var ok bool
	if from != "" {
		if r.min, ok = count(from); !ok {
			return false
		}
	}
	switch {
	case !comma:
		if from == "" {
			return false
		}
		r.max = r.min
	case to != "":
		if r.max, ok = count(to); !ok {
			return false
		}
	}
	p.at += end + 1
	return true
}

// count reads a number of repeats, which has no sign.
func count(text string) (int, bool) {
	n, err := strconv.ParseUint(text, 10, 31)
	return int(n), err == nil //nolint:gosec // 31 bits
}

func (p *parser) atom() *node {
	c := p.peek()
	p.at++
	switch c {
	case '^':
		return &node{kind: kBegin}
	case '$':
		return &node{kind: kEnd}
	case '.':
		return &node{kind: kSet, set: setAny}
	case '[':
		return &node{kind: kSet, set: p.class()}
	case '(':
		return p.group()
	case '<':
		return p.tag()
	case '\\':
		return p.escape()
	}
	return literal(c)
}

func literal(c byte) *node {
	n := &node{kind: kSet}
	n.set.add(c)
	return n
}

func (p *parser) escape() *node {
	c := p.peek()
	if c == 0 {
		return literal('\\')
	}
	p.at++
	switch c {
	case 'A':
		return &node{kind: kBegin}
	case 'Z':
		return &node{kind: kEnd}
	case 'b', 'B':
		return &node{kind: kEmpty}
	}
	if s, ok := shorthand(c); ok {
		return &node{kind: kSet, set: s}
	}
	if c >= '1' && c <= '9' {
		for p.peek() >= '0' && p.peek() <= '9' {
			p.at++
		}
		return &node{kind: kUnknown}
	}
	return literal(p.escaped(c))
}

// shorthand is the set of \d, \s, \w and their opposites.
func shorthand(c byte) (set, bool) {
	switch c {
	case 'd':
		return setDigit, true
	case 'D':
		return setDigit.not(), true
	case 's':
		return setSpace, true
	case 'S':
		return setSpace.not(), true
	case 'w':
		return setWord, true
	case 'W':
		return setWord.not(), true
	}
	return set{}, false
}

// escaped returns the character that \c stands for; c is consumed already.
func (p *parser) escaped(c byte) byte {
	digits := 0
	switch c {
	case 'n':
		return '\n'
	case 't':
		return '\t'
	case 'r':
		return '\r'
	case 'f':
		return '\f'
	case 'v':
		return '\v'
	case 'x':
		digits = 2
	case 'u':
		digits = 4
	case 'U':
		digits = 8
	default:
		return c
	}
	end := min(p.at+digits, len(p.text))
	v, err := strconv.ParseUint(p.text[p.at:end], 16, 32)
	if err != nil {
		return c
	}
	p.at = end
	return byte(min(v, 255)) //nolint:gosec // bounded in this line
}

// class reads a bracketed class; its [ is consumed already.
func (p *parser) class() set {
	var s set
	negative := p.take("^")
	for first := true; p.at < len(p.text) && (first || p.peek() != ']'); first = false {
		from, sub, whole := p.classItem()
		if whole {
			s = s.or(sub)
			continue
		}
		to := from
		if p.peek() == '-' && p.at+1 < len(p.text) && p.text[p.at+1] != ']' {
			p.at++
			if to, _, whole = p.classItem(); whole {
				to = from
			}
		}
		for c := int(from); c <= int(to) && c < 128; c++ {
			s.add(byte(c))
		}
	}
	p.at = min(p.at+1, len(p.text))
	if negative {
		return s.not()
	}
	return s
}

func (p *parser) classItem() (c byte, sub set, whole bool) {
	c = p.peek()
	p.at = min(p.at+1, len(p.text))
	if c != '\\' || p.at >= len(p.text) {
		return c, set{}, false
	}
	c = p.peek()
	p.at++
	if sub, whole = shorthand(c); whole {
		return 0, sub, true
	}
	return p.escaped(c), set{}, false
}
