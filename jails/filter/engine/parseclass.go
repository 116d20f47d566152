package engine

import (
	"strings"
	"unicode/utf8"
)

// class reads a character class in brackets.
func (p *parser) class() set {
	at := p.pos
	p.pos++
	negative := p.take("^")
	var ranges []rune
	var sets []set // \S and the like: case folding leaves them alone
	for first := true; ; first = false {
		if !p.more() {
			p.failAt(at, "unterminated character set: a ] is missing")
		}
		if p.peek() == ']' && !first {
			p.pos++
			break
		}
		from := p.pos
		lo, s := p.classItem()
		if !strings.HasPrefix(p.src[p.pos:], "-") || strings.HasPrefix(p.src[p.pos:], "-]") {
			if s != nil {
				sets = append(sets, s)
			} else {
				ranges = append(ranges, lo, lo)
			}
			continue
		}
		p.pos++
		if !p.more() {
			p.failAt(at, "unterminated character set: a ] is missing")
		}
		hi, t := p.classItem()
		if s != nil || t != nil || hi < lo {
			p.failAt(from, "bad character range %s", p.src[from:p.pos])
		}
		ranges = append(ranges, lo, hi)
	}
	if p.flags.fold {
		ranges = foldRanges(ranges)
	}
	for _, s := range sets {
		ranges = append(ranges, s...)
	}
	out := normalize(ranges)
	if negative {
		out = out.negate()
	}
	return out
}

// classItem reads one rune, or one escape that stands for a set.
func (p *parser) classItem() (rune, set) {
	if p.peek() != '\\' {
		return p.rune(), nil
	}
	at := p.pos
	p.pos++
	if !p.more() {
		p.failAt(at, "the pattern ends in a backslash")
	}
	c := p.rune()
	if s := categories(c); s != nil {
		return 0, s
	}
	if c == 'b' {
		return '\b', nil
	}
	if c >= '1' && c <= '7' {
		p.pos--
		return p.octal(at), nil
	}
	return p.character(c, at), nil
}

func categories(c rune) set {
	switch c {
	case 'd':
		return setDigit
	case 'D':
		return setDigit.negate()
	case 's':
		return setSpace
	case 'S':
		return setSpace.negate()
	case 'w':
		return setWord
	case 'W':
		return setWord.negate()
	}
	return nil
}

// escape reads a backslash and what belongs to it, outside a class.
func (p *parser) escape() *node {
	at := p.pos
	p.pos++
	if !p.more() {
		p.failAt(at, "the pattern ends in a backslash")
	}
	c := p.rune()
	if s := categories(c); s != nil {
		return &node{kind: kSet, set: s, offset: at}
	}
	assert := func(a assertion) *node { return &node{kind: kAssert, assert: a, offset: at} }
	switch c {
	case 'A':
		return assert(beginText)
	case 'Z', 'z':
		return assert(endText)
	case 'b':
		return assert(wordBoundary)
	case 'B':
		return assert(noWordBoundary)
	}
	if c >= '1' && c <= '9' {
		return p.numericBackref(at)
	}
	return p.literal(p.character(c, at), at)
}

func (p *parser) numericBackref(at int) *node {
	p.pos = at + 1
	digits := 1
	for digits < 3 && p.pos+digits < len(p.src) && p.src[p.pos+digits] >= '0' && p.src[p.pos+digits] <= '9' {
		digits++
	}
	text := p.src[p.pos : p.pos+digits]
	if digits == 3 && strings.Trim(text, "01234567") == "" {
		return p.literal(p.octal(at), at)
	}
	text = text[:min(digits, 2)]
	p.pos += len(text)
	g := int(text[0] - '0')
	if len(text) == 2 {
		g = 10*g + int(text[1]-'0')
	}
	if g >= len(p.names) {
		p.failAt(at, "invalid reference to group %d: the pattern has %d so far", g, len(p.names)-1)
	}
	for _, o := range p.open {
		if o == g {
			p.failAt(at, "cannot refer to group %d inside itself", g)
		}
	}
	return &node{kind: kBackref, group: g, fold: p.flags.fold, offset: at}
}

// octal reads up to three octal digits.
func (p *parser) octal(at int) rune {
	r := rune(0)
	for i := 0; i < 3 && p.peek() >= '0' && p.peek() <= '7'; i++ {
		r = 8*r + rune(p.peek()-'0')
		p.pos++
	}
	if r > 0o377 {
		p.failAt(at, "octal escape value %s outside of range 0-0o377", p.src[at:p.pos])
	}
	return r
}

// character returns the rune that \c stands for.
func (p *parser) character(c rune, at int) rune {
	switch c {
	case 'a':
		return '\a'
	case 'f':
		return '\f'
	case 'n':
		return '\n'
	case 'r':
		return '\r'
	case 't':
		return '\t'
	case 'v':
		return '\v'
	case 'x':
		return p.hex(2, at)
	case 'u':
		return p.hex(4, at)
	case 'U':
		return p.hex(8, at)
	case '0':
		p.pos--
		return p.octal(at)
	}
	if c >= '0' && c <= '9' || c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' {
		p.failAt(at, "bad escape \\%c", c)
	}
	return c
}

func (p *parser) hex(digits, at int) rune {
	r := rune(0)
	for range digits {
		d := strings.IndexByte("0123456789abcdef", p.peek()|0x20)
		if p.peek() >= '0' && p.peek() <= '9' {
			d = int(p.peek() - '0')
		}
		if !p.more() || d < 0 || d > 9 && p.peek() < 'A' {
			p.failAt(at, "incomplete escape %s", p.src[at:p.pos])
		}
		r = r<<4 | rune(d)
		p.pos++
	}
	if r > utf8.MaxRune || r < 0 {
		p.failAt(at, "bad escape %s: no such character", p.src[at:p.pos])
	}
	return r
}
