package config

import (
	"slices"
	"strconv"
)

// nodeKind is the shape of a node.
type nodeKind uint8

const (
	scalarNode nodeKind = iota
	listNode
	mapNode
	nullNode // written without a value
	badNode  // refused and reported when it was read
)

// String returns the kind in the words of a message.
func (k nodeKind) String() string {
	switch k {
	case scalarNode:
		return "a single value"
	case listNode:
		return "a list"
	case mapNode:
		return "a mapping"
	case nullNode:
		return "empty"
	default:
		return "unreadable"
	}
}

// node is one value of a configuration tree with the place where it was written. Trees are built
// by parse and merge, and never shared between two parents.
type node struct {
	kind    nodeKind
	at      position
	text    string // of a scalar, escapes resolved
	plain   bool   // a scalar without quotes, so that its text decides its type
	faulty  bool   // could not be decoded, which was reported
	entries []entry
	items   []*node
}

// entry is one key of a mapping.
type entry struct {
	key   string
	at    position // of the key
	value *node
}

// index returns the place of a key among the entries, or -1.
func (n *node) index(key string) int {
	return slices.IndexFunc(n.entries, func(e entry) bool { return e.key == key })
}

// get returns the value of a key, or nil.
func (n *node) get(key string) *node {
	if i := n.index(key); i >= 0 {
		return n.entries[i].value
	}
	return nil
}

// set replaces the value of a key or adds it.
func (n *node) set(key string, at position, value *node) {
	if i := n.index(key); i >= 0 {
		n.entries[i] = entry{key, at, value}
		return
	}
	n.entries = append(n.entries, entry{key, at, value})
}

// quoted returns the text of a scalar for a message, or nothing.
func (n *node) quoted() string {
	if n.kind != scalarNode {
		return ""
	}
	return " (" + clip(n.text) + ")"
}

// knownName returns the name of a list's item, or "".
func (n *node) knownName() string {
	if n.kind != mapNode {
		return ""
	}
	if v := n.get("name"); v != nil && v.kind == scalarNode {
		return v.text
	}
	return ""
}

// describe returns a node for the log: its text, or its kind and size.
func (n *node) describe() string {
	switch n.kind {
	case scalarNode:
		return n.text
	case listNode:
		return strconv.Itoa(len(n.items)) + " items"
	case mapNode:
		return strconv.Itoa(len(n.entries)) + " keys"
	default:
		return n.kind.String()
	}
}
