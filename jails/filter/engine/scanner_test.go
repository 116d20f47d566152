package engine

import (
	"fmt"
	"strings"
	"testing"
)

func TestScanner(t *testing.T) {
	var sets [][]string
	for i := range 3000 {
		sets = append(sets, []string{fmt.Sprintf("failure %d;", i), fmt.Sprintf("REFUSED-%d;", i)})
	}
	sets = append(sets, nil, []string{"from "}, []string{""})
	s := NewScanner(sets)
	hits := make([]uint64, s.Words())
	for i := range hits {
		hits[i] = ^uint64(0) // Scan must overwrite it
	}
	s.Scan([]byte("x FAILURE 17; refused-2999; From y"), hits)
	for i := range sets {
		want := i == 17 || i >= 2999
		if got := hits[i/64]>>(i%64)&1 == 1; got != want {
			t.Errorf("set %d %q: %t", i, sets[i], got)
		}
	}
	line := []byte(strings.Repeat("failure refused from ", 20))
	if n := testing.AllocsPerRun(100, func() { s.Scan(line, hits) }); n != 0 {
		t.Errorf("a scan allocates %g times", n)
	}
	empty := NewScanner(nil)
	empty.Scan(line, nil)
	if empty.Words() != 0 {
		t.Errorf("an empty scanner wants %d words", empty.Words())
	}
}

func BenchmarkScanner(b *testing.B) {
	line := []byte("Accepted publickey for deploy from 198.51.100.7 port 50022 ssh2: ED25519 SHA256:a1b2c3d4e5f6g7h8i9j0")
	for _, n := range []int{1, 100, 3000} {
		var sets [][]string
		for i := range n {
			sets = append(sets, []string{fmt.Sprintf("failure number %d;", i), fmt.Sprintf("user %d refused", i)})
		}
		s := NewScanner(sets)
		hits := make([]uint64, s.Words())
		b.Run(fmt.Sprint(n), func(b *testing.B) {
			b.ReportAllocs()
			b.SetBytes(int64(len(line)))
			for b.Loop() {
				s.Scan(line, hits)
			}
		})
	}
}
