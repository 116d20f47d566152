package engine

import "unicode/utf8"

// span takes n in one step, if it is a run or a shape.
func (b *directBuilder) span(n *node, next uint32) (pc uint32, ok bool) {
	if n.kind == kRepeat && !n.lazy && (n.min > 0 || n.max == unlimited) {
		if s, single := n.subs[0].single(); single {
			pc = b.run(s, n.min, n.max, next)
			return pc, !b.failed
		}
	}
	return b.shape(n, next)
}

// fewSets is how many sets a tree holds for which steps are as good as a shape.
const fewSets = 6

// shape takes n by an automaton: where many steps would be needed otherwise, and what follows tells
// where n ends.
func (b *directBuilder) shape(n *node, next uint32) (pc uint32, ok bool) {
	sets, classes := 0, 0
	n.walk(func(n *node) {
		if n.kind == kSet {
			sets++
			if _, single := n.set.single(); !single {
				classes++
			}
		}
	})
	follow := &b.leads[next]
	if b.failed || sets <= fewSets || classes < 2 || follow.any {
		return 0, false
	}
	s := shapeOf(n)
	if s == nil {
		return 0, false
	}
	var l lead
	for c, class := range s.class {
		if class > 0 && follow.bytes[c] {
			return 0, false
		}
		l.bytes[c] = class > 0 && s.next[s.stride+int(class)] > 0
	}
	if s.least == 0 {
		l = l.union(*follow)
	}
	return b.add(step{op: stepShape, shape: s, out: next}, l), true
}

// run takes min to max characters of a set. Where what follows begins with none of them the
// longest run is the only one that can be.
func (b *directBuilder) run(s set, least, most int, next uint32) uint32 {
	if b.failed {
		return 0
	}
	c := b.class(s, false)
	high := c.has[utf8.RuneSelf] == inside
	if high && (least > 1 || most != unlimited) {
		b.failed = true // characters are counted, not bytes
		return 0
	}
	follow := &b.leads[next]
	l := c.lead()
	if least == 0 {
		l = l.union(*follow)
	}
	in := step{op: stepRun, class: c, min: int32(least), max: int32(most), out: next}
	overlaps := false
	for i, is := range c.has {
		overlaps = overlaps || is == inside && follow.bytes[i]
	}
	if overlaps && !follow.any {
		if high && follow.wide() {
			b.failed = true // a shorter run could end inside a character
			return 0
		}
		in.op = stepBack
		in.words, in.behind = b.follows(next), int32(b.rests[next])
	}
	return b.add(in, l)
}

// follows returns the literal that stands at pc, behind the ends and beginnings of groups, nil if
// something else does.
func (b *directBuilder) follows(pc uint32) *words {
	for b.steps[pc].op == stepSave {
		pc = b.steps[pc].out
	}
	if b.steps[pc].op != stepLiteral {
		return nil
	}
	return b.steps[pc].words
}
