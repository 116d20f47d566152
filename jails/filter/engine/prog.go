package engine

import "fmt"

// op is the kind of an instruction.
type op uint8

const (
	opFail    op = iota
	opNop        // goes on at out
	opRune       // takes one rune of set arg, goes on at out
	opAlt        // goes on at out or, if that leads nowhere, at arg
	opCapture    // stores the position in slot arg
	opAssert     // holds the assertion arg
	opLook       // the program at arg accepts here, or not
	opBehind     // lookbehind arg holds here
	opBackref    // the text of group arg
	opCond       // out when group arg took part, else alt; gone after expand
	opMatch
	opAccept // the end of a lookahead
)

// inst is one instruction. Programs are immutable.
type inst struct {
	op       op
	negative bool // look
	captures bool // look: it holds captures that must be filled
	fold     bool // backref
	knot     bool // lies on a way that comes back to it without taking a rune
	out, arg uint32
	alt      uint32 // cond: where it goes on without the group; rune: where its run ends
	run      uint16 // rune: how many runes of one byte follow one another from here, itself included
	loop     loop   // alt: a repeat of one rune
}

// loop says which branch of an opAlt is a single rune that leads back to it.
type loop uint8

const (
	noLoop     loop = iota
	greedyLoop      // out
	lazyLoop        // arg
)

// maxProgram bounds the instructions of one pattern.
const maxProgram = 20000

// program is what a pattern compiles to: a main part and one part per lookahead.
type program struct {
	insts   []inst
	start   uint32
	sets    []set
	behinds []behind
	// order lists the instructions block by block, inner lookaheads first and the main part
	// last; inside a block what an instruction reaches without taking a rune stands before it.
	order  []uint32
	blocks []block
	slots  int
	backs  bool // has backreferences
}

// behind is one lookbehind.
type behind struct {
	tails    []tail
	negative bool
}

// block is a part of order.
type block struct {
	end    int  // in order
	cyclic bool // has a cycle of steps that take no rune
}

// builder turns a tree into instructions.
type builder struct {
	pattern string
	prog    *program
	setIDs  map[string]uint32
	behinds map[*node]uint32
	condBit map[int]uint32 // group that a conditional asks for: its bit
}

// build compiles a tree; errors are panics with *Error.
func build(pattern string, n *node, groups int) *program {
	b := &builder{
		pattern: pattern,
		prog:    &program{insts: []inst{{op: opFail}}, slots: 2 * (groups + 1)},
		setIDs:  map[string]uint32{},
		behinds: map[*node]uint32{},
		condBit: map[int]uint32{},
	}
	b.check(n, groups)
	match := b.add(n, inst{op: opMatch})
	b.prog.start = b.emit(n, match)
	b.expand()
	return b.prog
}

func (b *builder) fail(n *node, format string, args ...any) {
	panic(&Error{b.pattern, n.offset, fmt.Sprintf(format, args...)})
}

// maxConds bounds the groups that conditionals may ask for: each doubles the program.
const maxConds = 6

// check refuses what the program cannot say.
func (b *builder) check(n *node, groups int) {
	var inLook func(n *node, inside bool, found map[int]bool)
	inLook = func(n *node, inside bool, found map[int]bool) {
		if n.kind == kGroup && inside {
			found[n.group] = true
		}
		for _, s := range n.subs {
			inLook(s, inside || n.kind == kLook, found)
		}
	}
	found := map[int]bool{}
	inLook(n, false, found)
	n.walk(func(n *node) {
		if n.kind != kCond && n.kind != kBackref {
			return
		}
		if n.group > groups {
			b.fail(n, "invalid group reference %d: the pattern has %d groups", n.group, groups)
		}
		if n.kind == kBackref {
			b.prog.backs = true
			return
		}
		if found[n.group] {
			b.fail(n, "a conditional cannot ask for a group inside a lookaround")
		}
		if _, ok := b.condBit[n.group]; !ok {
			b.condBit[n.group] = 1 << len(b.condBit)
		}
		if len(b.condBit) > maxConds {
			b.fail(n, "conditionals ask for more than %d groups", maxConds)
		}
	})
	n.walk(func(n *node) {
		if n.kind == kLook {
			n.walk(func(in *node) {
				if in.kind == kBackref {
					b.fail(in, "a backreference inside a lookahead is not supported")
				}
			})
		}
	})
}

