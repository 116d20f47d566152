package engine

import (
	"slices"
	"strings"
	"unicode/utf8"
)

// Limits of the beginnings of a pattern.
const (
	maxHeads = 24 // strings
	maxHead  = 32 // bytes of one: longer ones tell no more patterns apart
	minHead  = 3  // bytes: what is shorter begins too many lines
)

// heads returns strings with one of which every match of an anchored pattern begins, nil when there
// is no such set that tells much.
func heads(tree *node) []string {
	var out []string
	for _, h := range headsOf(tree, []head{{}}) {
		if len(h.text) < minHead {
			return nil
		}
		if !slices.Contains(out, h.text) {
			out = append(out, h.text)
		}
	}
	slices.Sort(out)
	return out
}

// head is a way to begin.
type head struct {
	text string
	shut bool // more is not known of it
}

// headsOf returns what so far becomes when n follows. With too many ways it leaves them as they
// are, shut.
func headsOf(n *node, so []head) []head {
	switch n.kind {
	case kEmpty:
		return so
	case kAssert:
		if n.assert == beginText {
			return so
		}
	case kSet:
		if r, ok := n.set.single(); ok && r < utf8.RuneSelf && r != '\n' {
			return extend(so, func(h head) []head {
				h.text += string(r)
				h.shut = len(h.text) >= maxHead
				return []head{h}
			})
		}
	case kConcat:
		for _, s := range n.subs {
			so = headsOf(s, so)
		}
		return so
	case kGroup:
		return headsOf(n.subs[0], so)
	case kAlt:
		return extend(so, func(h head) []head {
			var all []head
			for _, s := range n.subs {
				all = append(all, headsOf(s, []head{h})...)
			}
			return all
		})
	case kRepeat:
		switch {
		case n.min == 0 && n.max == 1:
			return extend(so, func(h head) []head { return append([]head{h}, headsOf(n.subs[0], []head{h})...) })
		case n.min > 0:
			so = headsOf(n.subs[0], so)
		}
	}
	return extend(so, func(h head) []head {
		h.shut = true
		return []head{h}
	})
}

// extend replaces each way that is not shut.
func extend(so []head, by func(head) []head) []head {
	var out []head
	for _, h := range so {
		if h.shut {
			out = append(out, h)
			continue
		}
		out = append(out, by(h)...)
	}
	if len(out) <= maxHeads {
		return out
	}
	out = slices.Clone(so)
	for i := range out {
		out[i].shut = true
	}
	return out
}

// Heads finds which of many patterns can match at the beginning of a text, by what they begin with:
// a tree over the beginnings, of which the text's own bytes choose one path. It is immutable and may
// be used by many goroutines.
type Heads struct {
	first [256]uint32 // node by the text's first byte, 0 is none
	nodes []headNode
}

// headNode is a place where beginnings end or part.
type headNode struct {
	label string // the bytes that lead here from the node above
	bytes string // first bytes of the labels of those below
	below uint32 // they are nodes[below] and those behind it
	marks []mark
}

// NewHeads builds Heads. Bit i of what Find sets stands for sets[i]; an empty set is never found.
// An empty string is no beginning.
func NewHeads(sets [][]string) *Heads {
	type entry struct {
		text string
		set  int
	}
	var all []entry
	for i, set := range sets {
		for _, text := range set {
			if text == "" {
				panic("engine: a beginning is empty")
			}
			all = append(all, entry{text, i})
		}
	}
	slices.SortFunc(all, func(a, b entry) int { return strings.Compare(a.text, b.text) })
	h := &Heads{nodes: make([]headNode, 1)}
	// grow fills the node at from list, which is sorted and shares its first skip bytes.
	var grow func(at uint32, list []entry, skip int)
	grow = func(at uint32, list []entry, skip int) {
		for len(list) > 0 && len(list[0].text) == skip {
			h.nodes[at].marks = addMark(h.nodes[at].marks, mark{list[0].set / 64, 1 << (list[0].set % 64)})
			list = list[1:]
		}
		var parts [][]entry
		var bytes []byte
		for i, e := range list {
			if i == 0 || list[i-1].text[skip] != e.text[skip] {
				parts = append(parts, nil)
				bytes = append(bytes, e.text[skip])
			}
			parts[len(parts)-1] = append(parts[len(parts)-1], e)
		}
		below := uint32(len(h.nodes))
		h.nodes[at].below, h.nodes[at].bytes = below, string(bytes)
		h.nodes = append(h.nodes, make([]headNode, len(parts))...)
		for i, part := range parts {
			low, high := part[0].text, part[len(part)-1].text
			to := skip
			for to < len(low) && to < len(high) && low[to] == high[to] {
				to++
			}
			h.nodes[below+uint32(i)].label = low[skip:to]
			grow(below+uint32(i), part, to)
		}
	}
	grow(0, all, 0)
	for i := range len(h.nodes[0].bytes) {
		h.first[h.nodes[0].bytes[i]] = h.nodes[0].below + uint32(i)
	}
	return h
}

// Find sets in hits the bits of the sets that have a string with which the text begins, and leaves
// the others. It allocates nothing.
func (h *Heads) Find(text []byte, hits []uint64) {
	if len(text) == 0 {
		return
	}
	at := h.first[text[0]]
	for at != 0 {
		n := &h.nodes[at]
		if len(text) < len(n.label) || string(text[:len(n.label)]) != n.label {
			return
		}
		text = text[len(n.label):]
		for _, m := range n.marks {
			hits[m.word] |= m.bits
		}
		if len(text) == 0 {
			return
		}
		i := strings.IndexByte(n.bytes, text[0])
		if i < 0 {
			return
		}
		at = n.below + uint32(i)
	}
}
