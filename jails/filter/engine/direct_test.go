package engine

import (
	"slices"
	"strings"
	"testing"
)

// addr is how filters write an address.
const addr = `(?P<addr>(?:::[fF]{4}:)?[0-9]{1,3}(?:\.[0-9]{1,3}){3}|[0-9A-Fa-f:]*:[0-9A-Fa-f:.]*)`

func TestDirectSearches(t *testing.T) {
	failed := `^Failed (?P<method>password|none) for (?:(?:invalid|illegal) user )?(?P<user>.*) from ` + addr + ` port (?P<port>[0-9]+)(?: ssh[12])?$`
	for _, c := range []struct {
		name, pattern, subject string
		want                   verdict
	}{
		{"a line as it should be", failed, "Failed password for root from 192.0.2.7 port 55000 ssh2", isMatch},
		{"the optional words", failed, "Failed none for invalid user admin from 2001:db8::7 port 1", isMatch},
		{"the last address counts", failed, "Failed password for a from 192.0.2.1 port 1 ssh2 from 192.0.2.2 port 2 ssh2", isMatch},
		{"an optional word that is the name", failed, "Failed none for invalid user  from 192.0.2.7 port 1", isMatch},
		{"an empty line", failed, "", noMatch},
		{"another line", failed, "Accepted password for root from 192.0.2.7 port 55000 ssh2", noMatch},
		{"words behind the end", failed, "Failed password for root from 192.0.2.7 port 55000 ssh2 x", noMatch},
		{"a name outside ASCII", failed, "Failed password for ünal from 192.0.2.7 port 55000 ssh2", isMatch},
		{"a name that is no UTF-8", failed, "Failed password for \xff\xc3 from 192.0.2.7 port 55000 ssh2", isMatch},
		{"many words that are no address", failed, "Failed password for " + strings.Repeat("x from ", 200) + "y", noMatch},
		{"many ways to part a line", `^(.*) a(.*) b$`, strings.Repeat(" a", 200), undecided},
		{"a space that only the engine knows", `^(?P<a>\S+) x$`, "é x", undecided},
		{"the same without", `^(?P<a>\S+) x$`, "e x", isMatch},
		{"an address before its own character", `^` + addr + `: x$`, "2001:db8::1: x", isMatch},
		{"an address with a port before it", `^` + addr + `(?::(?P<port>[0-9]+))? x$`, "192.0.2.7:80 x", isMatch},
		{"nested groups of a way not taken", `^(?:(a(b))c|(ab)d|abe)$`, "abe", isMatch},
		{"an end inside", `^(?:a$|ab)`, "ab", isMatch},
		{"a run before a run", `^(\d*)(.*) $`, "A: ", isMatch},
		{"a run of a single byte", `^a(b*)(b)$`, "abbb", isMatch},
	} {
		for _, alone := range []bool{true, false} {
			re, err := Compile(c.pattern, Options{NoNewline: alone})
			if err != nil {
				t.Fatal(err)
			}
			if re.direct == nil {
				t.Errorf("%s: %q has no direct program", c.name, c.pattern)
				continue
			}
			end := len(c.subject)
			if !alone {
				end++
			}
			caps := make([]int, re.prog.slots)
			if got := re.direct.search([]byte(c.subject), end, caps); got != c.want {
				t.Errorf("%s: %q: verdict %d, want %d", c.name, c.subject, got, c.want)
			}
			same(t, NewMachine(), re, c.subject)
		}
	}
}

func TestOtherShapesHaveNoDirectProgram(t *testing.T) {
	for _, c := range []struct{ name, pattern string }{
		{"a beginning that is not known", `from ` + addr + `$`},
		{"a lookahead", `^(?:(?!x).)*$`},
		{"a lookbehind", `^a(?<=a)b$`},
		{"a word boundary", `^a\b`},
		{"a reference", `^(a)\1$`},
		{"a conditional", `^(a)?(?(1)b|c)$`},
		{"a repeated group", `^(?:ab)*$`},
		{"a lazy run", `^(.*?) x$`},
		{"counted characters of more than a byte", `^.{2,3}$`},
		{"a run that could end inside a character", `^(.*)(é)$`},
	} {
		re, err := Compile(c.pattern, Options{})
		if err != nil {
			t.Fatal(err)
		}
		if re.direct != nil {
			t.Errorf("%s: %q has a direct program", c.name, c.pattern)
		}
	}
}

func TestDirectSearchesAllocateNothing(t *testing.T) {
	re, err := Compile(`^Invalid user (?P<user>.*) from `+addr+`(?: port (?P<port>[0-9]+))?$`, Options{NoNewline: true})
	if err != nil {
		t.Fatal(err)
	}
	m := NewMachine()
	caps := make([]int, 2*(re.Groups()+1))
	for _, line := range [][]byte{[]byte("Invalid user a from 192.0.2.7 port 1"), []byte("Invalid user a from b from 192.0.2.7 x")} {
		for _, into := range [][]int{caps, nil} {
			if n := testing.AllocsPerRun(100, func() {
				if _, err := m.Search(re, line, into); err != nil {
					t.Fatal(err)
				}
			}); n != 0 {
				t.Errorf("%q: %g allocations", line, n)
			}
		}
	}
}

// FuzzDirect compares the direct programs of random patterns with the general engine.
func FuzzDirect(f *testing.F) {
	seeds(f)
	m := NewMachine()
	f.Fuzz(func(t *testing.T, noise []byte, subject string, ends, alone bool) {
		g := generator{noise: noise, extra: true}
		g.alternation()
		pattern := "^(?:" + g.py.String() + ")"
		if ends {
			pattern += "$"
		}
		re, err := Compile(pattern, Options{NoNewline: alone})
		if err != nil || re.direct == nil {
			t.Skip()
		}
		for i := range len(subject) + 1 {
			same(t, m, re, subject[:i])
			same(t, m, re, subject[i:])
		}
	})
}

func TestDirectTakesTheNewlineBehindALine(t *testing.T) {
	for _, c := range []struct{ pattern, subject string }{
		{`^(?:\d {2}|\s.*)`, ""},
		{`^a(\s*)(.*)$`, "a"},
		{`^a(\s+)$`, "a"},
		{`^(a|a\s)\Z`, "a"},
		{`^a[^b]?$`, "a"},
	} {
		re, err := Compile(c.pattern, Options{})
		if err != nil || re.direct == nil {
			t.Fatalf("%q: %v", c.pattern, err)
		}
		same(t, NewMachine(), re, c.subject)
	}
}

// same holds that both ways of searching give the same answer, captures and all.
func same(t *testing.T, m *Machine, re *Regexp, subject string) {
	t.Helper()
	got, want := make([]int, re.prog.slots), make([]int, re.prog.slots)
	ok, err1 := m.Search(re, []byte(subject), got)
	match, err2 := m.SearchGeneral(re, []byte(subject), want)
	if err1 != nil || err2 != nil {
		t.Skipf("%v, %v", err1, err2)
	}
	if ok != match || ok && !slices.Equal(got, want) {
		t.Fatalf("%q on %q: got %t %v, the general engine %t %v", re, subject, ok, got, match, want)
	}
	if heads := re.Heads(); ok && heads != nil && !slices.ContainsFunc(heads, func(h string) bool { return strings.HasPrefix(subject, h) }) {
		t.Fatalf("%q matches %q, which begins with none of %q", re, subject, heads)
	}
}
