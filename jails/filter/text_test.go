package filter

import (
	"strings"
	"testing"
)

func TestTranslate(t *testing.T) {
	tests := []struct{ in, want, fault string }{
		{in: "bad {addr}", want: `^bad (?P<addr>` + reNativeAddr + `)$`},
		{in: "{user*} ({_#}) {{x}}", want: `^(?P<user>.*) \((?:[0-9]+)\) \{x\}$`},
		{in: "{a|b {n}}{? port {port}}", want: `^(?:a|b (?P<n>[0-9]+))(?: port (?P<port>[0-9]+))?$`},
		{in: "{m=x|y}.{q^]'}{w}", want: `^(?P<m>x|y)\.(?P<q>[^\]'\n]*)(?P<w>\S+)$`},
		{in: "{x! c: }", want: `^(?P<x>(?:(?! c\: ).)*)$`},
		{in: "bad }", fault: "} without {"},
		{in: "bad {addr", fault: "not closed"},
		{in: "bad {a|b", fault: "not closed"},
		{in: "bad {addr*}", fault: "takes no suffix"},
		{in: "bad {addr=a|b}", fault: "takes no alternatives"},
		{in: "bad {x*}{addr}", fault: "needs literal text"},
		{in: "bad {a|{x}}{addr}", fault: "needs literal text"},
		{in: "bad {?{x}}{addr}", fault: "needs literal text"},
		{in: "bad {addr}{x^y}", fault: "needs literal text"},
		{in: "bad {x^}", fault: "needs characters"},
	}
	for _, tt := range tests {
		got, _, err := translate(tt.in)
		if tt.fault == "" && (err != nil || got != tt.want) {
			t.Errorf("%q: %q, %v", tt.in, got, err)
		}
		if tt.fault != "" && (err == nil || !strings.Contains(err.Error(), tt.fault)) {
			t.Errorf("%q: %q, %v", tt.in, got, err)
		}
	}
}

func FuzzCompile(f *testing.F) {
	for _, s := range []string{"bad {user*} {addr}", "{a|{b|c}}{?d}", "^<HOST> (x|y)$", "<F-USER>a</F-USER> <ADDR>", "<SKIPLINES><F-MLFID>x</F-MLFID>", "}{", "{x^]-\\}"} {
		f.Add(s, "bad bob 192.0.2.1")
	}
	f.Fuzz(func(_ *testing.T, pattern, text string) {
		for _, s := range []Spec{
			{Patterns: []Pattern{{Text: pattern}}},
			{FailRegex: []string{pattern}, IgnoreRegex: []string{"x"}},
			{FailRegex: []string{"<HOST>"}, PrefRegex: pattern, MaxLines: 3},
		} {
			flt, err := Compile(s)
			if err != nil {
				continue
			}
			set := NewSet([]*Filter{flt}, nil)
			m := set.NewMatcher()
			for range 2 {
				m.Match(line(text), set.All())
			}
		}
	})
}
