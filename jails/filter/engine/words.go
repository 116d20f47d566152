package engine

import "encoding/binary"

// words is literal text, not empty, that is compared at places of a line again and again: its first
// bytes in one step, since most of it is short and most places hold something else.
type words struct {
	text string
	head uint64 // the first wordBytes bytes, or as many as there are
	mask uint64 // of head's bits that count
}

const wordBytes = 8

func newWords(text string) *words {
	w := &words{text: text}
	for i := range min(len(text), wordBytes) {
		w.head |= uint64(text[i]) << (8 * i)
		w.mask |= 0xff << (8 * i)
	}
	return w
}

// at says whether they stand in the text at pos, which lies in it.
func (w *words) at(text []byte, pos int) bool {
	if pos+wordBytes <= len(text) {
		if (binary.LittleEndian.Uint64(text[pos:])^w.head)&w.mask != 0 {
			return false
		}
		if len(w.text) <= wordBytes {
			return true
		}
	}
	to := pos + len(w.text)
	return to <= len(text) && string(text[pos:to]) == w.text
}
