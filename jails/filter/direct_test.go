package filter_test

import (
	"bytes"
	"slices"
	"strings"
	"testing"

	"stockade/jails/filter"
	"stockade/jails/filter/catalogue"
	"stockade/jails/filter/engine"
)

// FuzzCatalogueSearch holds that for every pattern of the catalogue the direct search and the
// general engine give the same answer. The seeds are the sample lines of each filter, and what
// becomes of them when they are cut or joined.
func FuzzCatalogueSearch(f *testing.F) {
	type seed struct {
		filter uint8
		line   string
	}
	var seeds []seed
	var regexps [][]*engine.Regexp
	for i, name := range catalogue.Names() {
		e, err := catalogue.Find(name)
		if err != nil {
			f.Fatal(err)
		}
		var list []*engine.Regexp
		for _, mode := range e.Modes() {
			spec, err := e.Spec(mode)
			if err != nil {
				f.Fatal(err)
			}
			flt, err := filter.Compile(spec)
			if err != nil {
				f.Fatal(err)
			}
			for _, re := range flt.Regexps() {
				if !slices.ContainsFunc(list, func(o *engine.Regexp) bool { return o.String() == re.String() }) {
					list = append(list, re)
				}
			}
		}
		regexps = append(regexps, list)
		for _, s := range e.Samples {
			for _, text := range append([]string{s.Line, s.None}, s.Lines...) {
				seeds = append(seeds, seed{uint8(i), catalogue.Plain(text)})
			}
		}
	}
	for i, s := range seeds {
		f.Add(s.filter, []byte(s.line))
		switch n := len(s.line); i % 4 {
		case 0:
			f.Add(s.filter, []byte(s.line[:2*n/3]+"é\xff"+s.line[n/3:]))
		case 2:
			f.Add(s.filter, []byte(strings.ReplaceAll(s.line, " ", " from 192.0.2.1 port 22 ")))
		}
	}
	m := engine.NewMachine()
	f.Fuzz(func(t *testing.T, which uint8, line []byte) {
		if int(which) >= len(regexps) || len(line) > 4096 {
			t.Skip()
		}
		for _, re := range regexps[which] {
			got, want := make([]int, 2*(re.Groups()+1)), make([]int, 2*(re.Groups()+1))
			ok, err := m.Search(re, line, got)
			match, errGeneral := m.SearchGeneral(re, line, want)
			if err != nil || errGeneral != nil {
				continue
			}
			if ok != match || ok && !slices.Equal(got, want) {
				t.Fatalf("%q on %q: got %t %v, the general engine %t %v", re, line, ok, got, match, want)
			}
			begins := func(head string) bool { return bytes.HasPrefix(line, []byte(head)) }
			if ok && re.Heads() != nil && !slices.ContainsFunc(re.Heads(), begins) {
				t.Fatalf("%q matches %q, which begins with none of %q", re, line, re.Heads())
			}
		}
	})
}
