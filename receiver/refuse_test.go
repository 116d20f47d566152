package receiver

import (
	"bytes"
	"fmt"
	"strings"
	"testing"
	"time"
)

func TestRefusedSamplesAreFound(t *testing.T) {
	var r Refusals
	now := time.Unix(1_000_000, 0)
	add := func(reason string, i int) {
		r.Add(reason, now.Add(time.Duration(i)*time.Millisecond), fmt.Appendf(nil, "line %d;%s", i, strings.Repeat("x", i%7*100)))
	}
	find := func(i int) []Refusal {
		return r.Find(func(text []byte) bool { return bytes.HasPrefix(text, fmt.Appendf(nil, "line %d;", i)) })
	}
	if len(find(0)) != 0 {
		t.Fatal("something is found in nothing")
	}
	for i := range 100 {
		add("a", i)
	}
	add("b", 99)
	r.AddN("c", now, nil, 5)
	for _, tt := range []struct{ i, want int }{{99, 2}, {100 - keptSamples, 1}, {99 - keptSamples, 0}} {
		if got := find(tt.i); len(got) != tt.want {
			t.Errorf("line %d is found %d times, want %d", tt.i, len(got), tt.want)
		}
	}
	newest := r.Find(func(text []byte) bool { return bytes.HasPrefix(text, []byte("line ")) })
	for _, x := range newest {
		if !strings.HasPrefix(x.Sample, "line 99;") || len(x.Sample) > maxSample || !x.Last.Equal(now.Add(99*time.Millisecond)) {
			t.Errorf("the newest is %+v", x)
		}
		if want := map[string]int64{"a": 100, "b": 1}[x.Reason]; x.Count != want {
			t.Errorf("%s counts %d, want %d", x.Reason, x.Count, want)
		}
	}
	text := bytes.Repeat([]byte("y"), 2*maxSample)
	if n := testing.AllocsPerRun(1000, func() { r.Add("a", now, text) }); n > 0 {
		t.Errorf("%v allocations a refusal", n)
	}
}
