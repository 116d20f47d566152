package engine

import (
	"fmt"
	"slices"
	"strings"
	"unicode/utf8"
)

// Limits of a pattern.
const (
	maxNesting = 250   // groups inside groups
	maxPattern = 65536 // bytes
	maxBehind  = 255   // runes that a lookbehind looks back
)

// flags are the inline flags that change the meaning of what follows.
type flags struct{ fold, multi, dotall bool }

// parser reads Python's re syntax by recursive descent.
type parser struct {
	src    string
	pos    int
	depth  int
	flags  flags
	global flags // flags that hold for the whole pattern
	names  []string
	open   []int // numbers of groups not closed yet
}

// restart is thrown when a global flag is found behind the pattern's beginning: it holds for
// the whole pattern, which is read once more with it.
type restart struct{}

// parse returns the tree and the names of the groups, index 0 being the whole match.
func parse(src string, f flags) (n *node, names []string, err error) {
	if len(src) > maxPattern {
		return nil, nil, &Error{src, maxPattern, fmt.Sprintf("a pattern may have at most %d bytes", maxPattern)}
	}
	if !utf8.ValidString(src) {
		return nil, nil, &Error{src, invalidAt(src), "the pattern is not valid UTF-8"}
	}
	p := &parser{src: src, global: f}
	for {
		n, again, err := p.once()
		if !again {
			return n, p.names, err
		}
	}
}

func invalidAt(s string) int {
	for i, r := range s {
		if r == utf8.RuneError && !strings.HasPrefix(s[i:], string(utf8.RuneError)) {
			return i
		}
	}
	return 0
}

func (p *parser) once() (n *node, again bool, err error) {
	defer func() {
		switch r := recover().(type) {
		case nil:
		case restart:
			again = true
		case *Error:
			err = r
		default:
			panic(r)
		}
	}()
	p.pos, p.depth, p.flags, p.names, p.open = 0, 0, p.global, []string{""}, nil
	n = p.alternation()
	if p.pos < len(p.src) {
		p.failAt(p.pos, "unbalanced parenthesis")
	}
	return n, false, nil
}

func (p *parser) failAt(offset int, format string, args ...any) {
	panic(&Error{p.src, offset, fmt.Sprintf(format, args...)})
}

func (p *parser) more() bool { return p.pos < len(p.src) }

func (p *parser) peek() byte {
	if p.more() {
		return p.src[p.pos]
	}
	return 0
}

// take skips s if the pattern goes on with it.
func (p *parser) take(s string) bool {
	if strings.HasPrefix(p.src[p.pos:], s) {
		p.pos += len(s)
		return true
	}
	return false
}

// rune reads one rune.
func (p *parser) rune() rune {
	r, w := utf8.DecodeRuneInString(p.src[p.pos:])
	p.pos += w
	return r
}

func (p *parser) alternation() *node {
	p.depth++
	if p.depth > maxNesting {
		p.failAt(p.pos, "groups are nested deeper than %d", maxNesting)
	}
	defer func() { p.depth-- }()
	at := p.pos
	subs := []*node{p.concat()}
	for p.take("|") {
		subs = append(subs, p.concat())
	}
	if len(subs) == 1 {
		return subs[0]
	}
	return &node{kind: kAlt, subs: subs, offset: at}
}

func (p *parser) concat() *node {
	at := p.pos
	var subs []*node
	for p.more() && p.peek() != '|' && p.peek() != ')' {
		item := p.item()
		if item == nil {
			continue
		}
		subs = append(subs, p.repeats(item))
	}
	if len(subs) == 1 {
		return subs[0]
	}
	if len(subs) == 0 {
		return &node{kind: kEmpty, offset: at}
	}
	return &node{kind: kConcat, subs: subs, offset: at}
}

// item reads one thing that a repeat may follow; nil for a comment or flags.
func (p *parser) item() *node {
	at := p.pos
	switch c := p.peek(); c {
	case '(':
		return p.group()
	case '[':
		return &node{kind: kSet, set: p.class(), offset: at}
	case '\\':
		return p.escape()
	case '*', '+', '?':
		p.failAt(at, "nothing to repeat before %q", c)
	case '{':
		if _, _, ok := p.braces(); ok {
			p.failAt(at, "nothing to repeat before %q", p.src[at:p.pos])
		}
		p.pos = at
	case '.':
		p.pos++
		if p.flags.dotall {
			return &node{kind: kSet, set: setAll, offset: at}
		}
		return &node{kind: kSet, set: setDot, offset: at}
	case '^':
		p.pos++
		if p.flags.multi {
			return &node{kind: kAssert, assert: beginLine, offset: at}
		}
		return &node{kind: kAssert, assert: beginText, offset: at}
	case '$':
		p.pos++
		if p.flags.multi {
			return &node{kind: kAssert, assert: endLine, offset: at}
		}
		return &node{kind: kAssert, assert: endLast, offset: at}
	}
	return p.literal(p.rune(), at)
}

