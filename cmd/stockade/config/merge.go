package config

import "fmt"

// Override is one value that a stronger layer replaced.
type Override struct {
	Path     string // in the merged configuration, such as jails[0].maxretry
	Old, New string // the values as written; a list by its size
	OldAt    string // file:line:column, $NAME or "built-in default"
	NewAt    string
}

// String returns the override as one line for the log.
func (o Override) String() string {
	return fmt.Sprintf("%s: %s (%s) replaces %s (%s)", o.Path, clip(o.New), o.NewAt, clip(o.Old), o.OldAt)
}

// merger lays trees over each other, weakest first.
type merger struct {
	overrides []Override
}

// merge returns base with the other tree laid over it. Both are consumed.
func (m *merger) merge(base, over *node, s *shape, path string) *node {
	switch {
	case base == nil:
		return over
	case over == nil || over.kind == nullNode:
		return base
	case s.leaf == noLeaf && undecoded(over, false):
		return base // the fault was reported; what it hides must not look like one
	case base.kind == scalarNode && over.kind == scalarNode && base.text == over.text && base.at.file != defaultFile:
		return base // said twice, not overridden
	case s.fields != nil && base.kind == mapNode && over.kind == mapNode:
		for _, e := range over.entries {
			f := s.field(e.key)
			old := base.get(e.key)
			switch {
			case f == nil || old == nil:
				base.set(e.key, e.at, e.value)
			case f.adds && old.kind == listNode && e.value.kind == listNode:
				old.items = append(old.items, e.value.items...)
			default:
				base.set(e.key, e.at, m.merge(old, e.value, f.shape, joinKey(path, e.key)))
			}
		}
		return base
	case s.named && base.kind == listNode && over.kind == listNode:
		m.named(base, over, s, path)
		return base
	}
	m.replaced(path, base, over)
	return over
}

// replaced records an override, except of a built-in default by a file, which is the rule.
func (m *merger) replaced(path string, old, over *node) {
	if old.at.file == defaultFile && !over.at.fromEnv() {
		return
	}
	m.overrides = append(m.overrides, Override{path, old.describe(), over.describe(), old.at.String(), over.at.String()})
}

// named merges the items of over into those of base that have the same name. Two items of one
// name in the same file stay two, so that validation can refuse them.
func (m *merger) named(base, over *node, s *shape, path string) {
	before := len(base.items)
	for _, item := range over.items {
		name, at := item.knownName(), -1
		for i := range before {
			if name != "" && base.items[i].knownName() == name {
				at = i
				break
			}
		}
		if at < 0 {
			base.items = append(base.items, item)
			continue
		}
		base.items[at] = m.merge(base.items[at], item, s.elem, joinIndex(path, at))
	}
}
