package config

import (
	"fmt"
	"reflect"
	"strings"
	"sync"
	"time"
)

// leaf is what a scalar decodes to.
type leaf uint8

const (
	noLeaf leaf = iota
	stringLeaf
	boolLeaf
	intLeaf
	uintLeaf
	floatLeaf
	durationLeaf
)

// shape is what a place of the configuration may hold, read once from the types and tags of
// Config. Exactly one of leaf, elem and fields is set, except for a union: fields and a scalar.
type shape struct {
	typ    reflect.Type // without pointer
	leaf   leaf
	elem   *shape // of a list
	named  bool   // a list of things with a name, which merges by it
	fields []fieldShape
	scalar int // of a union: the index of the field that takes a scalar; else -1
}

// fieldShape is one key of a mapping.
type fieldShape struct {
	key   string
	index int
	adds  bool // a list that grows in a merge
	*shape
}

// rootShape returns the shape of Config.
var rootShape = sync.OnceValue(func() *shape { return shapeOf(reflect.TypeFor[Config]()) })

// field returns the key's shape, or nil.
func (s *shape) field(key string) *fieldShape {
	for i := range s.fields {
		if s.fields[i].key == key {
			return &s.fields[i]
		}
	}
	return nil
}

// keys returns the legal keys of a mapping in the order of the struct.
func (s *shape) keys() []string {
	out := make([]string, len(s.fields))
	for i, f := range s.fields {
		out[i] = f.key
	}
	return out
}

// want says what a place takes, in the words of a message.
func (s *shape) want() string {
	switch {
	case s.elem != nil && s.elem.fields != nil:
		return "a list of mappings"
	case s.elem != nil:
		return "a list, such as [a, b]"
	case s.fields != nil && s.scalar >= 0:
		return "a name or a mapping with " + quoteAll(s.keys())
	case s.fields != nil:
		return "a mapping with " + quoteAll(s.keys())
	default:
		return "a single value"
	}
}

// shapeOf reads a type. It panics on one that no decoder exists for, which is a fault of the
// struct and found by the first test that loads anything.
func shapeOf(t reflect.Type) *shape {
	if t.Kind() == reflect.Pointer {
		t = t.Elem()
	}
	s := &shape{typ: t, scalar: -1}
	switch {
	case t == reflect.TypeFor[time.Duration]():
		s.leaf = durationLeaf
	case t.Kind() == reflect.String:
		s.leaf = stringLeaf
	case t.Kind() == reflect.Bool:
		s.leaf = boolLeaf
	case t.Kind() >= reflect.Int && t.Kind() <= reflect.Int64:
		s.leaf = intLeaf
	case t.Kind() >= reflect.Uint && t.Kind() <= reflect.Uint64:
		s.leaf = uintLeaf
	case t.Kind() == reflect.Float64:
		s.leaf = floatLeaf
	case t.Kind() == reflect.Slice:
		s.elem = shapeOf(t.Elem())
		s.named = s.elem.field("name") != nil
	case t.Kind() == reflect.Struct:
		s.fields = []fieldShape{}
		for i := range t.NumField() {
			s.addField(t.Field(i), i)
		}
	default:
		panic(fmt.Sprintf("config: no decoder for %s", t))
	}
	return s
}

func (s *shape) addField(f reflect.StructField, index int) {
	key, option, _ := strings.Cut(f.Tag.Get("yaml"), ",")
	switch {
	case option == "scalar":
		s.scalar = index
	case key == "-":
	case key == "" || option != "":
		panic(fmt.Sprintf("config: field %s of %s needs a yaml tag with its key alone", f.Name, s.typ))
	default:
		s.fields = append(s.fields, fieldShape{key, index, key == "never_ban" || key == "ignoreip", shapeOf(f.Type)})
	}
}

// scalars calls visit with the path of every scalar that is not inside a list.
func (s *shape) scalars(path string, visit func(path string, s *shape)) {
	for _, f := range s.fields {
		at := joinKey(path, f.key)
		switch {
		case f.leaf != noLeaf:
			visit(at, f.shape)
		case f.fields != nil:
			f.scalars(at, visit)
		}
	}
}

// joinKey returns the path of a key below path.
func joinKey(path, key string) string {
	if path == "" {
		return key
	}
	return path + "." + key
}

// joinIndex returns the path of a list's item.
func joinIndex(path string, index int) string {
	return fmt.Sprintf("%s[%d]", path, index)
}