func (p *parser) literal(r rune, at int) *node {
	s := set{r, r}
	if p.flags.fold {
		s = normalize(foldRanges(s))
	}
	return &node{kind: kSet, set: s, offset: at}
}

// maxRepeat bounds a repeat's numbers; the size of the program is bounded elsewhere.
const maxRepeat = 65535

// braces reads {m}, {m,}, {,n}, {m,n} and {,}; anything else is literal text.
func (p *parser) braces() (lo, hi int, ok bool) {
	at := p.pos
	p.pos++
	lo, hasLo := p.number(at)
	hi, comma := unlimited, p.take(",")
	if comma {
		if n, ok := p.number(at); ok {
			hi = n
		}
	} else {
		hi = lo
	}
	if !p.take("}") || !hasLo && !comma {
		p.pos = at
		return 0, 0, false
	}
	if hi != unlimited && hi < lo {
		p.failAt(at, "the repeat's minimum %d is above its maximum %d", lo, hi)
	}
	return lo, hi, true
}

func (p *parser) number(at int) (n int, ok bool) {
	for ; p.more() && p.peek() >= '0' && p.peek() <= '9'; p.pos++ {
		n, ok = 10*n+int(p.peek()-'0'), true
		if n > maxRepeat {
			p.failAt(at, "a repeat may ask for at most %d", maxRepeat)
		}
	}
	return n, ok
}

// repeats reads the repeat that follows item, if there is one.
func (p *parser) repeats(item *node) *node {
	lo, hi, at, ok := p.quantifier()
	if !ok {
		return item
	}
	if item.kind == kAssert {
		p.failAt(at, "nothing to repeat: an anchor has no width")
	}
	n := &node{kind: kRepeat, min: lo, max: hi, subs: []*node{item}, offset: at}
	switch {
	case p.take("?"):
		n.lazy = true
	case p.take("+"):
		n = p.possessive(n)
	}
	if again := p.pos; true {
		if _, _, _, ok := p.quantifier(); ok {
			p.failAt(again, "multiple repeat")
		}
	}
	return n
}

func (p *parser) quantifier() (lo, hi, at int, ok bool) {
	at = p.pos
	switch p.peek() {
	case '*':
		p.pos++
		return 0, unlimited, at, true
	case '+':
		p.pos++
		return 1, unlimited, at, true
	case '?':
		p.pos++
		return 0, 1, at, true
	case '{':
		lo, hi, ok = p.braces()
	}
	return lo, hi, at, ok
}

// possessive rewrites a repeat of one rune that gives nothing back: after it, either its
// maximum is reached or the next rune is not in its set.
func (p *parser) possessive(n *node) *node {
	s, ok := n.subs[0].single()
	if !ok {
		p.failAt(n.offset, "a possessive repeat or atomic group works here only on one character or class")
	}
	stop := &node{kind: kLook, negative: true, subs: []*node{{kind: kSet, set: s}}, offset: n.offset}
	few := *n
	if n.max == unlimited {
		return &node{kind: kConcat, subs: []*node{&few, stop}, offset: n.offset}
	}
	full := &node{kind: kRepeat, min: n.max, max: n.max, subs: n.subs, offset: n.offset}
	if n.min == n.max {
		return full
	}
	few.max--
	return &node{kind: kAlt, subs: []*node{
		full, {kind: kConcat, subs: []*node{&few, stop}, offset: n.offset},
	}, offset: n.offset}
}

// groupNumber finds a group by name or number.
func (p *parser) groupNumber(ref string, at int) int {
	if i := slices.Index(p.names[1:], ref); i >= 0 && ref != "" {
		return i + 1
	}
	n := 0
	for i := range len(ref) {
		if ref[i] < '0' || ref[i] > '9' || n > 1000 {
			p.failAt(at, "unknown group name %q", ref)
		}
		n = 10*n + int(ref[i]-'0')
	}
	if n == 0 {
		p.failAt(at, "bad group number %q", ref)
	}
	return n
}
