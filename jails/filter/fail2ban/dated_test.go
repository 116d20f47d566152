package fail2ban

import (
	"testing"
	"time"

	"stockade/jails/filter"
)

func TestDated(t *testing.T) {
	spec, err := Dated(filter.Spec{Name: "own", FailRegex: []string{`^denied <HOST>  at$`}}, `at=%Y/%m/%d %H:%M:%S`)
	if err != nil {
		t.Fatal(err)
	}
	f, err := filter.Compile(spec)
	if err != nil {
		t.Fatal(err)
	}
	set := filter.NewSet([]*filter.Filter{f}, nil)
	m := set.NewMatcher()
	now := time.Date(2026, 11, 24, 12, 0, 0, 0, time.UTC)
	for _, tt := range []struct {
		name string
		line filter.Line
		hits int
	}{
		{"a line of a file loses its date", filter.Line{Whole: []byte("denied 192.0.2.7 at=2026/11/24 11:59:59 at"), Text: []byte("x"), Time: now}, 1},
		{"an entry is left as it is", filter.Line{Text: []byte("denied 192.0.2.7  at"), Time: now}, 1},
		{"an entry keeps what looks like a date", filter.Line{Text: []byte("denied 192.0.2.7 at=2026/11/24 11:59:59 at"), Time: now}, 0},
	} {
		t.Run(tt.name, func(t *testing.T) {
			if got := m.Match(&tt.line, set.All()); len(got) != tt.hits {
				t.Errorf("%d matches, want %d", len(got), tt.hits)
			}
		})
	}
	if _, err := Dated(filter.Spec{}, `(`); err == nil {
		t.Error("a broken pattern is taken")
	}
}
