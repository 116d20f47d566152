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
