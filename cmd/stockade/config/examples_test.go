package config

import (
	"os"
	"path/filepath"
	"testing"

	"stockade/jails/filter"
)

// examples returns the configurations in the examples folder.
func examples(t testing.TB) []string {
	t.Helper()
	files, err := filepath.Glob("../../../examples/*.yaml")
	if err != nil || len(files) < 3 {
		t.Fatalf("examples: %v, %v", files, err)
	}
	var out []string
	for _, file := range files {
		if filepath.Base(file) != "openapi.yaml" {
			out = append(out, file)
		}
	}
	return out
}

func TestExamplesLoad(t *testing.T) {
	for _, file := range examples(t) {
		l := mustLoad(t, Options{File: file, Root: true})
		if p := l.Problems(); len(p) > 0 {
			t.Errorf("%s: %v", file, p)
		}
		for _, j := range l.Config.Jails {
			if j.Filter.Name != "" {
				continue
			}
			f := j.Filter
			if _, err := filter.Compile(filter.Spec{Name: j.Name, FailRegex: f.FailRegex, IgnoreRegex: f.IgnoreRegex,
				PrefRegex: f.PrefRegex, MaxLines: f.MaxLines}); err != nil {
				t.Errorf("%s: jail %s: %v", file, j.Name, err)
			}
		}
	}
}

// TestReferenceHasEveryKey holds examples/stockade.yaml to the table of all keys.
func TestReferenceHasEveryKey(t *testing.T) {
	text, err := os.ReadFile("../../../examples/stockade.yaml")
	if err != nil {
		t.Fatal(err)
	}
	var p problems
	tree, ok := parse("stockade.yaml", text, &p)
	if !ok {
		t.Fatal(p.list)
	}
	var missing func(s *shape, nodes []*node, path string)
	missing = func(s *shape, nodes []*node, path string) {
		for _, f := range s.fields {
			var values []*node
			for _, n := range nodes {
				if v := n.get(f.key); v != nil {
					values = append(values, v)
				}
			}
			at := joinKey(path, f.key)
			if len(values) == 0 {
				t.Errorf("%s is not in the reference", at)
			}
			if f.elem == nil {
				missing(f.shape, values, at)
				continue
			}
			var items []*node
			for _, v := range values {
				items = append(items, v.items...)
			}
			missing(f.elem, items, at)
		}
	}
	missing(rootShape(), []*node{tree}, "")
}
