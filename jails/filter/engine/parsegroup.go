package engine

import (
	"slices"
	"strings"
	"unicode/utf8"
)

// group reads everything that begins with a parenthesis; nil for a comment or flags.
func (p *parser) group() *node {
	at := p.pos
	saved := p.flags
	switch {
	case p.take("(?:"):
		return p.finish(p.afterFlags(at), at, saved)
	case p.take("(?#"):
		end := strings.IndexByte(p.src[p.pos:], ')')
		if end < 0 {
			p.failAt(at, "missing ), unterminated comment")
		}
		p.pos += end + 1
		return nil
	case p.take("(?P<"):
		return p.capture(p.name(at, '>'), at, saved)
	case p.take("(?P="):
		name := p.name(at, ')')
		g := p.groupNumber(name, at)
		if slices.Contains(p.open, g) {
			p.failAt(at, "cannot refer to the group %q inside itself", name)
		}
		return &node{kind: kBackref, group: g, fold: p.flags.fold, offset: at}
	case p.take("(?P"):
		p.failAt(at, "unknown extension: after (?P comes <name> or =name")
	case p.take("(?="), p.take("(?!"):
		neg := p.src[p.pos-1] == '!'
		sub := p.finish(p.alternation(), at, saved)
		return &node{kind: kLook, negative: neg, subs: []*node{sub}, offset: at}
	case p.take("(?<="), p.take("(?<!"):
		neg := p.src[p.pos-1] == '!'
		sub := p.finish(p.alternation(), at, saved)
		return &node{kind: kBehind, negative: neg, behind: p.tails(sub, at), offset: at}
	case p.take("(?>"):
		sub := p.finish(p.alternation(), at, saved)
		if _, ok := sub.single(); ok {
			return sub
		}
		if sub.kind == kRepeat && !sub.lazy {
			return p.possessive(sub)
		}
		p.failAt(at, "an atomic group is supported only around one repeated character or class")
	case p.take("(?("):
		return p.conditional(at, saved)
	case p.take("(?"):
		return p.inlineFlags(at, saved)
	}
	p.pos++
	if p.flagsOnly() {
		// fail2ban rewrites ((?i)a|b) to (?i:a|b): the group captures no more.
		return p.finish(p.afterFlags(at), at, saved)
	}
	return p.capture("", at, saved)
}

// flagsOnly says whether the pattern goes on with flags that have a parenthesis of their own.
func (p *parser) flagsOnly() bool {
	rest, ok := strings.CutPrefix(p.src[p.pos:], "(?")
	if !ok {
		return false
	}
	letters := strings.TrimLeft(rest, "aiLmsux")
	return len(letters) < len(rest) && strings.HasPrefix(letters, ")")
}

// afterFlags reads the inside of a group whose first thing may be flags: they then hold for
// this group.
func (p *parser) afterFlags(at int) *node {
	if p.flagsOnly() {
		p.pos += len("(?")
		p.letters(at, true)
		p.pos++
	}
	return p.alternation()
}

// finish closes a group and restores the flags.
func (p *parser) finish(n *node, at int, saved flags) *node {
	if !p.take(")") {
		p.failAt(at, "missing ), unterminated group")
	}
	p.flags = saved
	return n
}

// maxGroups bounds the capturing groups of a pattern.
const maxGroups = 200

func (p *parser) capture(name string, at int, saved flags) *node {
	if name != "" && slices.Contains(p.names, name) {
		p.failAt(at, "the group name %q is used twice: in fail2ban's tags write <F-ALT_NAME> for the second", name)
	}
	g := len(p.names)
	if g > maxGroups {
		p.failAt(at, "more than %d groups", maxGroups)
	}
	p.names = append(p.names, name)
	p.open = append(p.open, g)
	sub := p.finish(p.alternation(), at, saved)
	p.open = p.open[:len(p.open)-1]
	return &node{kind: kGroup, group: g, subs: []*node{sub}, offset: at}
}

// name reads a group's name up to end.
func (p *parser) name(at int, end byte) string {
	n := strings.IndexByte(p.src[p.pos:], end)
	if n < 0 {
		p.failAt(at, "missing %q, unterminated name", end)
	}
	name := p.src[p.pos : p.pos+n]
	for i, r := range name {
		digit := r >= '0' && r <= '9'
		if r < utf8.RuneSelf && !setWord.contains(r) || digit && i == 0 {
			p.failAt(p.pos+i, "bad character in group name %q", name)
		}
	}
	if name == "" {
		p.failAt(p.pos, "missing group name")
	}
	p.pos += n + 1
	return name
}

