package engine

import (
	"slices"
	"unicode/utf8"
)

// state is an instruction together with which of the groups that conditionals ask for took part.
type state struct{ pc, bits uint32 }

// expander copies the reachable instructions, once per combination of condition bits, so that
// no conditional is left and a position in the program says all about the future.
type expander struct {
	b     *builder
	from  []inst
	to    []inst
	ids   map[state]uint32
	order []uint32
}

// expand replaces the program by its expanded form and finds the order of evaluation.
func (b *builder) expand() {
	p := b.prog
	x := &expander{b: b, from: p.insts, to: []inst{{op: opFail}}, ids: map[state]uint32{}}
	p.start = x.part(x.resolve(state{p.start, 0}), p)
	p.insts, p.order = x.to, x.order
	p.runs()
}

// runs finds what the walk may take in one step.
func (p *program) runs() {
	oneByte := make([]bool, len(p.sets))
	for i, s := range p.sets {
		oneByte[i] = len(s) > 0 && s[len(s)-1] < utf8.RuneSelf
	}
	begins := func(pc uint32) bool {
		in := &p.insts[pc]
		return in.op == opRune && oneByte[in.arg]
	}
	var chain []uint32
	for pc := range p.insts {
		in := &p.insts[pc]
		switch in.op {
		case opRune:
			at := uint32(pc)
			for chain = chain[:0]; begins(at) && p.insts[at].run == 0 && len(chain) < maxProgram; at = p.insts[at].out {
				chain = append(chain, at)
			}
			length, end := uint16(0), at
			if begins(at) {
				length, end = p.insts[at].run, p.insts[at].alt
			}
			for _, at := range slices.Backward(chain) {
				length++
				p.insts[at].run, p.insts[at].alt = length, end
			}
		case opAlt:
			back := func(to uint32) bool { return p.insts[to].op == opRune && p.insts[to].out == uint32(pc) }
			switch {
			case back(in.out):
				in.loop = greedyLoop
			case back(in.arg):
				in.loop = lazyLoop
			}
		}
	}
}

// part copies everything reachable from s, lookaheads before it, and adds its block.
func (x *expander) part(s state, p *program) uint32 {
	start, todo := x.id(s), []state{s}
	done := map[state]bool{s: true}
	var mine []uint32
	for len(todo) > 0 {
		s := todo[len(todo)-1]
		todo = todo[:len(todo)-1]
		id := x.ids[s]
		mine = append(mine, id)
		in := x.from[s.pc]
		follow := func(pc, bits uint32) uint32 {
			next := x.resolve(state{pc, bits})
			nid := x.id(next)
			if !done[next] {
				done[next] = true
				todo = append(todo, next)
			}
			return nid
		}
		bits := s.bits
		switch in.op {
		case opCapture:
			if bit, ok := x.b.condBit[int(in.arg/2)]; ok && in.arg%2 == 1 {
				bits |= bit
			}
			in.out = follow(in.out, bits)
		case opAlt:
			in.out, in.arg = follow(in.out, bits), follow(in.arg, bits)
		case opLook:
			in.arg = x.part(x.resolve(state{in.arg, bits}), p)
			in.out = follow(in.out, bits)
		case opRune, opAssert, opBehind, opBackref:
			in.out = follow(in.out, bits)
		}
		x.to[id] = in
	}
	x.sort(mine, p)
	return start
}

// resolve skips what decides nothing: conditionals, whose answer is known here.
func (x *expander) resolve(s state) state {
	for x.from[s.pc].op == opCond {
		in := x.from[s.pc]
		if s.bits&x.b.condBit[int(in.arg)] != 0 {
			s.pc = in.out
		} else {
			s.pc = in.alt
		}
	}
	return s
}

func (x *expander) id(s state) uint32 {
	id, ok := x.ids[s]
	if !ok {
		if len(x.to) >= maxProgram {
			panic(&Error{x.b.pattern, 0, "the pattern is too large: its conditionals multiply its repeats"})
		}
		id = uint32(len(x.to))
		x.to = append(x.to, inst{})
		x.ids[s] = id
	}
	return id
}

// sort appends the block's instructions in the order of evaluation.
func (x *expander) sort(ids []uint32, p *program) {
	const (
		unseen, active, finished = 0, 1, 2
	)
	mark := make([]uint8, len(x.to))
	cyclic := false
	type frame struct {
		id   uint32
		next int
	}
	var stack []frame
	for _, root := range ids {
		if mark[root] != unseen {
			continue
		}
		stack = append(stack[:0], frame{id: root})
		mark[root] = active
		for len(stack) > 0 {
			f := &stack[len(stack)-1]
			in := &x.to[f.id]
			var succ [2]uint32
			n := 0
			switch in.op {
			case opAlt:
				succ, n = [2]uint32{in.out, in.arg}, 2
			case opCapture, opAssert, opLook, opBehind, opBackref:
				succ, n = [2]uint32{in.out}, 1
			}
			if f.next == n {
				mark[f.id] = finished
				x.order = append(x.order, f.id)
				stack = stack[:len(stack)-1]
				continue
			}
			to := succ[f.next]
			f.next++
			switch mark[to] {
			case unseen:
				mark[to] = active
				stack = append(stack, frame{id: to})
			case active:
				cyclic = true
				for i := len(stack) - 1; ; i-- {
					x.to[stack[i].id].knot = true
					if stack[i].id == to {
						break
					}
				}
			case finished:
				// A way into a knot may be part of it: to call it one is on the safe side.
				if x.to[to].knot {
					for _, f := range stack {
						x.to[f.id].knot = true
					}
				}
			}
		}
	}
	p.blocks = append(p.blocks, block{end: len(x.order), cyclic: cyclic})
}
