package engine

import (
	"errors"
	"slices"
	"strings"
	"testing"
)

func TestFaultsPointIntoThePattern(t *testing.T) {
	for _, c := range []struct {
		name, pattern string
		offset        int
		text          string
	}{
		{"an open group", "ab(cd", 2, "unterminated group"},
		{"a lonely parenthesis", "ab)", 2, "unbalanced parenthesis"},
		{"an open class", "a[bc", 1, "a ] is missing"},
		{"a range backwards", "a[z-a]", 2, "bad character range z-a"},
		{"a range from a class", `[\d-x]`, 1, `bad character range \d-x`},
		{"two repeats", "a**", 2, "multiple repeat"},
		{"a repeat of nothing", "a|*", 2, "nothing to repeat"},
		{"a repeat of an anchor", "^*", 1, "an anchor has no width"},
		{"a repeat upside down", "a{3,2}", 1, "minimum 3 is above its maximum 2"},
		{"a repeat too large", "a{70000}", 1, "at most 65535"},
		{"a program too large", "(?:a{200}){200}", 3, "more than 20000 steps"},
		{"a name twice", "(?P<a>x)(?P<a>y)", 8, `name "a" is used twice`},
		{"a name with a digit first", "(?P<1a>x)", 4, "bad character in group name"},
		{"an unknown name", "(?P=a)", 0, `unknown group name "a"`},
		{"a group inside itself", "(?P<a>(?P=a))", 6, "inside itself"},
		{"a number without group", `a\1`, 1, "invalid reference to group 1"},
		{"a condition on no group", "(?(3)a|b)", 0, "invalid group reference 3"},
		{"three branches", "(a)(?(1)a|b|c)", 11, "at most two branches"},
		{"a condition on a lookahead's group", "(?=(a))(?(1)a)", 7, "inside a lookaround"},
		{"a backreference in a lookahead", `(a)(?=\1)`, 6, "not supported"},
		{"the verbose flag", "(?x) a", 0, "verbose"},
		{"the locale flag", "(?L)a", 0, "locale"},
		{"an unknown flag", "(?y)a", 0, "unknown extension"},
		{"a lookbehind of any width", "(?<=a*)b", 0, "fixed width"},
		{"lookbehinds of two widths", "(?<=a|bc)b", 0, "fixed width"},
		{"lookbehinds too long", "(?<=a{200})(?<=b{200})(?<=c{200})d", 0, "too long ones"},
		{"a group in a lookbehind", "(?<=(a))b", 4, "not supported inside a look-behind"},
		{"a possessive group", "(?:ab)++c", 6, "only on one character or class"},
		{"an atomic alternation", "(?>a|bc)", 0, "atomic group"},
		{"an unknown escape", `\q`, 0, `bad escape \q`},
		{"a backslash at the end", `ab\`, 2, "ends in a backslash"},
		{"half an escape", `a\x4`, 1, "incomplete escape"},
		{"no such character", `\U00110000`, 0, "no such character"},
		{"bytes that are no text", "ab\xff", 2, "not valid UTF-8"},
		{"deep nesting", strings.Repeat("(?:", 300), 750, "nested deeper"},
		{"many groups", strings.Repeat("()", 201), 400, "more than 200 groups"},
	} {
		_, err := Compile(c.pattern, Options{})
		var e *Error
		switch {
		case !errors.As(err, &e):
			t.Errorf("%s: %q compiles", c.name, c.pattern)
		case e.Offset != c.offset || !strings.Contains(e.Msg, c.text):
			t.Errorf("%s: %q: got offset %d %q, want %d %q", c.name, c.pattern, e.Offset, e.Msg, c.offset, c.text)
		case e.Pattern != c.pattern || !strings.Contains(e.Error(), e.Msg):
			t.Errorf("%s: the error %q does not carry the pattern or the message", c.name, e)
		}
	}
}

func TestFlagsInsideGroups(t *testing.T) {
	for _, c := range []struct {
		name, pattern, subject string
		groups                 int
		want                   bool
	}{
		{"a flag at a group's beginning holds inside and the group captures no more", "((?i)ab)c", "ABc", 0, true},
		{"and not outside", "((?i)ab)c", "abC", 0, false},
		{"the same without a capture", "(?:(?i)ab)c", "ABc", 0, true},
		{"elsewhere it holds for the whole pattern, as in old Python", "a(?i)b", "AB", 0, true},
		{"in a group that does not begin with it too", "a(b(?i)c)", "ABC", 1, true},
		{"u and a change nothing", "(?u)a(?a)b", "ab", 0, true},
	} {
		re, err := Compile(c.pattern, Options{})
		if err != nil {
			t.Errorf("%s: %v", c.name, err)
			continue
		}
		ok, _ := NewMachine().Search(re, []byte(c.subject), nil)
		if ok != c.want || re.Groups() != c.groups {
			t.Errorf("%s: %q on %q: %t with %d groups", c.name, c.pattern, c.subject, ok, re.Groups())
		}
	}
}

func TestNames(t *testing.T) {
	re, err := Compile(`(?P<user>a)(b)(?P<ip4>c)`, Options{FoldCase: true})
	if err != nil {
		t.Fatal(err)
	}
	if want := []string{"", "user", "", "ip4"}; !slices.Equal(re.Names(), want) || re.Groups() != 3 {
		t.Errorf("got %q and %d groups", re.Names(), re.Groups())
	}
	if ok, _ := NewMachine().Search(re, []byte("xABC"), make([]int, 8)); !ok {
		t.Error("FoldCase is not honoured")
	}
}

func TestLookAlikes(t *testing.T) {
	for _, c := range []struct{ name, pattern, subject string }{
		{"Arabic digits are no digits", `\d`, "\u0661"},
		{"an accented letter is no word character", `^\w+$`, "é"},
		{"the Kelvin sign is no k", `(?i)k`, "\u212a"},
		{"the long s is no s", `(?i)s`, "\u017f"},
	} {
		re, err := Compile(c.pattern, Options{})
		if err != nil {
			t.Fatal(err)
		}
		if ok, _ := NewMachine().Search(re, []byte(c.subject), nil); ok {
			t.Errorf("%s: %q matches %q", c.name, c.pattern, c.subject)
		}
	}
}

func TestLiterals(t *testing.T) {
	for _, c := range []struct {
		pattern string
		want    []string
	}{
		{`^Failed (?:password|publickey) for (?P<user>.*) from`, []string{"ed password for ", "d publickey for "}},
		{`(?i)Invalid USER`, []string{"invalid user"}},
		{`[Ff]ile does not`, []string{"file does not"}},
		{`(?:Connection closed|Connection closed by)`, []string{"onnection closed"}},
		{`\d+ .* \S+`, nil},
		{`a|long literal`, nil},
		{`(?!never this)\w+`, nil},
		{`(?=needed here)\w+`, []string{"needed here"}},
		{`(?:abc)?d`, nil},
		{`(?:abc){2,}`, []string{"abc"}},
		{"ends with\n", []string{"ends with"}},
		{"(a)?(?(1)yes this|no that)", []string{"no that", "yes this"}},
	} {
		re, err := Compile(c.pattern, Options{})
		if err != nil {
			t.Fatal(err)
		}
		slices.Sort(c.want)
		if !slices.Equal(re.Literals(), c.want) {
			t.Errorf("%q: got %q, want %q", c.pattern, re.Literals(), c.want)
		}
	}
}

// TestEmptyTurns holds that loops which could turn without taking a rune end, and that they take
// no such turn after one that took something, as Go's regexp does and Python's re does not.
func TestEmptyTurns(t *testing.T) {
	for _, c := range []struct {
		pattern, subject string
		want             []int
	}{
		{"(?:(?=(a)))*a", "a", []int{0, 1, 0, 1}},
		{"(?:x|(?=(a)(b)?))*a", "xab", []int{0, 2, -1, -1, -1, -1}},
		{"(?:(?=((?:b*)*))|b)*c", "bbc", []int{0, 3, -1, -1}},
		{"(a*)*", "aa", []int{0, 2, 0, 2}},
		{"(a*)+b", "aab", []int{0, 3, 0, 2}},
		{"(?:a?b??)*?c", "abac", []int{0, 4}},
	} {
		re, err := Compile(c.pattern, Options{})
		if err != nil {
			t.Fatal(err)
		}
		caps := make([]int, len(c.want))
		if ok, err := NewMachine().Search(re, []byte(c.subject), caps); !ok || err != nil || !slices.Equal(caps, c.want) {
			t.Errorf("%q on %q: got %t %v, want %v", c.pattern, c.subject, ok, caps, c.want)
		}
	}
}