func (p *parser) conditional(at int, saved flags) *node {
	end := strings.IndexByte(p.src[p.pos:], ')')
	if end < 0 {
		p.failAt(at, "missing ), unterminated condition")
	}
	g := p.groupNumber(p.src[p.pos:p.pos+end], p.pos)
	p.pos += end + 1
	yes := p.concat()
	no := &node{kind: kEmpty, offset: p.pos}
	if p.take("|") {
		no = p.concat()
		if p.peek() == '|' {
			p.failAt(p.pos, "a conditional has at most two branches")
		}
	}
	return p.finish(&node{kind: kCond, group: g, subs: []*node{yes, no}, offset: at}, at, saved)
}

// inlineFlags reads (?i) and (?i-s:...).
func (p *parser) inlineFlags(at int, saved flags) *node {
	on := p.letters(at, true)
	if p.take(")") {
		if !on {
			p.failAt(at, "unknown extension %q", p.src[at:p.pos])
		}
		// Python up to 3.10 takes a flag anywhere as one of the whole pattern.
		g := p.global
		g.fold = g.fold || p.flags.fold
		g.multi = g.multi || p.flags.multi
		g.dotall = g.dotall || p.flags.dotall
		if g != p.global {
			p.global = g
			panic(restart{})
		}
		return nil
	}
	if p.take("-") && !p.letters(at, false) {
		p.failAt(p.pos, "missing flag after -")
	}
	if !p.take(":") {
		p.failAt(at, "unknown extension %q", p.src[at:min(p.pos+1, len(p.src))])
	}
	return p.finish(p.alternation(), at, saved)
}

// letters reads flag letters and sets them; false when there is none.
func (p *parser) letters(at int, value bool) bool {
	start := p.pos
	for ; p.more(); p.pos++ {
		switch p.peek() {
		case 'i':
			p.flags.fold = value
		case 'm':
			p.flags.multi = value
		case 's':
			p.flags.dotall = value
		case 'a', 'u':
		case 'x':
			p.failAt(at, "the flag x (verbose) is not supported: write the pattern without blanks and comments")
		case 'L':
			p.failAt(at, "the flag L (locale) is not supported")
		default:
			return p.pos > start
		}
	}
	return p.pos > start
}

// tails turns the inside of a lookbehind into fixed sequences.
func (p *parser) tails(n *node, at int) []tail {
	out := p.sequences(n, at)
	for _, t := range out {
		if t.width() != out[0].width() {
			p.failAt(at, "look-behind requires a fixed width")
		}
		slices.Reverse(t)
	}
	return out
}

// sequences lists what n matches, in reading order.
func (p *parser) sequences(n *node, at int) []tail {
	switch n.kind {
	case kEmpty:
		return []tail{{}}
	case kSet:
		return []tail{{{set: n.set}}}
	case kAssert:
		switch n.assert {
		case beginText, beginLine, wordBoundary, noWordBoundary:
			return []tail{{{assert: n.assert}}}
		}
	case kAlt:
		var out []tail
		for _, s := range n.subs {
			out = append(out, p.sequences(s, at)...)
		}
		return out
	case kConcat:
		out := []tail{{}}
		for _, s := range n.subs {
			out = p.join(out, p.sequences(s, at), at)
		}
		return out
	case kRepeat:
		if n.min != n.max {
			p.failAt(at, "look-behind requires a fixed width")
		}
		out := []tail{{}}
		for range n.min {
			out = p.join(out, p.sequences(n.subs[0], at), at)
		}
		return out
	}
	p.failAt(n.offset, "this is not supported inside a look-behind: only characters, classes, alternatives, fixed repeats, ^ and \\b are")
	return nil
}

func (p *parser) join(a, b []tail, at int) []tail {
	if len(a)*len(b) > 64 {
		p.failAt(at, "the look-behind has more than 64 alternatives")
	}
	var out []tail
	for _, x := range a {
		for _, y := range b {
			if len(x)+len(y) > maxBehind {
				p.failAt(at, "a look-behind may look back at most %d characters", maxBehind)
			}
			out = append(out, slices.Concat(x, y))
		}
	}
	return out
}
