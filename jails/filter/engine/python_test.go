package engine

import (
	"bufio"
	"encoding/json"
	"os"
	"slices"
	"testing"
)

// TestPython compares with recorded answers of CPython 3.11's re: pattern, flags, whether the
// subject stands alone, subject, spans. A row whose subject does not stand alone was recorded with
// a newline behind it.
func TestPython(t *testing.T) {
	f, err := os.Open("testdata/python.jsonl")
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	m := NewMachine()
	n := 0
	lines := bufio.NewScanner(f)
	lines.Buffer(nil, 1<<20)
	for lines.Scan() {
		var (
			pattern, mode, subject string
			alone                  bool
			want                   []int
		)
		if err := json.Unmarshal(lines.Bytes(), &[]any{&pattern, &mode, &alone, &subject, &want}); err != nil {
			t.Fatal(err)
		}
		re, err := Compile(pattern, Options{Multiline: mode == "m", NoNewline: alone})
		if err != nil {
			t.Errorf("%q: %v", pattern, err)
			continue
		}
		caps := make([]int, 2*(re.Groups()+1))
		ok, err := m.Search(re, []byte(subject), caps)
		if err != nil {
			t.Errorf("%q: %v", pattern, err)
		}
		clamp(want, len(subject))
		if ok != (want != nil) || ok && !slices.Equal(caps, want) {
			t.Errorf("%q (alone %t) on %q: got %t %v, want %v", pattern, alone, subject, ok, caps, want)
		}
		if only, _ := m.Search(re, []byte(subject), nil); only != ok {
			t.Errorf("%q on %q: without captures %t, with them %t", pattern, subject, only, ok)
		}
		n++
	}
	if err := lines.Err(); err != nil || n < 1000 {
		t.Fatalf("read %d rows: %v", n, err)
	}
}
