package engine

import "unicode/utf8"

// oracle is the matcher that a textbook would write: it tries everything in order. It is
// exponential, and therefore gives up when its fuel is spent.
type oracle struct {
	text []byte // with the final newline, where one belongs
	caps []int
	fuel int
}

// search returns the spans of the leftmost match, nil when there is none.
func (o *oracle) search(n *node, groups int) (spans []int, done bool) {
	for pos := 0; pos <= len(o.text); pos += width(o.text, pos) {
		o.caps = make([]int, 2*(groups+1))
		for i := range o.caps {
			o.caps[i] = -1
		}
		if o.match(n, pos, func(end int) bool { o.caps[1] = end; return true }) {
			o.caps[0] = pos
			return o.caps, o.fuel > 0
		}
	}
	return nil, o.fuel > 0
}

func (o *oracle) match(n *node, pos int, next func(int) bool) bool {
	if o.fuel--; o.fuel <= 0 {
		return false
	}
	switch n.kind {
	case kEmpty:
		return next(pos)
	case kSet:
		if pos == len(o.text) {
			return false
		}
		r, w := utf8.DecodeRune(o.text[pos:])
		return n.set.contains(r) && next(pos+w)
	case kConcat:
		return o.sequence(n.subs, pos, next)
	case kAlt:
		for _, s := range n.subs {
			if o.match(s, pos, next) {
				return true
			}
		}
		return false
	case kRepeat:
		return o.repeat(n, 0, pos, next)
	case kGroup:
		from, to := o.caps[2*n.group], o.caps[2*n.group+1]
		if o.match(n.subs[0], pos, func(end int) bool {
			a, b := o.caps[2*n.group], o.caps[2*n.group+1]
			o.caps[2*n.group], o.caps[2*n.group+1] = pos, end
			if next(end) {
				return true
			}
			o.caps[2*n.group], o.caps[2*n.group+1] = a, b
			return false
		}) {
			return true
		}
		o.caps[2*n.group], o.caps[2*n.group+1] = from, to
		return false
	case kAssert:
		return o.holds(n.assert, pos) && next(pos)
	case kLook:
		saved := append([]int(nil), o.caps...)
		found := o.match(n.subs[0], pos, func(int) bool { return true })
		if found != n.negative {
			if n.negative {
				copy(o.caps, saved)
			}
			if next(pos) {
				return true
			}
		}
		copy(o.caps, saved)
		return false
	case kBehind:
		b := behind{tails: n.behind}
		return b.holds(o.text, pos) != n.negative && next(pos)
	case kCond:
		if o.caps[2*n.group+1] >= 0 {
			return o.match(n.subs[0], pos, next)
		}
		return o.match(n.subs[1], pos, next)
	case kBackref:
		from, to := o.caps[2*n.group], o.caps[2*n.group+1]
		if to < 0 || pos+to-from > len(o.text) || string(o.text[from:to]) != string(o.text[pos:pos+to-from]) {
			return false
		}
		return boundary(o.text, pos+to-from) && next(pos+to-from)
	}
	panic("unknown node")
}

func (o *oracle) sequence(subs []*node, pos int, next func(int) bool) bool {
	if len(subs) == 0 {
		return next(pos)
	}
	return o.match(subs[0], pos, func(pos int) bool { return o.sequence(subs[1:], pos, next) })
}

func (o *oracle) repeat(n *node, turns, pos int, next func(int) bool) bool {
	more := func() bool {
		return (n.max == unlimited || turns < n.max) && o.match(n.subs[0], pos, func(end int) bool {
			return o.repeat(n, turns+1, end, next)
		})
	}
	stop := func() bool { return turns >= n.min && next(pos) }
	if n.lazy {
		return stop() || more()
	}
	return more() || stop()
}

func (o *oracle) holds(a assertion, pos int) bool {
	word := func(i int) bool { return i >= 0 && i < len(o.text) && setWord.contains(rune(o.text[i])) }
	switch a {
	case beginText:
		return pos == 0
	case beginLine:
		return pos == 0 || o.text[pos-1] == '\n'
	case endText:
		return pos == len(o.text)
	case endLast:
		return pos == len(o.text) || pos == len(o.text)-1 && o.text[pos] == '\n'
	case endLine:
		return pos == len(o.text) || o.text[pos] == '\n'
	}
	return (word(pos-1) != word(pos)) == (a == wordBoundary)
}
