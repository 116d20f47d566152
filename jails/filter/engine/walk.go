package engine

import "unicode/utf8"

// view is what a reverse pass left: from which instructions a match can be completed, by position.
type view struct {
	sets   []uint32
	rows   []uint32
	stride uint32
}

func (v *view) viable(pos int, pc uint32) bool {
	return v.sets[v.rows[pos]+v.stride+pc>>5]>>(pc&31)&1 != 0
}

// walker follows the match that the reverse pass has shown to exist.
type walker struct {
	insts []inst
	text  []byte
	view  view
	caps  []int

	seen  []uint32 // by instruction: stamp of the position where settle saw it
	stamp uint32
	stack []settling
	log   []undo
	inner *walker // for lookaheads met by settle
}

// settling is a path that settle has not tried yet.
type settling struct {
	pc  uint32
	log int
}

// undo restores a slot.
type undo struct{ slot, old int }

func (w *walker) set(insts []inst, text []byte, v view, caps []int) {
	w.insts, w.text, w.view, w.caps = insts, text, v, caps
}

// width returns the bytes of the rune at pos.
func width(text []byte, pos int) int {
	if pos >= len(text) || text[pos] < utf8.RuneSelf {
		return 1
	}
	_, w := utf8.DecodeRune(text[pos:])
	return w
}

// run goes from pc at pos to the end of the match or lookahead, and returns where that is.
func (w *walker) run(pc uint32, pos int) int {
	insts, text, sets, rows, stride := w.insts, w.text, w.view.sets, w.view.rows, w.view.stride
	set := sets[rows[pos]+stride:]
	for {
		in := &insts[pc]
		if in.knot {
			pc = w.settle(pc, pos)
			in = &insts[pc]
		}
		switch in.op {
		case opRune:
			if in.run > 0 {
				pos += int(in.run)
				pc = in.alt
			} else {
				pos += width(text, pos)
				pc = in.out
			}
			set = sets[rows[pos]+stride:]
		case opAlt:
			first := in.out
			switch in.loop {
			case greedyLoop:
				for set[first>>5]>>(first&31)&1 != 0 {
					pos += width(text, pos)
					set = sets[rows[pos]+stride:]
				}
				pc = in.arg
				continue
			case lazyLoop:
				for set[first>>5]>>(first&31)&1 == 0 {
					pos += width(text, pos)
					set = sets[rows[pos]+stride:]
				}
				pc = first
				continue
			}
			pc = in.arg
			if set[first>>5]>>(first&31)&1 != 0 {
				pc = first
			}
		case opCapture:
			w.caps[in.arg] = pos
			pc = in.out
		case opLook:
			if in.captures {
				w.run(in.arg, pos)
			}
			pc = in.out
		case opAssert, opBehind:
			pc = in.out
		default:
			return pos
		}
	}
}

// settle finds, among the ways from pc that take no rune, the first that leads to a rune or to the
// end. It is needed where a loop can turn without taking a rune: such a turn is no progress and
// must not be chosen twice.
func (w *walker) settle(pc uint32, pos int) uint32 {
	if len(w.seen) < len(w.insts) {
		w.seen = make([]uint32, len(w.insts))
		w.stamp = 0
	}
	if w.stamp++; w.stamp == 0 {
		clear(w.seen)
		w.stamp = 1
	}
	w.log = w.log[:0]
	w.stack = append(w.stack[:0], settling{pc, 0})
	for {
		top := w.stack[len(w.stack)-1]
		w.stack = w.stack[:len(w.stack)-1]
		for len(w.log) > top.log {
			u := w.log[len(w.log)-1]
			w.caps[u.slot] = u.old
			w.log = w.log[:len(w.log)-1]
		}
		if w.seen[top.pc] == w.stamp || !w.view.viable(pos, top.pc) {
			continue
		}
		w.seen[top.pc] = w.stamp
		in := &w.insts[top.pc]
		switch in.op {
		case opAlt:
			w.stack = append(w.stack, settling{in.arg, top.log}, settling{in.out, top.log})
			continue
		case opCapture:
			w.log = append(w.log, undo{int(in.arg), w.caps[in.arg]})
			w.caps[in.arg] = pos
		case opLook:
			if in.captures {
				for slot, old := range w.caps {
					w.log = append(w.log, undo{slot, old})
				}
				if w.inner == nil {
					w.inner = &walker{}
				}
				w.inner.set(w.insts, w.text, w.view, w.caps)
				w.inner.run(in.arg, pos)
			}
		case opRune, opMatch, opAccept:
			return top.pc
		}
		w.stack = append(w.stack, settling{in.out, len(w.log)})
	}
}
