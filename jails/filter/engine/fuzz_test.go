package engine

import (
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// generator writes patterns from noise, in Python's and in Go's syntax.
type generator struct {
	noise []byte
	extra bool // also what Go's regexp lacks
	depth int
	group int
	shut  []int // groups closed outside lookarounds
	look  int
	py    strings.Builder
	re2   strings.Builder
}

func (g *generator) next(n int) int {
	if len(g.noise) == 0 {
		return 0
	}
	b := int(g.noise[0])
	g.noise = g.noise[1:]
	return b % n
}

func (g *generator) both(s string) { g.py.WriteString(s); g.re2.WriteString(s) }

func (g *generator) alternation() {
	for i := range g.next(3) + 1 {
		if i > 0 {
			g.both("|")
		}
		for range g.next(4) + 1 {
			g.item()
		}
	}
}

var (
	sameSets  = []string{"a", "b", "1", " ", ":", ".", "é", "[ab]", "[^a]", `\d`, `\w`, `\W`, `[^\d:]`, `(?i:A)`, "[a-é]"}
	quantity  = []string{"*", "+", "?", "{2}", "{1,2}", "{0,2}", "{2,}"}
	anchors   = []string{"^", `\b`, `\B`, `\A`}
	behindSet = []string{"(?<=a)", "(?<!b)", "(?<=ab)", "(?<!^a)", `(?<=\b1)`}
)

func (g *generator) item() {
	kinds := 8
	if g.extra {
		kinds = 12
	}
	kind := g.next(kinds)
	if g.depth > 3 && kind > 3 {
		kind = 0
	}
	switch kind {
	case 4, 5:
		g.depth++
		capture := kind == 4
		if capture {
			g.both("(")
			g.group++
		} else {
			g.both("(?:")
		}
		n := g.group
		g.alternation()
		g.both(")")
		if capture && g.look == 0 {
			g.shut = append(g.shut, n)
		}
		g.depth--
	case 6:
		g.both(anchors[g.next(len(anchors))])
		return
	case 7:
		if g.next(2) == 0 {
			g.py.WriteString(`\Z`)
			g.re2.WriteString(`\z`)
			return
		}
		g.py.WriteString(`\s`)
		g.re2.WriteString(`[\t-\r\x1c- \x{85}\x{a0}\x{1680}\x{2000}-\x{200a}\x{2028}\x{2029}\x{202f}\x{205f}\x{3000}]`)
	case 8:
		g.depth++
		g.look++
		g.py.WriteString([]string{"(?=", "(?!"}[g.next(2)])
		g.alternation()
		g.py.WriteString(")")
		g.look--
		g.depth--
		return
	case 9:
		g.py.WriteString(behindSet[g.next(len(behindSet))])
		return
	case 10:
		if len(g.shut) == 0 {
			g.both("a")
			return
		}
		fmt.Fprintf(&g.py, "(?(%d)", g.shut[g.next(len(g.shut))])
		g.depth++
		g.item()
		g.py.WriteString("|")
		g.item()
		g.py.WriteString(")")
		g.depth--
		return
	case 11:
		switch {
		case g.next(3) > 0:
			g.py.WriteString("$")
		case len(g.shut) > 0 && g.look == 0:
			fmt.Fprintf(&g.py, `(?:\%d)`, g.shut[g.next(len(g.shut))])
		default:
			g.both("b")
		}
		return
	default:
		g.both(sameSets[g.next(len(sameSets))])
	}
	if q := g.next(3 * len(quantity)); q < len(quantity) {
		g.both(quantity[q])
		if g.next(3) == 0 {
			g.both("?")
		}
	}
}

// seeds are noise that gives patterns of some size.
func seeds(f *testing.F) {
	for i := range 64 {
		noise := make([]byte, 24+i)
		x := uint32(i)*2654435761 + 12345
		for j := range noise {
			x = x*1664525 + 1013904223
			noise[j] = byte(x >> 24)
		}
		f.Add(noise, "ab1: aab\n1é b", i%2 == 0, i%3 == 0)
	}
	f.Add([]byte{}, "", false, false)
	f.Add([]byte{4, 0, 0, 0, 0, 3, 3}, "\xff\xfe é\xc3", true, true)
}

// FuzzSearch compares with Go's regexp, spans and all, on patterns that both understand.
func FuzzSearch(f *testing.F) {
	seeds(f)
	m := NewMachine()
	f.Fuzz(func(t *testing.T, noise []byte, subject string, multi, alone bool) {
		g := generator{noise: noise}
		g.alternation()
		flags := ""
		if multi {
			flags = "(?m)"
		}
		want, err := regexp.Compile(flags + g.re2.String())
		if err != nil {
			t.Skip()
		}
		re, err := Compile(g.py.String(), Options{Multiline: multi, NoNewline: alone})
		if err != nil {
			t.Skip() // a multiple repeat, or too large
		}
		text := subject
		if !alone {
			text += "\n"
		}
		spans := want.FindStringSubmatchIndex(text)
		clamp(spans, len(subject))
		compare(t, m, re, subject, spans)
	})
}

// FuzzAssertions compares with the oracle on patterns with lookarounds, conditionals and
// backreferences.
func FuzzAssertions(f *testing.F) {
	seeds(f)
	m := NewMachine()
	f.Fuzz(func(t *testing.T, noise []byte, subject string, multi, alone bool) {
		g := generator{noise: noise, extra: true}
		g.alternation()
		re, err := Compile(g.py.String(), Options{Multiline: multi, NoNewline: alone})
		if err != nil {
			t.Skip()
		}
		tree, names, _ := parse(g.py.String(), flags{multi: multi})
		tree.walk(func(n *node) {
			if n.kind == kRepeat && n.subs[0].nullable() {
				t.Skip() // where engines differ in the last, empty turn
			}
		})
		text := subject
		if !alone {
			text += "\n"
		}
		o := oracle{text: []byte(text), fuel: 200_000}
		spans, done := o.search(tree, len(names)-1)
		if !done {
			t.Skip()
		}
		clamp(spans, len(subject))
		compare(t, m, re, subject, spans)
	})
}

func compare(t *testing.T, m *Machine, re *Regexp, subject string, want []int) {
	t.Helper()
	caps := make([]int, 2*(re.Groups()+1))
	ok, err := m.Search(re, []byte(subject), caps)
	if err != nil {
		t.Skip()
	}
	if ok != (want != nil) || ok && !slices.Equal(caps, want) {
		t.Fatalf("%q on %q: got %t %v, want %v", re, subject, ok, caps, want)
	}
	if only, err := m.Search(re, []byte(subject), nil); err == nil && only != ok {
		t.Fatalf("%q on %q: without captures %t", re, subject, only)
	}
	if ok, err := m.SearchGeneral(re, []byte(subject), caps); err == nil && (ok != (want != nil) || ok && !slices.Equal(caps, want)) {
		t.Fatalf("%q on %q by the general engine: got %t %v, want %v", re, subject, ok, caps, want)
	}
	// Without room for states, as after a line that is too varied for the cache.
	bare := NewMachine()
	bare.limit = 0
	if ok, err := bare.SearchGeneral(re, []byte(subject), caps); err == nil && (ok != (want != nil) || ok && !slices.Equal(caps, want)) {
		t.Fatalf("%q on %q without a cache: got %t %v, want %v", re, subject, ok, caps, want)
	}
	if heads := re.Heads(); ok && heads != nil && !slices.ContainsFunc(heads, func(h string) bool { return strings.HasPrefix(subject, h) }) {
		t.Fatalf("%q matches %q, which begins with none of %q", re, subject, heads)
	}
	if literals := re.Literals(); ok && len(literals) > 0 {
		hits := make([]uint64, 1)
		if NewScanner([][]string{literals}).Scan([]byte(subject), hits); hits[0] == 0 {
			t.Fatalf("%q matches %q, which holds none of %q", re, subject, literals)
		}
	}
}

// FuzzCompile holds that no pattern breaks the compiler, that errors point into the pattern, and
// that what compiles can be searched.
func FuzzCompile(f *testing.F) {
	for _, p := range []string{
		"", "(", ")", "[", "a**", "a{2,1}", "(?P<a>x)(?P=a)", "(?(1)a|b|c)", "(?<=a*)", `\`, `\8`, "(?i)a(?-i)b",
		"((?i)a|b)", "(?x) a", "(?>a|b)", "a++", `[\d-z]`, "(?P<1>a)", "(?#", "(?:a{1000}){1000}", "{,3}", "a{,3}", "\xff",
		`^(?P<ip6>(?:[0-9a-fA-F]{1,4}::?|:){1,7}(?:[0-9a-fA-F]{1,4}|(?<=:):))$`, "(?=a(?!b(?=c)))", `\x{41}`, `\N{DIGIT ONE}`,
		"(?P<a>(?P=a))", "(a)?(?(1)b|c)", "(?:(?:){9}){9}", "(?:a?){65535}", "[^\\x00-\\U0010ffff]",
	} {
		f.Add(p, "aab ::1 x\n")
	}
	m := NewMachine()
	f.Fuzz(func(t *testing.T, pattern, subject string) {
		re, err := Compile(pattern, Options{})
		if err != nil {
			var e *Error
			if !errors.As(err, &e) || e.Offset < 0 || e.Offset > len(pattern) || e.Msg == "" {
				t.Fatalf("%q: bad error %#v", pattern, err)
			}
			return
		}
		if len(re.prog.insts) > 4000 || len(subject) > 4096 {
			return
		}
		caps := make([]int, 2*(re.Groups()+1))
		ok, err := m.Search(re, []byte(subject), caps)
		if !ok || err != nil {
			return
		}
		for i := 0; i < len(caps); i += 2 {
			if a, b := caps[i], caps[i+1]; a < -1 || b > len(subject) || i == 0 && (a < 0 || a > b) {
				t.Fatalf("%q on %q: span %d is %d:%d", pattern, subject, i/2, a, b)
			}
		}
	})
}

// FuzzScanner compares with strings.Contains.
func FuzzScanner(f *testing.F) {
	f.Add("abc,bc|c|,", "xABCy")
	f.Add("from,port|FROM|rom 1|é", "From 1 É é")
	f.Add("aaaa,aa|aab|b", "aaab")
	f.Fuzz(func(t *testing.T, sets, line string) {
		var all [][]string
		for _, s := range strings.Split(sets, "|") {
			var set []string
			if s != "" {
				set = strings.Split(s, ",")
			}
			all = append(all, set)
		}
		s := NewScanner(all)
		hits := make([]uint64, s.Words())
		s.Scan([]byte(line), hits)
		for i, set := range all {
			want := len(set) == 0
			for _, l := range set {
				want = want || strings.Contains(lowerASCII(line), lowerASCII(l))
			}
			if got := hits[i/64]>>(i%64)&1 == 1; got != want {
				t.Fatalf("set %d %q in %q: %t, want %t", i, set, line, got, want)
			}
		}
	})
}

func lowerASCII(s string) string {
	b := []byte(s)
	for i := range b {
		b[i] = lower(b[i])
	}
	return string(b)
}
