package config

import (
	"fmt"
	"os"
	"strings"
	"testing"
)

// mutation is one change of a good configuration that makes it bad, and where that must be told.
type mutation struct {
	what, text   string
	line, column int
}

// mutations spoils every key and every value of a configuration, each in its own way.
func mutations(t *testing.T, text string) []mutation {
	var p problems
	tree, ok := parse("good.yaml", []byte(text), &p)
	if !ok || len(p.list) > 0 {
		t.Fatalf("parse: %v", p.list)
	}
	lines := strings.SplitAfter(text, "\n")
	offset := func(at position) int {
		return len(strings.Join(lines[:at.line-1], "")) + at.column - 1 // the file is ASCII
	}
	var out []mutation
	change := func(what string, at position, length int, with string, shift int) {
		i := offset(at)
		out = append(out, mutation{what, text[:i] + with + text[i+length:], at.line, at.column + shift})
	}
	// length returns how much of the text a scalar takes.
	length := func(n *node) int {
		i := offset(n.at)
		if quote := text[i]; quote == '\'' || quote == '"' {
			return strings.IndexByte(text[i+1:], quote) + 2
		}
		return len(n.text)
	}
	var walk func(n *node, s *shape, path string)
	walk = func(n *node, s *shape, path string) {
		switch {
		case n.kind == scalarNode && s.leaf == noLeaf:
			change(path+" as a mapping of nonsense", n.at, length(n), "{zzz: 1}", 1)
			change(path+" as a list", n.at, length(n), "[zzz]", 0)
		case n.kind == scalarNode:
			change(path+" as a mapping", n.at, length(n), "{zzz: 1}", 0)
			change(path+" as an alias", n.at, length(n), "*zzz", 0)
			if s.leaf != stringLeaf {
				change(path+" as a word", n.at, length(n), "zzz", 0)
			}
		}
		for _, e := range n.entries {
			f := s.field(e.key)
			change(joinKey(path, e.key)+" misspelt", e.at, len(e.key), e.key+"zz", 0)
			walk(e.value, f.shape, joinKey(path, e.key))
		}
		for i, item := range n.items {
			walk(item, s.elem, joinIndex(path, i))
		}
	}
	walk(tree, rootShape(), "")
	return out
}

func TestMutationsAreRefusedAtTheirPlace(t *testing.T) {
	good, err := os.ReadFile("../../../examples/stockade.yaml")
	if err != nil {
		t.Fatal(err)
	}
	o := write(t, map[string]string{"": string(good)})
	mustLoad(t, o)
	list := mutations(t, string(good))
	if len(list) < 400 {
		t.Errorf("%d mutations, want at least 400", len(list))
	}
	for i, m := range list {
		if testing.Short() && i%2 == 1 {
			continue
		}
		if err := os.WriteFile(o.defaultFile, []byte(m.text), 0o644); err != nil {
			t.Fatal(err)
		}
		l, _ := Load(o)
		l.Check()
		want := fmt.Sprintf("stockade.yaml:%d:%d: ", m.line, m.column)
		if got := short(o, l.Err()); !strings.Contains("\n"+got, "\n"+want) {
			t.Errorf("%s: want a fault at %s, got:\n%s", m.what, want, got)
		}
	}
}
