package engine

import "unicode/utf8"

// maxSteps of a direct program: what needs more is not of a common shape.
const maxDirectSteps = 512

// lead says how the rest of a direct program can begin.
type lead struct {
	bytes [256]bool
	end   bool // with the end of the subject
	any   bool // with nothing: a match is complete here, whatever follows
}

// union adds the ways of o.
func (l lead) union(o lead) lead {
	for b, v := range o.bytes {
		l.bytes[b] = l.bytes[b] || v
	}
	l.end, l.any = l.end || o.end, l.any || o.any
	return l
}

// can says whether the rest can begin with a byte, or with atSubjectEnd.
func (l *lead) can(next int) bool {
	if next == atSubjectEnd {
		return l.end || l.any
	}
	return l.bytes[next] || l.any
}

// wide says whether it can begin with a part of a character outside ASCII.
func (l *lead) wide() bool {
	for b := utf8.RuneSelf; b < 256; b++ {
		if l.bytes[b] {
			return true
		}
	}
	return false
}

// directBuilder turns a tree into a direct program, from its end to its beginning.
type directBuilder struct {
	steps   []step
	leads   []lead // by step
	rests   []int  // by step: the fewest bytes from there to the end of a match
	classes map[string]*class
	shared  map[ways]*ways
	failed  bool // the tree is of another shape
}

// newDirect returns the direct program of an anchored pattern, nil when it has none.
func newDirect(tree *node) *direct {
	b := &directBuilder{classes: map[string]*class{}, shared: map[ways]*ways{}}
	start := b.emit(tree, b.add(step{op: stepMatch}, lead{any: true}))
	if b.failed {
		return nil
	}
	return &direct{steps: b.lay(nil, start, make([]uint32, len(b.steps)))}
}

// lay appends the steps from pc on to laid, each behind the one that it follows. at says where a step
// is already, counted from 1.
func (b *directBuilder) lay(laid []step, pc uint32, at []uint32) []step {
	for {
		if at[pc] > 0 {
			return append(laid, step{op: stepJump, out: at[pc] - 1})
		}
		laid = append(laid, b.steps[pc])
		here := len(laid)
		at[pc] = uint32(here)
		switch s := b.steps[pc]; s.op {
		case stepMatch:
			return laid
		case stepFork:
			laid = b.lay(laid, s.out, at)
			if at[s.alt] == 0 {
				pc = s.alt
				laid[here-1].alt = uint32(len(laid))
				continue
			}
			laid[here-1].alt = at[s.alt] - 1
			return laid
		default:
			pc = s.out
		}
	}
}

func (b *directBuilder) add(s step, l lead) uint32 {
	if len(b.steps) >= maxDirectSteps {
		b.failed = true
		return 0
	}
	b.steps, b.leads, b.rests = append(b.steps, s), append(b.leads, l), append(b.rests, b.rest(&s))
	return uint32(len(b.steps) - 1)
}

// rest returns the fewest bytes that are read from a step to the end of a match.
func (b *directBuilder) rest(s *step) int {
	switch s.op {
	case stepMatch:
		return 0
	case stepFork:
		return min(b.rests[s.out], b.rests[s.alt])
	case stepLiteral:
		return len(s.words.text) + b.rests[s.out]
	case stepOne:
		return 1 + b.rests[s.out]
	case stepRun, stepBack:
		return int(s.min) + b.rests[s.out]
	case stepShape:
		return s.shape.least + b.rests[s.out]
	}
	return b.rests[s.out]
}

// emit adds the steps of n, which go on at next, and returns where they begin.
func (b *directBuilder) emit(n *node, next uint32) uint32 {
	if b.failed {
		return next
	}
	switch n.kind {
	case kEmpty:
		return next
	case kSet:
		return b.one(n.set, next)
	case kConcat:
		return b.concat(n.subs, next)
	case kAlt:
		if pc, ok := b.shape(n, next); ok {
			return pc
		}
		return b.alternatives(n, next)
	case kRepeat:
		if pc, ok := b.shape(n, next); ok {
			return pc
		}
		return b.repeat(n, next)
	case kGroup:
		if pc, ok := b.span(n.subs[0], next); ok {
			b.steps[pc].slot = int32(2 * n.group)
			return pc
		}
		pc := b.add(step{op: stepSave, slot: int32(2*n.group + 1), out: next}, b.leads[next])
		pc = b.emit(n.subs[0], pc)
		return b.add(step{op: stepSave, slot: int32(2 * n.group), out: pc}, b.leads[pc])
	case kAssert:
		return b.assert(n.assert, next)
	}
	b.failed = true
	return next
}

// concat joins neighbours that are one byte each to a literal.
func (b *directBuilder) concat(subs []*node, next uint32) uint32 {
	for i := len(subs) - 1; i >= 0; {
		var text []byte
		j := i
		for ; j >= 0 && subs[j].kind == kSet; j-- {
			r, ok := subs[j].set.single()
			if !ok || r >= utf8.RuneSelf || r == '\n' {
				break
			}
			text = append(text, byte(r))
		}
		if len(text) == 0 {
			next = b.emit(subs[i], next)
			i--
			continue
		}
		next, i = b.literal(reversed(text), next), j
	}
	return next
}

