// Package catalogue holds Stockade's own filters: one YAML file each, with the lines that it must
// and must not match beside the patterns. The files are embedded. Everything here is safe for
// concurrent use.
package catalogue

import (
	"embed"
	"fmt"
	"io/fs"
	"slices"
	"strings"

	"github.com/agext/levenshtein"

	"stockade/jails/filter"
)

//go:embed *.yaml
var files embed.FS

// Names returns the names of all filters, sorted.
func Names() []string {
	list, err := index()
	if err != nil {
		return nil
	}
	return slices.Clone(list.names)
}

// Find returns the filter of that name or alias. It reads only its file. The error names the nearest
// one when there is none.
func Find(name string) (*Entry, error) {
	f, err := find(name)
	if err != nil {
		return nil, err
	}
	return f.whole()
}

// head is Find without the samples.
func head(name string) (*Entry, error) {
	f, err := find(name)
	if err != nil {
		return nil, err
	}
	return f.head()
}

// Get returns the filter of that name as a Spec. The only option is mode: normal (the default)
// or aggressive.
func Get(name string, opts map[string]string) (filter.Spec, error) {
	e, err := head(name)
	if err != nil {
		return filter.Spec{}, err
	}
	mode := ModeNormal
	for k, v := range opts {
		if k != "mode" {
			return filter.Spec{}, fmt.Errorf("filter %q: unknown option %q: the only one is mode", name, k)
		}
		mode = v
	}
	return e.Spec(mode)
}

// Family returns the app names of the filter of that name, nil when there is none.
func Family(name string) []string {
	e, err := head(name)
	if err != nil {
		return nil
	}
	return slices.Clone(e.Apps)
}

// Load reads every *.yaml file at the top of fsys, in name order. All faults are reported
// together. Entries are not compiled: see Entry.Spec and Entry.Test.
func Load(fsys fs.FS) ([]*Entry, error) {
	names, err := fs.Glob(fsys, "*.yaml")
	if err != nil {
		return nil, fmt.Errorf("list filters: %w", err)
	}
	var (
		entries []*Entry
		faults  []string
	)
	for _, name := range names {
		data, err := fs.ReadFile(fsys, name)
		if err == nil {
			var e *Entry
			if e, err = parse(name, data); err == nil {
				entries = append(entries, e)
				continue
			}
		}
		faults = append(faults, fmt.Sprintf("%s: %v", name, err))
	}
	if len(faults) > 0 {
		return nil, fmt.Errorf("%s", strings.Join(faults, "\n"))
	}
	return entries, nil
}

// nearest returns the name at the smallest edit distance, if that is small.
func nearest(name string, names []string) string {
	best, least := "", 1+len(name)/3
	for _, n := range names {
		if d := levenshtein.Distance(name, n, nil); d <= least && (best == "" || d < least) {
			best, least = n, d
		}
	}
	return best
}
