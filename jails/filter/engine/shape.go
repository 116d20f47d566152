package engine

import (
	"encoding/binary"
	"sync"
)

// shape recognises a span of text that holds bytes of one alphabet only and that a byte outside of
// it ends, such as an address before a blank: where the span ends is known without trying, and
// whether it is of the form that the pattern wants is asked of a small automaton, one look-up a byte.
type shape struct {
	class  [256]uint8 // of a byte; 0 is outside the alphabet
	next   []uint16   // by state + class the state that follows, 0 is no way on; at a state itself: complete or 0
	stride int        // between states, of which the first is this
	least  int        // bytes of a span: 1, or 0 where it may be empty
}

const (
	complete  = 1  // the form is
	maxShapes = 96 // states
)

// span returns where the bytes of the alphabet end that begin at pos, and whether they are of the
// form. Where they are not, to is somewhere before.
func (s *shape) span(text []byte, pos int) (to int, ok bool) {
	state := s.stride
	for ; pos < len(text); pos++ {
		c := int(s.class[text[pos]])
		if c == 0 {
			break
		}
		if state = int(s.next[state+c]); state == 0 {
			return pos, false
		}
	}
	return pos, s.next[state] == complete
}

// built remembers shapes by their trees: nearly all patterns share that of an address.
var built struct {
	sync.Mutex
	shapes map[string]*shape
}

// maxBuilt bounds how many are remembered.
const maxBuilt = 64

// shapeOf is newShape with a memory.
func shapeOf(n *node) *shape {
	key := string(n.appendForm(nil))
	built.Lock()
	defer built.Unlock()
	s, seen := built.shapes[key]
	if !seen {
		s = newShape(n)
		if built.shapes == nil {
			built.shapes = map[string]*shape{}
		}
		if len(built.shapes) < maxBuilt {
			built.shapes[key] = s
		}
	}
	return s
}

// appendForm appends what tells trees apart that a shape can be made of.
func (n *node) appendForm(b []byte) []byte {
	b = binary.AppendVarint(append(b, byte(n.kind)), int64(len(n.subs)))
	switch n.kind {
	case kSet:
		b = binary.AppendVarint(b, int64(len(n.set)))
		for _, r := range n.set {
			b = binary.AppendVarint(b, int64(r))
		}
	case kRepeat:
		b = binary.AppendVarint(binary.AppendVarint(b, int64(n.min)), int64(n.max))
	}
	for _, s := range n.subs {
		b = s.appendForm(b)
	}
	return b
}

// newShape returns the shape of a tree, nil when it has none: when it holds more than bytes of ASCII
// in some order, or when its automaton is large.
func newShape(n *node) *shape {
	plain := true
	n.walk(func(n *node) {
		switch n.kind {
		case kSet:
			plain = plain && len(n.set) > 0 && n.set[len(n.set)-1] < 0x80 && !n.set.contains('\n')
		case kEmpty, kConcat, kAlt, kRepeat:
		default:
			plain = false
		}
	})
	if !plain {
		return nil
	}
	p := build("", n, 0)
	a, ok := newAlphabet(p)
	if !ok {
		return nil
	}
	s := &shape{stride: a.n + 1, next: make([]uint16, a.n+1), least: 1}
	for b := range a.ascii {
		for _, in := range a.member {
			if in[a.ascii[b]] {
				s.class[b] = a.ascii[b] + 1
			}
		}
	}
	// The states are the sets of instructions that a text can lead to.
	var sets [][]uint32
	number := map[string]uint16{}
	state := func(pcs []uint32) uint16 {
		set, done := p.reach(pcs)
		if len(set) == 0 && !done {
			return 0
		}
		key := string([]rune{rune(b2b(done))})
		for _, pc := range set {
			key += string(rune(pc))
		}
		id, seen := number[key]
		if !seen {
			id = uint16(len(s.next))
			number[key] = id
			sets = append(sets, set)
			s.next = append(s.next, make([]uint16, s.stride)...)
			if done {
				s.next[id] = complete
			}
		}
		return id
	}
	state([]uint32{p.start})
	for i := 0; i < len(sets); i++ {
		for class := range a.n {
			if len(sets) > maxShapes {
				return nil
			}
			var to []uint32
			for _, pc := range sets[i] {
				if in := &p.insts[pc]; a.member[in.arg][class] {
					to = append(to, in.out)
				}
			}
			id := state(to) // may move s.next
			s.next[(1+i)*s.stride+1+class] = id
		}
	}
	if s.next[s.stride] == complete {
		s.least = 0
	}
	return s
}

// reach returns the runes that can be taken next from any of pcs, in ascending order, and whether
// the end can be reached without one.
func (p *program) reach(pcs []uint32) (set []uint32, done bool) {
	seen := make([]bool, len(p.insts))
	for todo := pcs; len(todo) > 0; {
		pc := todo[len(todo)-1]
		todo = todo[:len(todo)-1]
		if seen[pc] {
			continue
		}
		seen[pc] = true
		switch in := &p.insts[pc]; in.op {
		case opAlt:
			todo = append(todo, in.out, in.arg)
		case opNop:
			todo = append(todo, in.out)
		case opMatch:
			done = true
		}
	}
	for pc, s := range seen {
		if s && p.insts[pc].op == opRune {
			set = append(set, uint32(pc))
		}
	}
	return set, done
}
