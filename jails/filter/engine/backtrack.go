package engine

import (
	"bytes"
	"math/rand/v2"
	"unicode/utf8"
)

// maxSteps bounds the work of one search with backreferences: some milliseconds.
const maxSteps = 200_000

// backtracker searches patterns with backreferences, among the positions that the reverse pass
// left, remembering where it failed with the same captured text.
type backtracker struct {
	stack []frame
	memo  []uint64 // open addressing: hashes of failed (instruction, position, captures)
	used  int
	seed  uint64
	caps  []int
	refs  []int // slots of the groups that are referred to
	walk  walker
	steps int // of the last search
}

// frame is something to try later, or a slot to restore.
type frame struct {
	pc   uint32
	slot int32 // -1: try pc at at
	at   int
}

func (b *backtracker) search(m *Machine, re *Regexp, text []byte, end, start int, v view, caps []int) (bool, error) {
	b.prepare(re)
	for pos := start; pos <= end; pos += width(text, pos) {
		if !v.viable(pos, re.entry) {
			continue
		}
		for i := range b.caps {
			b.caps[i] = -1
		}
		for _, s := range re.slots {
			b.caps[s.slot] = s.at
		}
		ok, err := b.from(re, text, pos, end, v)
		if err != nil {
			return false, err
		}
		if ok {
			b.caps[0] = pos - len(re.prefix)
			clamp(b.caps, len(text))
			copy(caps, b.caps)
			return true, nil
		}
		if re.anchored {
			break
		}
	}
	return false, nil
}

func (b *backtracker) prepare(re *Regexp) {
	b.steps = 0
	if b.seed == 0 {
		b.seed = rand.Uint64() | 1
		b.memo = make([]uint64, 1024)
	}
	if b.used > 0 {
		if len(b.memo) > 1<<14 {
			b.memo = make([]uint64, 1024)
		}
		clear(b.memo)
		b.used = 0
	}
	if cap(b.caps) < re.prog.slots {
		b.caps = make([]int, re.prog.slots)
	}
	b.caps = b.caps[:re.prog.slots]
	b.refs = b.refs[:0]
	for i := range re.prog.insts {
		if in := &re.prog.insts[i]; in.op == opBackref {
			b.refs = append(b.refs, int(2*in.arg), int(2*in.arg+1))
		}
	}
}

// from tries all ways from the program's entry at pos.
func (b *backtracker) from(re *Regexp, text []byte, pos, end int, v view) (bool, error) {
	insts := re.prog.insts
	b.stack = append(b.stack[:0], frame{re.entry, -1, pos})
	for len(b.stack) > 0 {
		f := b.stack[len(b.stack)-1]
		b.stack = b.stack[:len(b.stack)-1]
		if f.slot >= 0 {
			b.caps[f.slot] = f.at
			continue
		}
		pc, pos := f.pc, f.at
		for v.viable(pos, pc) {
			if b.steps++; b.steps > maxSteps {
				return false, ErrBudget
			}
			in := &insts[pc]
			switch in.op {
			case opMatch:
				b.caps[1] = pos
				return true, nil
			case opRune:
				pos += width(text, pos)
			case opAlt:
				if b.failed(pc, pos) {
					pc = 0
					continue
				}
				b.stack = append(b.stack, frame{in.arg, -1, pos})
			case opCapture:
				b.stack = append(b.stack, frame{0, int32(in.arg), b.caps[in.arg]})
				b.caps[in.arg] = pos
			case opLook:
				if in.captures {
					for slot := range b.caps {
						b.stack = append(b.stack, frame{0, int32(slot), b.caps[slot]})
					}
					b.walk.set(insts, text, v, b.caps)
					b.walk.run(in.arg, pos)
				}
			case opBackref:
				w, ok := b.same(text, pos, end, int(in.arg), in.fold)
				if !ok {
					pc = 0
					continue
				}
				pos += w
				b.steps += w / 16
			}
			pc = in.out
		}
	}
	return false, nil
}

// same compares the text at pos with that of a group and returns its length. Behind the text, if
// end is there, stands a newline.
func (b *backtracker) same(text []byte, pos, end, group int, fold bool) (int, bool) {
	from, to := b.caps[2*group], b.caps[2*group+1]
	if from < 0 || to < from {
		return 0, false
	}
	w := to - from
	if pos+w > end {
		return 0, false
	}
	if !fold && max(to, pos+w) <= len(text) {
		return w, bytes.Equal(text[from:to], text[pos:pos+w]) && boundary(text, pos+w)
	}
	at := func(i int) byte {
		switch {
		case i == len(text):
			return '\n'
		case fold:
			return lower(text[i])
		}
		return text[i]
	}
	for i := range w {
		if at(from+i) != at(pos+i) {
			return 0, false
		}
	}
	return w, boundary(text, pos+w)
}

// boundary says whether pos is between two runes: a captured text of invalid UTF-8 may be the
// beginning of a valid rune elsewhere.
func boundary(text []byte, pos int) bool {
	if pos >= len(text) || utf8.RuneStart(text[pos]) {
		return true
	}
	for i := pos - 1; i >= 0 && i > pos-utf8.UTFMax; i-- {
		if utf8.RuneStart(text[i]) {
			return i+width(text, i) <= pos
		}
	}
	return true
}

func lower(c byte) byte {
	if 'A' <= c && c <= 'Z' {
		return c + 32
	}
	return c
}

// failed says whether pc was tried at pos with the same captures before, and notes it.
func (b *backtracker) failed(pc uint32, pos int) bool {
	h := b.seed ^ uint64(pc)<<40 ^ uint64(pos)
	h = mix(h, b.seed)
	for _, slot := range b.refs {
		h = mix(h^uint64(b.caps[slot]+2), b.seed)
	}
	if h == 0 {
		h = 1
	}
	mask := uint64(len(b.memo) - 1)
	i := h & mask
	for ; b.memo[i] != 0; i = (i + 1) & mask {
		if b.memo[i] == h {
			return true
		}
	}
	b.memo[i] = h
	if b.used++; 2*b.used > len(b.memo) {
		old := b.memo
		b.memo = make([]uint64, 2*len(old))
		mask = uint64(len(b.memo) - 1)
		for _, h := range old {
			if h != 0 {
				i := h & mask
				for b.memo[i] != 0 {
					i = (i + 1) & mask
				}
				b.memo[i] = h
			}
		}
	}
	return false
}

func mix(h, seed uint64) uint64 {
	h = (h ^ seed) * 0xD6E8FEB86659FD93
	h ^= h >> 32
	h *= 0xD6E8FEB86659FD93
	return h ^ h>>32
}