func (b *builder) add(n *node, i inst) uint32 {
	if len(b.prog.insts) >= maxProgram {
		b.fail(n, "the pattern is too large: its repeats unfold to more than %d steps", maxProgram)
	}
	b.prog.insts = append(b.prog.insts, i)
	return uint32(len(b.prog.insts) - 1)
}

func (b *builder) setID(s set) uint32 {
	key := string([]rune(s))
	if s == nil {
		key = "none"
	}
	id, ok := b.setIDs[key]
	if !ok {
		id = uint32(len(b.prog.sets))
		b.prog.sets = append(b.prog.sets, s)
		b.setIDs[key] = id
	}
	return id
}

// emit adds n's instructions, which go on at next, and returns where they begin.
func (b *builder) emit(n *node, next uint32) uint32 {
	switch n.kind {
	case kEmpty:
		return next
	case kSet:
		return b.add(n, inst{op: opRune, arg: b.setID(n.set), out: next})
	case kConcat:
		for i := len(n.subs) - 1; i >= 0; i-- {
			next = b.emit(n.subs[i], next)
		}
		return next
	case kAlt:
		pc := b.emit(n.subs[len(n.subs)-1], next)
		for i := len(n.subs) - 2; i >= 0; i-- {
			pc = b.add(n, inst{op: opAlt, out: b.emit(n.subs[i], next), arg: pc})
		}
		return pc
	case kRepeat:
		return b.repeat(n, next)
	case kGroup:
		end := b.add(n, inst{op: opCapture, arg: uint32(2*n.group + 1), out: next})
		return b.add(n, inst{op: opCapture, arg: uint32(2 * n.group), out: b.emit(n.subs[0], end)})
	case kAssert:
		return b.add(n, inst{op: opAssert, arg: uint32(n.assert), out: next})
	case kLook:
		captures := false
		n.walk(func(n *node) { captures = captures || n.kind == kGroup })
		sub := b.emit(n.subs[0], b.add(n, inst{op: opAccept}))
		return b.add(n, inst{op: opLook, negative: n.negative, captures: captures && !n.negative, arg: sub, out: next})
	case kBehind:
		id, ok := b.behinds[n]
		if !ok {
			id = uint32(len(b.prog.behinds))
			b.behinds[n] = id
			b.prog.behinds = append(b.prog.behinds, behind{n.behind, n.negative})
		}
		return b.add(n, inst{op: opBehind, arg: id, out: next})
	case kBackref:
		return b.add(n, inst{op: opBackref, arg: uint32(n.group), fold: n.fold, out: next})
	case kCond:
		yes, no := b.emit(n.subs[0], next), b.emit(n.subs[1], next)
		return b.add(n, inst{op: opCond, arg: uint32(n.group), out: yes, alt: no})
	}
	panic("engine: unknown node")
}

func (b *builder) fork(n *node, first, second uint32) uint32 {
	if n.lazy {
		first, second = second, first
	}
	return b.add(n, inst{op: opAlt, out: first, arg: second})
}

// repeat unfolds counted repeats: x{2,4} is xx(x(x)?)?.
func (b *builder) repeat(n *node, next uint32) uint32 {
	sub := n.subs[0]
	if n.max == unlimited {
		if n.min == 0 && !sub.nullable() {
			loop := b.add(n, inst{op: opNop})
			body := b.emit(sub, loop)
			b.prog.insts[loop] = inst{op: opAlt, out: body, arg: next}
			if n.lazy {
				b.prog.insts[loop] = inst{op: opAlt, out: next, arg: body}
			}
			return loop
		}
		// (x+)? keeps the order of choices right when x may be empty.
		loop := b.add(n, inst{op: opNop})
		body := b.emit(sub, loop)
		b.prog.insts[loop] = inst{op: opAlt, out: body, arg: next}
		if n.lazy {
			b.prog.insts[loop] = inst{op: opAlt, out: next, arg: body}
		}
		if n.min == 0 {
			return b.fork(n, body, next)
		}
		next = body
	} else {
		pc := next
		for range n.max - n.min {
			pc = b.fork(n, b.emit(sub, pc), next)
		}
		next = pc
	}
	copies := n.min
	if n.max == unlimited {
		copies-- // the loop is one
	}
	for range copies {
		pc := b.emit(sub, next)
		if pc == next {
			break // nothing was added, nor will be
		}
		next = pc
	}
	return next
}
