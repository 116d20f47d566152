package lint

import "strings"

// item is one step on a way through a pattern: fixed text, a wildcard or the address.
type item struct {
	text    string // an example of what stands here
	wild    bool   // a repeat that an address could fit into
	set     set    // of a wildcard: the characters that it can hold
	source  string // of a wildcard made of parts: as it was written
	address bool
	edge    bool // the line's beginning or end
}

// flatten returns one way through n: where there is a choice, the one that has an address, else
// the one that an attacker would take.
func flatten(n *node) []item {
	switch n.kind {
	case kAddress:
		return []item{{address: true}}
	case kBegin, kEnd:
		return []item{{edge: true}}
	case kSet:
		return []item{{text: n.set.example()}}
	case kConcat:
		var all []item
		for _, sub := range n.subs {
			all = append(all, flatten(sub)...)
		}
		return all
	case kAlt:
		for _, sub := range n.subs {
			if sub.addresses() > 0 {
				return flatten(sub)
			}
		}
		return flatten(freest(n.subs))
	case kRepeat:
		return repeated(n)
	}
	return nil
}

// freest returns the alternative whose wildcards hold the most kinds of characters, the first when
// none has any.
func freest(subs []*node) *node {
	best, most := subs[0], 0
	for _, sub := range subs {
		for _, it := range flatten(sub) {
			if n := it.set.size(); it.wild && n > most {
				best, most = sub, n
			}
		}
	}
	return best
}

// maxSample bounds the example of a counted repeat, in bytes.
const maxSample = 256

func repeated(n *node) []item {
	if n.addresses() > 0 || n.max > 0 && n.max < long && wildInside(n.subs[0]) {
		return flatten(n.subs[0])
	}
	once := sample(flatten(n.subs[0]))
	it := item{text: strings.Repeat(once, min(n.min, maxSample/max(len(once), 1)+1))}
	if n.max >= long {
		it.wild, it.set = true, n.chars()
		if n.subs[0].kind != kSet {
			it.source = n.source
		}
	}
	return []item{it}
}

// holds reports whether a wildcard can hold the text.
func (it item) holds(text string) bool {
	if !it.wild || !it.set.holds(text) {
		return false
	}
	return it.source == "" || newTrial("^<ADDR> (?:"+it.source+")$").address(trialAddresses[0][0]+" "+text) != ""
}

// leaves reports whether a wildcard can hold the text by itself or as whole words.
func (it item) leaves(text string) bool {
	return it.holds(text) || it.holds(text+" ") || it.holds(" "+text)
}

// wildInside reports whether a long repeat, or text that cannot be told, is somewhere in n.
func wildInside(n *node) bool {
	if n.kind == kRepeat && n.max >= long || n.kind == kUnknown {
		return true
	}
	for _, sub := range n.subs {
		if wildInside(sub) {
			return true
		}
	}
	return false
}

// sample is the text that the items take at least; an address is left out.
func sample(items []item) string {
	var b strings.Builder
	for _, it := range items {
		b.WriteString(it.text)
	}
	return b.String()
}