func reversed(text []byte) string {
	for i, j := 0, len(text)-1; i < j; i, j = i+1, j-1 {
		text[i], text[j] = text[j], text[i]
	}
	return string(text)
}

func (b *directBuilder) literal(text string, next uint32) uint32 {
	if after := b.steps[next]; after.op == stepLiteral {
		text, next = text+after.words.text, after.out
	}
	var l lead
	l.bytes[text[0]] = true
	return b.add(step{op: stepLiteral, words: newWords(text), out: next}, l)
}

func (b *directBuilder) one(s set, next uint32) uint32 {
	if r, ok := s.single(); ok && r < utf8.RuneSelf && r != '\n' {
		return b.literal(string(r), next)
	}
	c := b.class(s, true)
	return b.add(step{op: stepOne, class: c, out: next}, c.lead())
}

// lead returns what a byte of the class, or one that is none for sure, begins with.
func (c *class) lead() lead {
	var l lead
	for i, is := range c.has {
		l.bytes[i] = is != outside
	}
	return l
}

// class returns the class of a set. single: exactly one character is taken, so that only those of
// one byte can be.
func (b *directBuilder) class(s set, single bool) *class {
	key := string([]rune(s))
	if single {
		key += "1"
	}
	if c := b.classes[key]; c != nil {
		return c
	}
	c := &class{none: -1}
	for i := range utf8.RuneSelf {
		if s.contains(rune(i)) {
			c.has[i] = inside
		}
	}
	high := unsure
	if n := len(s); n == 0 || s[n-1] < utf8.RuneSelf {
		high = outside
	} else if !single && s[n-1] == utf8.MaxRune && s[n-2] <= utf8.RuneSelf {
		high = inside
	}
	for i := utf8.RuneSelf; i < 256; i++ {
		c.has[i] = high
	}
	missing := 0
	for i, is := range c.has {
		if is != inside {
			missing++
			c.none = i
		}
	}
	if missing != 1 {
		c.none = -1
	}
	b.classes[key] = c
	return c
}

func (b *directBuilder) assert(a assertion, next uint32) uint32 {
	switch a {
	case beginText:
		l := b.leads[next]
		if l.any { // not here: only where the assertion holds
			l.any, l.end = false, true
			for i := range l.bytes {
				l.bytes[i] = true
			}
		}
		return b.add(step{op: stepBegin, out: next}, l)
	case endText:
		return b.add(step{op: stepEnd, out: next}, lead{end: true})
	case endLast:
		l := lead{end: true}
		l.bytes['\n'] = true
		return b.add(step{op: stepLast, out: next}, l)
	}
	b.failed = true
	return next
}

// alternatives tries the subs in order. What a sub that led nowhere has captured is forgotten.
func (b *directBuilder) alternatives(n *node, next uint32) uint32 {
	last := len(n.subs) - 1
	pc := b.clear(n.subs[:last], b.emit(n.subs[last], next))
	for i := last - 1; i >= 0; i-- {
		others := append(append([]*node{}, n.subs[:i]...), n.subs[i+1:]...)
		pc = b.fork(b.clear(others, b.emit(n.subs[i], next)), pc)
	}
	return pc
}

// clear forgets what the groups in nodes captured.
func (b *directBuilder) clear(nodes []*node, next uint32) uint32 {
	for _, n := range nodes {
		n.walk(func(n *node) {
			if n.kind == kGroup {
				next = b.add(step{op: stepClear, slot: int32(2 * n.group), min: int32(2*n.group + 2), out: next}, b.leads[next])
			}
		})
	}
	return next
}

// fork chooses by the next byte where that is enough.
func (b *directBuilder) fork(out, alt uint32) uint32 {
	if b.failed {
		return 0
	}
	var w ways
	for next := range w {
		if b.leads[out].can(next) {
			w[next] |= wayOut
		}
		if b.leads[alt].can(next) {
			w[next] |= wayAlt
		}
	}
	shared := b.shared[w]
	if shared == nil {
		shared = &w
		b.shared[w] = shared
	}
	return b.add(step{op: stepFork, out: out, alt: alt, forks: shared}, b.leads[out].union(b.leads[alt]))
}

// maxCopies bounds how often a repeat is unfolded.
const maxCopies = 8

func (b *directBuilder) repeat(n *node, next uint32) uint32 {
	sub := n.subs[0]
	if n.max == 0 {
		return next
	}
	if n.min == 0 && n.max == 1 {
		skip := b.clear(n.subs, next)
		if n.lazy {
			return b.fork(skip, b.emit(sub, next))
		}
		return b.fork(b.emit(sub, next), skip)
	}
	if s, ok := sub.single(); ok && !n.lazy {
		return b.run(s, n.min, n.max, next)
	}
	groups := 0
	sub.walk(func(n *node) {
		if n.kind == kGroup {
			groups++
		}
	})
	if groups > 0 || n.max == unlimited || n.max > maxCopies {
		b.failed = true
		return next
	}
	pc := next
	for range n.max - n.min {
		body := b.emit(sub, pc)
		if n.lazy {
			pc = b.fork(next, body)
		} else {
			pc = b.fork(body, next)
		}
	}
	for range n.min {
		pc = b.emit(sub, pc)
	}
	return pc
}
