package config

import (
	"encoding/json"
	"fmt"
	"regexp"
)

// Value is one value of the merged configuration and where it was written, as Origins.At says it.
type Value struct {
	Path   string // such as jails[2].filter.failregex[0]
	File   string
	Line   int
	Column int
}

// Values returns the merged configuration as maps, lists, strings, bools, nil and json.Number, and
// the places of its single values and empty lists and mappings, in the order of Show. A number
// stands for what was written as one.
func (l *Loaded) Values() (tree any, values []Value) {
	tree = l.Origins.tree.values("", func(n *node, path string) {
		values = append(values, Value{path, n.at.file, n.at.line, n.at.column})
	})
	return tree, values
}

func (n *node) values(path string, leaf func(n *node, path string)) any {
	switch {
	case n.kind == mapNode && len(n.entries) > 0:
		object := make(map[string]any, len(n.entries))
		for _, e := range n.entries {
			at := e.key
			if path != "" {
				at = path + "." + e.key
			}
			object[e.key] = e.value.values(at, leaf)
		}
		return object
	case n.kind == listNode && len(n.items) > 0:
		list := make([]any, len(n.items))
		for i, item := range n.items {
			list[i] = item.values(fmt.Sprintf("%s[%d]", path, i), leaf)
		}
		return list
	}
	leaf(n, path)
	switch n.kind {
	case mapNode:
		return map[string]any{}
	case listNode:
		return []any{}
	case scalarNode:
		return n.scalar()
	}
	return nil
}

var jsonNumber = regexp.MustCompile(`^-?(0|[1-9][0-9]*)(\.[0-9]+)?$`)

func (n *node) scalar() any {
	switch {
	case n.plain && n.text == "true":
		return true
	case n.plain && n.text == "false":
		return false
	case n.plain && jsonNumber.MatchString(n.text):
		return json.Number(n.text)
	}
	return n.text
}
