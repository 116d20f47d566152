package lint

import "math/bits"

// kind is the kind of a node of a pattern.
type kind uint8

const (
	kEmpty   kind = iota // takes no text: lookarounds, word boundaries, flags
	kSet                 // one character of set
	kConcat              // subs one after the other
	kAlt                 // one of subs
	kRepeat              // subs[0], min to max times
	kAddress             // an address capture
	kBegin               // the beginning of the line
	kEnd                 // the end of the line
	kUnknown             // text that cannot be told: a backreference
)

// unlimited is the max of a repeat without a limit.
const unlimited = 1 << 30

// long is how many times a repeat must be able to turn before an address fits into it.
const long = 7

// node is one part of a pattern, as far as the linter looks.
type node struct {
	kind     kind
	set      set
	subs     []*node
	min, max int
	source   string // of a repeat: as it was written
}

// set is a set of ASCII characters; others are not told apart here.
type set [2]uint64

var (
	setAny   = set{^uint64(0) &^ (1 << '\n'), ^uint64(0)}
	setDigit = classOf("0123456789")
	setWord  = classOf("0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ_abcdefghijklmnopqrstuvwxyz")
	setSpace = classOf(" \t\n\r\f\v")
)

func classOf(chars string) (s set) {
	for i := range len(chars) {
		s.add(chars[i])
	}
	return s
}

func (s *set) add(c byte) {
	if c < 128 {
		s[c/64] |= 1 << (c % 64)
	}
}

func (s set) has(c byte) bool { return c < 128 && s[c/64]&(1<<(c%64)) != 0 }

func (s set) not() set { return set{^s[0], ^s[1]} }

func (s set) or(o set) set { return set{s[0] | o[0], s[1] | o[1]} }

// size is the number of characters in s.
func (s set) size() int { return bits.OnesCount64(s[0]) + bits.OnesCount64(s[1]) }

// holds reports whether every character of text is in s.
func (s set) holds(text string) bool {
	for i := range len(text) {
		if !s.has(text[i]) {
			return false
		}
	}
	return true
}

// example returns a character of s, a letter if there is one.
func (s set) example() string {
	for _, c := range []byte("x0 -") {
		if s.has(c) {
			return string(rune(c))
		}
	}
	for c := byte('!'); c < 127; c++ {
		if s.has(c) {
			return string(rune(c))
		}
	}
	return ""
}

// chars returns all characters that n can take.
func (n *node) chars() set {
	switch n.kind {
	case kSet:
		return n.set
	case kUnknown, kAddress:
		return setAny
	}
	var s set
	for _, sub := range n.subs {
		s = s.or(sub.chars())
	}
	return s
}

// addresses returns the largest number of address captures on one way through n.
func (n *node) addresses() int {
	count := 0
	for _, sub := range n.subs {
		switch c := sub.addresses(); n.kind {
		case kAlt:
			count = max(count, c)
		default:
			count += c
		}
	}
	if n.kind == kAddress {
		count++
	}
	return count
}

// empty reports whether n matches the empty text.
func (n *node) empty() bool {
	switch n.kind {
	case kSet, kAddress:
		return false
	case kConcat:
		for _, sub := range n.subs {
			if !sub.empty() {
				return false
			}
		}
	case kAlt:
		for _, sub := range n.subs {
			if sub.empty() {
				return true
			}
		}
		return false
	case kRepeat:
		return n.min == 0 || n.subs[0].empty()
	}
	return true
}

// still reports whether n never takes text.
func (n *node) still() bool {
	switch n.kind {
	case kSet, kAddress, kUnknown:
		return false
	}
	for _, sub := range n.subs {
		if !sub.still() {
			return false
		}
	}
	return true
}

// bound reports whether every match passes an assertion of kind edge (kBegin, kEnd) outside of
// all text that n takes.
func (n *node) bound(edge kind) bool {
	switch n.kind {
	case edge:
		return true
	case kAlt:
		for _, sub := range n.subs {
			if !sub.bound(edge) {
				return false
			}
		}
		return true
	case kRepeat:
		return n.min > 0 && n.subs[0].bound(edge)
	case kConcat:
		for i := range n.subs {
			sub := n.subs[i]
			if edge == kEnd {
				sub = n.subs[len(n.subs)-1-i]
			}
			if sub.bound(edge) {
				return true
			}
			if !sub.still() {
				return false
			}
		}
	}
	return false
}
