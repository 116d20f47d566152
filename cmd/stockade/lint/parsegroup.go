package lint

import "strings"

// addressGroups are the named groups that the engine takes an address from.
var addressGroups = map[string]bool{"ip4": true, "ip6": true}

// group reads a group; its ( is consumed already.
func (p *parser) group() *node {
	if p.depth++; p.depth > maxDepth {
		p.at = len(p.text)
		return &node{kind: kUnknown}
	}
	defer func() { p.depth-- }()
	if !p.take("?") {
		return p.body()
	}
	switch {
	case p.take("P<"):
		name, _, _ := strings.Cut(p.text[p.at:], ">")
		p.at = min(p.at+len(name)+1, len(p.text))
		n := p.body()
		if addressGroups[name] {
			return &node{kind: kAddress}
		}
		return n
	case p.take("P="):
		p.skip()
		return &node{kind: kUnknown}
	case p.take("#"):
		p.skip()
		return &node{kind: kEmpty}
	case p.take("="), p.take("!"), p.take("<="), p.take("<!"):
		p.body()
		return &node{kind: kEmpty}
	case p.take(">"):
		return p.body()
	case p.take("("): // (?(group)yes|no)
		p.skip()
		n := p.body()
		if n.kind != kAlt {
			n = &node{kind: kAlt, subs: []*node{n, {kind: kEmpty}}}
		}
		return n
	}
	for p.at < len(p.text) && p.peek() != ':' && p.peek() != ')' { // flags
		p.at++
	}
	if p.take(")") {
		return &node{kind: kEmpty}
	}
	p.at = min(p.at+1, len(p.text))
	return p.body()
}

// body reads up to the bracket that closes a group.
func (p *parser) body() *node {
	n := p.alternatives()
	p.at = min(p.at+1, len(p.text))
	return n
}

// skip goes behind the next closing bracket.
func (p *parser) skip() {
	end := strings.IndexByte(p.text[p.at:], ')')
	if end < 0 {
		p.at = len(p.text)
		return
	}
	p.at += end + 1
}

// tag reads one of fail2ban's tags; its < is consumed already.
func (p *parser) tag() *node {
	name, _, ok := strings.Cut(p.text[p.at:], ">")
	if !ok {
		return literal('<')
	}
	n := (*node)(nil)
	switch name {
	case "HOST", "ADDR", "IP4", "IP6", "SUBNET", "F-HOST/", "F-ADDR/", "F-IP4/", "F-IP6/", "F-SUBNET/":
		n = &node{kind: kAddress}
	case "DNS", "F-DNS/":
		n = &node{kind: kRepeat, min: 1, max: unlimited, subs: []*node{{kind: kSet, set: setWord.or(classOf("-.^"))}}}
	case "CIDR", "F-CIDR/":
		n = &node{kind: kRepeat, min: 1, max: unlimited, subs: []*node{{kind: kSet, set: setDigit}}}
	case "F-PORT/":
		n = &node{kind: kRepeat, min: 1, max: unlimited, subs: []*node{{kind: kSet, set: setWord}}}
	case "F-ID/":
		n = &node{kind: kRepeat, min: 1, max: unlimited, subs: []*node{{kind: kSet, set: setSpace.not()}}}
	case "SKIPLINES":
		n = &node{kind: kRepeat, max: unlimited, subs: []*node{{kind: kSet, set: setAny.or(setSpace)}}}
	}
	if n != nil {
		p.at += len(name) + 1
		return n
	}
	open, isOpen := strings.CutPrefix(name, "F-")
	if !isOpen || open == "" {
		return literal('<')
	}
	end := "</F-" + open + ">"
	inner, _, closed := strings.Cut(p.text[p.at+len(name)+1:], end)
	if !closed {
		return literal('<')
	}
	p.at += len(name) + 1 + len(inner) + len(end)
	if addressGroups[strings.ToLower(open)] {
		return &node{kind: kAddress}
	}
	sub := parser{text: inner, depth: p.depth + 1}
	if sub.depth > maxDepth {
		return &node{kind: kUnknown}
	}
	return sub.alternatives()
}
