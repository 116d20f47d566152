package engine

import (
	"slices"
	"strings"
	"testing"
)

func TestHeadsOfPatterns(t *testing.T) {
	for _, c := range []struct {
		name, pattern string
		want          []string
	}{
		{"a literal", "^Invalid user (.*)$", []string{"Invalid user "}},
		{"a choice", "^(?:Invalid|Illegal) user (.*)$", []string{"Illegal user ", "Invalid user "}},
		{"an optional beginning", "^(?:error: )?PAM: (.*)$", []string{"PAM: ", "error: PAM: "}},
		{"a group", "^(?P<a>Failed) (?P<b>x|yy).*", []string{"Failed x", "Failed yy"}},
		{"a choice that ends early", "^(?:Failed .*|Lost) x", []string{"Failed ", "Lost x"}},
		{"a repeat that is there", "^ab(?:cd)+", []string{"abcd"}},
		{"no more than is of use", "^" + strings.Repeat("a", 2*maxHead), []string{strings.Repeat("a", maxHead)}},
		{"too many ways", "^ab: (?:a|b)(?:a|b|c|d|e|f|g|h|i|j|k|l|m|n|o|p)", []string{"ab: a", "ab: b"}},
		{"a beginning that is short", "^(?:ab|.)(.*)$", nil},
		{"a beginning of either case", "^(?i)failed", nil},
		{"any beginning", "Failed (.*)$", nil},
		{"a beginning outside ASCII", "^échec de (.*)$", nil},
	} {
		re, err := Compile(c.pattern, Options{})
		if err != nil {
			t.Fatal(err)
		}
		got := re.Heads()
		if !slices.Equal(got, c.want) {
			t.Errorf("%s: %q begins with %q, want %q", c.name, c.pattern, got, c.want)
		}
	}
}

func TestHeadsFindAllocatesNothing(t *testing.T) {
	h := NewHeads([][]string{{"Failed password ", "Failed none "}, nil, {"Failed "}})
	hits, line := make([]uint64, 1), []byte("Failed none for root")
	if n := testing.AllocsPerRun(100, func() { h.Find(line, hits) }); n != 0 {
		t.Errorf("%g allocations", n)
	}
	if hits[0] != 0b101 {
		t.Errorf("found %b", hits[0])
	}
}

// FuzzHeads compares with strings.HasPrefix.
func FuzzHeads(f *testing.F) {
	f.Add("Failed password,Failed none|Failed |Fail|Accepted |", "Failed none for root")
	f.Add("a,ab,abc|abc|abd|b|\x00|\xff", "abcd")
	f.Add("aa|aab|aac|ab", "aac")
	f.Fuzz(func(t *testing.T, sets, line string) {
		var all [][]string
		for _, s := range strings.Split(sets, "|") {
			all = append(all, slices.DeleteFunc(strings.Split(s, ","), func(s string) bool { return s == "" }))
		}
		h := NewHeads(all)
		for _, text := range []string{line, sets, line + sets} {
			hits := make([]uint64, (len(all)+63)/64)
			h.Find([]byte(text), hits)
			for i, set := range all {
				want := slices.ContainsFunc(set, func(s string) bool { return strings.HasPrefix(text, s) })
				if got := hits[i/64]>>(i%64)&1 == 1; got != want {
					t.Fatalf("set %d %q at the beginning of %q: %t, want %t", i, set, text, got, want)
				}
			}
		}
	})
}
