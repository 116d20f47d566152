package pipeline

import (
	"math/rand/v2"
	"testing"
)

// TestSentLines compares with a plain list over hashes of which many share a bucket.
func TestSentLines(t *testing.T) {
	rnd := rand.New(rand.NewPCG(1, 2))
	var s sentLines
	var order []uint64
	times := make(map[uint64]uint16)
	for range 5 * remembered {
		sum := rnd.Uint64N(16)<<32 | rnd.Uint64N(3*remembered)
		l := s.find(sum)
		n, known := times[sum]
		if (l != nil) != known || known && l.times != n {
			t.Fatalf("%x: %+v, want %d times (known: %v)", sum, l, n, known)
		}
		if l == nil {
			if len(order) == remembered {
				delete(times, order[0])
				order = order[1:]
			}
			order = append(order, sum)
			l = s.add(sum)
		}
		l.times++
		times[sum]++
	}
	for _, sum := range order {
		if l := s.find(sum); l == nil || l.times != times[sum] {
			t.Fatalf("%x: %+v, want %d times", sum, l, times[sum])
		}
	}
}
