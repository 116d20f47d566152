package catalogue

import (
	"fmt"
	"testing"
	"time"

	"stockade/jails/filter"
)

// TestFailuresAllocateNothing: once the memory of ids is as large as it gets, sshd's failures cost
// nothing but the first copy of a user's name.
func TestFailuresAllocateNothing(t *testing.T) {
	if raceEnabled {
		t.Skip("the race detector allocates")
	}
	set := newSet(t, Names())
	m := set.NewMatcher()
	var lines []filter.Line
	for i := range 3000 {
		lines = append(lines, filter.Line{
			App: []byte("sshd"), Host: []byte("web1"), PID: fmt.Append(nil, 1000+i), Facility: 4, Source: "s", Time: time.Unix(1_700_000_000, 0),
			Text: fmt.Appendf(nil, failures[i%len(failures)], fmt.Sprintf("192.0.2.%d", i%250), 1024+i),
		})
	}
	n := 0
	next := func() {
		l := &lines[n%len(lines)]
		n++
		if got := m.Match(l, set.Route(l.App)); len(got) != 1 {
			t.Fatalf("%d matches of %q", len(got), l.Text)
		}
	}
	for range 2 * len(lines) {
		next()
	}
	if allocs := testing.AllocsPerRun(5000, next); allocs != 0 {
		t.Errorf("%v allocations for a failure, want none", allocs)
	}
}
