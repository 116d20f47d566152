//go:build !race

// The race detector makes sync.Pool drop buffers at random.

package frame

import (
	"fmt"
	"strings"
	"testing"
)

func TestAFrameAllocatesNothing(t *testing.T) {
	line := strings.Repeat("x", 100)
	big := strings.Repeat("x", 20_000)
	for name, src := range map[string]*ring{
		"lines, fast":             {data: []byte(line + "\n"), piece: 1 << 20},
		"lines, one a read":       {data: []byte(line + "\n"), piece: len(line) + 1},
		"lines, in pieces":        {data: []byte(line + "\n"), piece: 7},
		"large lines":             {data: []byte(big + "\n"), piece: 1 << 20},
		"large and small, pieces": {data: []byte(big + "\n" + line + "\n"), piece: 1500},
		"counted":                 {data: fmt.Appendf(nil, "%d %s", len(line), line), piece: 1 << 20},
		"counted, large":          {data: fmt.Appendf(nil, "%d %s", len(big), big), piece: 1500},
		"too long":                {data: []byte(big + big + big + big + "\n"), piece: 9000},
	} {
		r := NewReader(src, Options{})
		next := func() {
			for range 50 {
				if _, err := r.Next(); err != nil {
					t.Fatal(err)
				}
			}
		}
		next()
		// The pool may be emptied by a garbage collection in between: less than one a frame.
		if n := testing.AllocsPerRun(20, next); n > 1 {
			t.Errorf("%s: %v allocations for 50 frames, want 0", name, n)
		}
	}
}
