package config

import (
	"reflect"
	"slices"
)

// decoder fills Config from a tree and reports every fault it meets; a faulty place keeps its
// zero value.
type decoder struct {
	problems *problems
}

// value decodes n into v, which is settable. A pointer is allocated when there is something to
// decode.
func (d *decoder) value(v reflect.Value, s *shape, n *node, path string) {
	if n.kind == badNode {
		return
	}
	if v.Kind() == reflect.Pointer {
		if n.kind == nullNode && s.leaf == noLeaf {
			return
		}
		v.Set(reflect.New(s.typ))
		v = v.Elem()
	}
	switch {
	case n.kind == nullNode && s.leaf == noLeaf && s.scalar < 0:
		// `jails:` with all its entries commented out is as good as absent.
	case n.kind == nullNode:
		d.fault(n, path, "has no value; want %s", s.want())
	case s.leaf != noLeaf && n.kind == scalarNode:
		if err := setLeaf(v, s, n); err != nil {
			d.fault(n, path, "%v", err)
		}
	case s.elem != nil && n.kind == listNode:
		d.list(v, s, n, path)
	case s.fields != nil && n.kind == mapNode:
		d.mapping(v, s, n, path)
	case s.fields != nil && s.scalar >= 0 && n.kind == scalarNode:
		d.value(v.Field(s.scalar), shapeOf(s.typ.Field(s.scalar).Type), n, path)
	default:
		d.fault(n, path, "is %s%s; want %s", n.kind, n.quoted(), s.want())
	}
}

func (d *decoder) list(v reflect.Value, s *shape, n *node, path string) {
	v.Set(reflect.MakeSlice(s.typ, len(n.items), len(n.items)))
	for i, item := range n.items {
		at := joinIndex(path, i)
		if item.kind == nullNode {
			d.fault(item, at, "has no value; want %s", s.elem.want())
			continue
		}
		d.value(v.Index(i), s.elem, item, at)
	}
}

func (d *decoder) mapping(v reflect.Value, s *shape, n *node, path string) {
	for _, e := range n.entries {
		at := joinKey(path, e.key)
		f := s.field(e.key)
		if f == nil {
			d.problems.fault(e.at, at, "unknown key %s%s", clip(e.key), suggest(e.key, s.keys()))
			continue
		}
		d.value(v.Field(f.index), f.shape, e.value, at)
		if f.zeroAbsent(v.Field(f.index)) && e.value.kind == scalarNode && !e.value.faulty {
			d.fault(e.value, at, "%s is out of range; leave the key out for the default", clip(e.value.text))
		}
	}
}

// zeroAbsent reports whether v is the zero of a number that means "not written" to the owner of
// the key, so that a written zero would be ignored silently.
func (f *fieldShape) zeroAbsent(v reflect.Value) bool {
	return f.leaf >= intLeaf && v.Kind() != reflect.Pointer && v.IsZero() && !slices.Contains(zeroKeys, f.key)
}

// zeroKeys are numbers whose zero says what their absence does: none.
var zeroKeys = []string{"rndtime", "maxtime", "expect_every", "corroborate"}

// fault reports a value that could not be decoded and marks it.
func (d *decoder) fault(n *node, path, format string, args ...any) {
	n.faulty = true
	d.problems.fault(n.at, path, format, args...)
}
