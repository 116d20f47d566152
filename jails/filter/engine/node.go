package engine

// kind is the kind of a node of a parsed pattern.
type kind uint8

const (
	kEmpty   kind = iota
	kSet          // one rune of set
	kConcat       // subs one after the other
	kAlt          // one of subs, the first that leads to a match
	kRepeat       // subs[0], min to max times
	kGroup        // subs[0], captured as group
	kAssert       // an empty match where assert holds
	kLook         // an empty match where subs[0] matches, or does not
	kBehind       // an empty match where one of behind ends, or none does
	kBackref      // the text of group
	kCond         // subs[0] when group took part, else subs[1]
)

// assertion is a condition on a position.
type assertion uint8

const (
	beginText assertion = iota
	beginLine
	endText
	endLast // the end, or before a newline that ends the subject
	endLine
	wordBoundary
	noWordBoundary
)

// unlimited is the max of a repeat without a limit.
const unlimited = -1

type node struct {
	kind     kind
	set      set
	subs     []*node
	min, max int
	lazy     bool
	group    int
	assert   assertion
	negative bool   // look, behind
	fold     bool   // backref: compare without case
	behind   []tail // behind
	offset   int    // where it begins in the pattern
}

// tail is a fixed sequence before a position, what is nearest first.
type tail []item

// item is one rune of set or, without a set, an assertion on the position.
type item struct {
	set    set
	assert assertion
}

// width returns the runes of t.
func (t tail) width() int {
	n := 0
	for _, it := range t {
		if it.set != nil {
			n++
		}
	}
	return n
}

// single returns the set of a node that matches exactly one rune.
func (n *node) single() (set, bool) {
	for n.kind == kConcat && len(n.subs) == 1 {
		n = n.subs[0]
	}
	return n.set, n.kind == kSet
}

// nullable says whether n can match the empty string. Backreferences can.
func (n *node) nullable() bool {
	switch n.kind {
	case kSet:
		return false
	case kConcat:
		for _, s := range n.subs {
			if !s.nullable() {
				return false
			}
		}
		return true
	case kAlt, kCond:
		for _, s := range n.subs {
			if s.nullable() {
				return true
			}
		}
		return false
	case kRepeat:
		return n.min == 0 || n.subs[0].nullable()
	case kGroup:
		return n.subs[0].nullable()
	}
	return true
}

// walk calls f for n and every node below it.
func (n *node) walk(f func(*node)) {
	f(n)
	for _, s := range n.subs {
		s.walk(f)
	}
}
