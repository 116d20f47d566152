package engine

import (
	"strings"
	"testing"
)

func TestShapes(t *testing.T) {
	for _, c := range []struct {
		name, pattern, text string
		to                  int // -1: it is of another form
	}{
		{"an address", addr, "192.0.2.7 port", 9},
		{"an address at the end", addr, "192.0.2.7", 9},
		{"an address of version 6", addr, "2001:db8::7, port", 11},
		{"an address inside another", addr, "::ffff:192.0.2.7]", 16},
		{"too many digits", addr, "1920.0.2.7 ", -1},
		{"a part of an address", addr, "192.0.2 ", -1},
		{"more than an address", addr, "192.0.2.7.8 ", -1},
		{"no address", addr, "root ", -1},
		{"nothing", addr, "", -1},
		{"what may be empty", "(?:[ab]{2}|[cd]{2})?", "x", 0},
		{"a repeat", "(?:[ab]c)+", "acbcx", 4},
		{"half a repeat", "(?:[ab]c)+", "acbx", -1},
		{"a byte outside ASCII behind it", "[ab]+", "ab\xff", 2},
	} {
		s := newShape(tree(t, strings.ReplaceAll(c.pattern, "?P<addr>", "?:")))
		if s == nil {
			t.Errorf("%s: %q is no shape", c.name, c.pattern)
			continue
		}
		to, ok := s.span([]byte(c.text), 0)
		if !ok {
			to = -1
		}
		if to != c.to {
			t.Errorf("%s: %q ends at %d, want %d", c.name, c.text, to, c.to)
		}
	}
	for _, pattern := range []string{"(a)|b", "a.c", "é", `a\b`, "^a", `a\n`, "(?:a{90}|b{90})c"} {
		if newShape(tree(t, pattern)) != nil {
			t.Errorf("%q is a shape", pattern)
		}
	}
}

func TestShapesAreShared(t *testing.T) {
	for _, c := range []struct {
		a, b string
		same bool
	}{
		{"[ab]{1,3}c|d", "[ab]{1,3}c|d", true},
		{"[ab]{1,3}c|d", "[ab]{1,2}c|d", false},
		{"[ab]{1,3}c|d", "[ac]{1,3}c|d", false},
		{"[ab]{1,3}c|d", "[ab]{1,3}(?:c|d)", false},
		{"[ab]{1,3}c|d|", "[ab]{1,3}c|d", false},
	} {
		if got := shapeOf(tree(t, c.a)) == shapeOf(tree(t, c.b)); got != c.same {
			t.Errorf("%q and %q: the same %t", c.a, c.b, got)
		}
	}
}

func tree(t testing.TB, pattern string) *node {
	t.Helper()
	n, _, err := parse(pattern, flags{})
	if err != nil {
		t.Fatal(err)
	}
	return n
}

// FuzzShape compares shapes with the general engine.
func FuzzShape(f *testing.F) {
	f.Add("(?:[ab]c)+|[a-c]{2}d?", "acbcabd acx")
	f.Add(strings.ReplaceAll(addr, "?P<addr>", "?:"), "192.0.2.7 2001:db8::1 ::ffff:192.0.2.1 1.2.3 :")
	f.Add("(?:a|ab)(?:c|bcd)(?:d*)", "abcd acd abcdd")
	f.Add("(?:[0-9]?[0-9]:){2}[0-5][0-9]", "12:34:56 1:2:33 1:2:3")
	m := NewMachine()
	f.Fuzz(func(t *testing.T, pattern, texts string) {
		n, _, err := parse(pattern, flags{})
		if err != nil || len(pattern) > 200 {
			t.Skip()
		}
		whole, err := Compile("^(?:"+pattern+`)\Z`, Options{NoNewline: true})
		if err != nil {
			t.Skip()
		}
		s := newShape(n)
		if s == nil {
			t.Skip()
		}
		for _, text := range strings.Split(texts, " ") {
			end := 0
			for end < len(text) && s.class[text[end]] > 0 {
				end++
			}
			want, err := m.SearchGeneral(whole, []byte(text[:end]), nil)
			if err != nil {
				t.Skip()
			}
			if to, ok := s.span([]byte(text), 0); ok != want || ok && to != end {
				t.Fatalf("%q in %q: got %d %t, want %d %t", pattern, text, to, ok, end, want)
			}
		}
	})
}
