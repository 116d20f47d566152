package filter

import (
	"testing"
	"time"
)

var epoch = time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)

func compile(t testing.TB, s Spec) *Filter {
	t.Helper()
	if s.Name == "" {
		s.Name = "test"
	}
	f, err := Compile(s)
	if err != nil {
		t.Fatal(err)
	}
	return f
}

func setOf(t testing.TB, specs ...Spec) *Set {
	t.Helper()
	var filters []*Filter
	for _, s := range specs {
		filters = append(filters, compile(t, s))
	}
	return NewSet(filters, nil)
}

func line(text string) *Line {
	return &Line{App: []byte("app"), Host: []byte("host"), PID: []byte("1"), Text: []byte(text), Time: epoch, Facility: 4, Source: "src"}
}

// feed gives lines to a fresh Matcher over one filter and returns the answers, one a line; nil
// stands for none.
func feed(t testing.TB, s Spec, texts ...string) ([]*Match, *Matcher) {
	t.Helper()
	set := setOf(t, s)
	m := set.NewMatcher()
	var out []*Match
	for _, text := range texts {
		got := m.Match(line(text), set.All())
		if len(got) == 0 {
			out = append(out, nil)
			continue
		}
		one := got[0]
		out = append(out, &one)
	}
	return out, m
}
