package catalogue

import (
	"reflect"
	"slices"
	"testing"
)

// TestIndexIsTrue: names and aliases are those of the files, as YAML reads them.
func TestIndexIsTrue(t *testing.T) {
	all, err := Load(files)
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, e := range all {
		names = append(names, e.Name)
		data, err := files.ReadFile(e.Name + ".yaml")
		if err != nil {
			t.Fatal(err)
		}
		if got := aliases(data[:min(len(data), aliasesWithin)]); !slices.Equal(got, e.Aliases) {
			t.Errorf("%s: the index has the aliases %q, the file %q", e.Name, got, e.Aliases)
		}
		for _, alias := range append([]string{e.Name}, e.Aliases...) {
			if got, err := Find(alias); err != nil || got.Name != e.Name && !slices.Contains(got.Aliases, alias) {
				t.Errorf("%q finds %+v, %v", alias, got, err)
			}
		}
	}
	for _, e := range all {
		got, err := head(e.Name)
		want := *e
		want.Samples = nil
		if err != nil || !reflect.DeepEqual(*got, want) {
			t.Errorf("%s without its samples is %+v, %v; want %+v", e.Name, got, err, want)
		}
	}
	if got := Names(); !slices.Equal(got, names) {
		t.Errorf("the names are %q, want %q", got, names)
	}
}
