package config

import (
	"strconv"
	"strings"
)

// Origins knows where each value of a configuration was written.
type Origins struct {
	tree *node
}

// At returns where the value at a path was written: a path such as jails[2].filter.failregex[0],
// with indices of the merged lists. What was not written has the place of its nearest parent.
// File is a path, "$NAME" of a variable, or "built-in default"; line and col count from 1 and
// are 0 when unknown.
func (o *Origins) At(path string) (file string, line, col int) {
	n, _ := o.find(path)
	return n.at.file, n.at.line, n.at.column
}

// find returns the node of a path, or its nearest parent when the value itself was not written.
func (o *Origins) find(path string) (n *node, exact bool) {
	n = o.tree
	for path != "" {
		var next *node
		if index, rest, ok := cutIndex(path); ok {
			if n.kind == listNode && index < len(n.items) {
				next = n.items[index]
			}
			path = rest
		} else {
			end := strings.IndexAny(path[1:], ".[") + 1
			if end == 0 {
				end = len(path)
			}
			next = n.get(strings.TrimPrefix(path[:end], "."))
			path = path[end:]
		}
		if next == nil {
			return n, false
		}
		n = next
	}
	return n, true
}

// cutIndex splits "[12].rest".
func cutIndex(path string) (index int, rest string, ok bool) {
	inner, isIndex := strings.CutPrefix(path, "[")
	digits, rest, closed := strings.Cut(inner, "]")
	if !isIndex || !closed {
		return 0, "", false
	}
	index, err := strconv.Atoi(digits)
	if err != nil || index < 0 {
		return 0, "", false
	}
	return index, rest, true
}
