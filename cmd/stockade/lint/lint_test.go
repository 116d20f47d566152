package lint

import (
	"fmt"
	"strings"
	"testing"
)

func findings(patterns ...string) string {
	var b strings.Builder
	Filter(patterns, func(i int, severity, message string) { fmt.Fprintf(&b, "%d %s %s\n", i, severity, message) })
	return b.String()
}

func TestFilter(t *testing.T) {
	for _, c := range []struct {
		name, pattern string
		want          []string // pieces of the findings, in order; none: silence
	}{
		{"the classic walkthrough passes", `^<HOST> - .+(GET|POST).*$`, nil},
		{"and its failures", `^<HOST> - .+(GET|POST).+ 401 .*$`, nil},
		{"a strict pattern passes", `^Failed password for (?:invalid user )?\S+ from <HOST> port \d+ ssh2$`, nil},
		{"free text before the address with a strict end passes", `^Failed password for .+ from <HOST> port \d+ ssh2$`, nil},
		{"a quoted name cannot hold the quote", `^user "[^"]*" failed from <HOST>$`, nil},
		{"either family is one capture", `^bad login from (?:<IP4>|<IP6>)$`, nil},
		{"a lookahead takes no text", `^(?=x)x from <HOST>(?!y)$`, nil},
		{"a group at both ends", `(?:^a <HOST>$|^b <HOST>$)`, nil},
		{"tags of fail2ban", `^<F-USER>\S+</F-USER> from <ADDR>:<F-PORT>\d+</F-PORT>$`, nil},

		{"an optional part that is well formed", `^\[\S+:\S+\](?: \[pid \d+(?::\S+ \d+)?\])? \[client <HOST>\] bad$`, nil},
		{"pairs whose values cannot end early", `^\{(?:"\w+":"[^"]*",){0,20}"ip":"<HOST>","x":"[^"]*"\}$`, nil},
		{"no anchors", `Failed login from <HOST> port \d+`, []string{"0 warning it is not anchored: "}},
		{"no beginning", `Failed login from <HOST>$`, []string{"0 warning it is not anchored at its beginning"}},
		{"no end", `^Failed login from <HOST>`, []string{"0 warning it is not anchored at its end"}},
		{"one alternative without an anchor", `(?:^a|b) <HOST>$`, []string{"0 warning it is not anchored at its beginning"}},
		{"an optional anchor is none", `^?a <HOST>$`, []string{"0 warning it is not anchored at its beginning"}},
		{"two addresses", `^from <HOST> to <HOST>$`, []string{"0 warning it captures 2 addresses"}},

		{"everything around", `.*<HOST>.*`, []string{"0 error it takes an address from any place"}},
		{"everything around, anchored", `^.*<HOST>.*$`, []string{"0 error it takes an address from any place"}},
		{"everything around inside", `^failed .+<HOST>.+$`, []string{"0 error it takes an address from any place"}},
		{"the tag of fail2ban's newer filters", `.*<ADDR>.*`, []string{"0 error it takes an address from any place"}},
		{"in groups", `(?:.*)(<HOST>)(?:.*)`, []string{"0 error it takes an address from any place"}},
		{"lazy", `.*?<HOST>.*?`, []string{"0 error it takes an address from any place"}},
		{"the address alone", `<HOST>`, []string{"0 error it takes an address from any place"}},
		{"any bytes", `[\s\S]*<HOST>[^\n]{0,200}`, []string{"0 error it takes an address from any place"}},
		{"the empty line", `(?:<HOST>)?`, []string{"0 error it matches the empty line"}},
		{"the empty line, anchored", `^(?:failed <HOST>)?$`, []string{"0 error it matches the empty line"}},

		{
			"a lazy name, proven", `^Failed password for .*? from <HOST>`,
			[]string{"0 warning it is not anchored at its end", `0 warning a client that chooses the text`, `reports 203.0.113.9`},
		},
		{
			"free text on both sides, proven", `^Failed password for .*? from <HOST> .*$`,
			[]string{`the line "Failed password for  from 203.0.113.9  from 198.51.100.7 "`},
		},
		{"IPv6 alone, proven", `^user .*? from <IP6> .*$`, []string{"reports 2001:db8:9::1"}},
		{"a name, by its tag, proven", `^user <F-USER>.*?</F-USER> from <HOST>\b.*$`, []string{"reports 203.0.113.9"}},
		{"the freer alternative counts", `^user (?:\S+|.*?) from <HOST> .*$`, []string{"reports 203.0.113.9"}},
		{"a lookahead that keeps the text out", `^user (?:(?! from ).)*? from <HOST> .*$`, nil},
		{"a group that repeats, proven", `^user (?:\S+ )*?from <HOST> .*$`, []string{"reports 203.0.113.9"}},
		{
			"greedy and open: possible", `^Failed password for .* from <HOST> .*$`,
			[]string{"0 warning the text before the address may be anything"},
		},
		{
			"any line will do", `^.*authentication failure from <HOST>$`,
			[]string{"0 warning the text before the address may be anything"},
		},
	} {
		t.Run(c.name, func(t *testing.T) {
			got := findings(c.pattern)
			rest := got
			for _, piece := range c.want {
				_, after, ok := strings.Cut(rest, piece)
				if !ok {
					t.Fatalf("%s: findings are\n%swant %q", c.pattern, got, piece)
				}
				rest = after
			}
			if len(c.want) == 0 && got != "" {
				t.Errorf("%s: findings are\n%swant none", c.pattern, got)
			}
		})
	}
}

func TestFilterSaysWhichPattern(t *testing.T) {
	if got := findings(`^a <HOST>$`, `.*<HOST>.*`); !strings.HasPrefix(got, "1 error ") || strings.Count(got, "\n") != 1 {
		t.Errorf("findings are\n%swant one error of pattern 1", got)
	}
}

func TestIgnore(t *testing.T) {
	var got []int
	Ignore([]string{`\.(?i:jpg|png)`, `.*`, `^$`, `x*`}, func(i int, severity, _ string) {
		if severity == Error {
			got = append(got, i)
		}
	})
	if fmt.Sprint(got) != "[1 2 3]" {
		t.Errorf("refused are %v, want [1 2 3]", got)
	}
}

// FuzzFilter: any pattern is read without a panic, and what is refused names its index.
func FuzzFilter(f *testing.F) {
	for _, s := range []string{
		`^<HOST> - .+(GET|POST).*$`, `.*<HOST>.*`, `(?P<ip4>\d+)`, `(?(1)a|b)`, `[]-a^\]]{,3}x{2}+`, `\x41\u1234\`, `<F-USER>(</F-USER>`,
		`((((((`, `)|)|)`, `(?i:a`, `<SKIPLINES>(?P=a)(?#c)`, `[^`,
	} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, pattern string) {
		if len(pattern) > 1000 {
			return
		}
		Filter([]string{pattern}, func(i int, severity, message string) {
			if i != 0 || message == "" || severity != Error && severity != Warning {
				t.Errorf("%q: index %d, severity %q, message %q", pattern, i, severity, message)
			}
		})
	})
}
