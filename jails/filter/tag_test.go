package filter

import "testing"

func TestUntagged(t *testing.T) {
	f := compile(t, Spec{
		Name: "d", Apps: []string{"*", "sshd", "wp*"},
		Patterns: []Pattern{{Name: "x", Proof: ProofHandshake, Text: "fail {addr}."}},
	})
	for in, want := range map[string]string{
		"sshd[9]: fail 192.0.2.1.":  "fail 192.0.2.1.",
		"sshd: fail 192.0.2.1.":     "fail 192.0.2.1.",
		"wp(a.example)[9]: fail":    "fail",
		"other[9]: fail 192.0.2.1.": "other[9]: fail 192.0.2.1.",
		"some words: sshd: fail":    "some words: sshd: fail",
		"fail 192.0.2.1.":           "fail 192.0.2.1.",
		": fail":                    ": fail",
		"":                          "",
	} {
		if got := string(f.untagged([]byte(in))); got != want {
			t.Errorf("%q: %q, want %q", in, got, want)
		}
	}
	set := NewSet([]*Filter{f}, nil)
	for app, want := range map[string]int{"": 1, "su": 0} {
		line := Line{App: []byte(app), Text: []byte("sshd[9]: fail 192.0.2.1."), Facility: -1}
		if got := set.NewMatcher().Match(&line, set.All()); len(got) != want {
			t.Errorf("app %q: %d matches, want %d", app, len(got), want)
		}
	}
}

// TestWhereANativeTextBegins: patterns are told by the beginning of what they see, wherever it
// stands in the line.
func TestWhereANativeTextBegins(t *testing.T) {
	set := setOf(t, Spec{Name: "fails", Apps: []string{"app"}, Patterns: []Pattern{
		{Name: "other", Text: "Lost {addr}"},
		{Name: "failed", Text: "Failed {user} from {addr}"},
		{Name: "any", Text: "{word} failed from {addr}"},
	}})
	m := set.NewMatcher()
	for _, c := range []struct {
		name, app, text string
		pattern         int // -1: none
	}{
		{"as it is", "app", "Failed root from 192.0.2.1", 1},
		{"behind blanks", "app", "  Failed root from 192.0.2.1\r", 1},
		{"repeated", "app", "message repeated 3 times: [ Failed root from 192.0.2.1]", 1},
		{"behind a tag", "", "app[12]: Failed root from 192.0.2.1", 1},
		{"behind a tag, repeated", "", "message repeated 3 times: [ app: Failed root from 192.0.2.1]", 1},
		{"without a tag", "", "Failed root from 192.0.2.1", 1},
		{"behind another's tag", "", "other: Failed root from 192.0.2.1", -1},
		{"behind a tag that is text", "app", "app: Failed root from 192.0.2.1", -1},
		{"another beginning", "app", "Lost 192.0.2.1", 0},
		{"a beginning that is not known", "app", "it failed from 192.0.2.1", 2},
		{"a beginning and no more", "app", "Failed", -1},
		{"nothing", "app", "", -1},
	} {
		l := line(c.text)
		l.App = []byte(c.app)
		pattern := -1
		if got := m.Match(l, set.All()); len(got) == 1 {
			pattern = got[0].Pattern
		}
		if pattern != c.pattern {
			t.Errorf("%s: %q matches pattern %d, want %d", c.name, c.text, pattern, c.pattern)
		}
	}
}
