package pipeline

import (
	"math/rand/v2"
	"testing"
	"time"
)

// plainSent is the plain form of what a history knows: all lines, in a map.
type plainSent map[uint64]*sentLine

func (p plainSent) repeated(sum uint64, stamp time.Time, c *connection) bool {
	l := p[sum]
	if l == nil {
		l = &sentLine{from: c}
		p[sum] = l
	}
	return c.owes(l, stamp)
}

// TestSentLinesAgainstAllInAMap: connections of which some break, some end and some go on bring lines
// of which many are equal; a history answers as if it kept all in a map.
func TestSentLinesAgainstAllInAMap(t *testing.T) {
	for seed := range uint64(200) {
		rnd := rand.New(rand.NewPCG(seed, 0))
		var h history
		plain := plainSent{}
		var open []*connection
		lines, distinct := 0, 1+rnd.Uint64N(400)
		for lines < remembered {
			if len(open) == 0 || rnd.IntN(40) == 0 {
				c := &connection{began: h.tick} // not resumed: see TestConnectionThatBeginsAnew
				open = append(open, c)
			}
			i := rnd.IntN(len(open))
			c := open[i]
			if rnd.IntN(30) == 0 {
				c.end = connectionEnd(1 + rnd.IntN(2))
				open = append(open[:i], open[i+1:]...)
				continue
			}
			for range min(1+rnd.IntN(60), remembered-lines) {
				sum := rnd.Uint64N(distinct)
				stamp := noon.Add(time.Duration(rnd.IntN(2)))
				got := h.repeated(sum, stamp, c)
				if want := plain.repeated(sum, stamp, c); got != want {
					t.Fatalf("seed %d, line %d: repeated = %v, want %v", seed, lines, got, want)
				}
				lines++
			}
		}
	}
}

// TestSentLinesKeepNoIndexForOneConnection: what one connection brought is a ring of hashes, and again
// when the last of another's is forgotten.
func TestSentLinesKeepNoIndexForOneConnection(t *testing.T) {
	var h history
	first, second := &connection{}, &connection{}
	bring := func(c *connection, from, n int) {
		for i := range n {
			if h.repeated(uint64(from+i), noon, c) {
				t.Fatalf("line %d is repeated", from+i)
			}
		}
	}
	bring(first, 0, 2*remembered)
	if h.sent.index != nil {
		t.Fatal("one connection has an index")
	}
	bring(second, 2*remembered, 1)
	if h.sent.index == nil {
		t.Fatal("two connections have no index")
	}
	bring(second, 2*remembered+1, remembered-1)
	if h.sent.index != nil {
		t.Fatal("the index outlives the other connection's last line")
	}
	first.end, second.end = broken, broken
	third := &connection{began: h.tick}
	for i := range remembered {
		if n := uint64(2*remembered + i); !h.repeated(n, noon, third) {
			t.Fatalf("line %d of the second connection is not known", i)
		}
	}
	if h.repeated(remembered, noon, third) {
		t.Fatal("a line of the first connection is still known")
	}
}

// TestSentIndex compares with a plain list over hashes of which many share a bucket.
func TestSentIndex(t *testing.T) {
	rnd := rand.New(rand.NewPCG(1, 2))
	var x sentIndex
	var order []uint64
	times := make(map[uint64]uint16)
	for range 5 * remembered {
		sum := rnd.Uint64N(16)<<32 | rnd.Uint64N(3*remembered)
		if _, known := times[sum]; !known {
			if len(order) == remembered {
				delete(times, order[0])
				order = order[1:]
			}
			order = append(order, sum)
		}
		l := x.of(sum, nil)
		if l.times != times[sum] {
			t.Fatalf("%x: %+v, want %d times", sum, l, times[sum])
		}
		l.count()
		times[sum]++
	}
	for _, sum := range order {
		if l := x.of(sum, nil); l.times != times[sum] {
			t.Fatalf("%x: %+v, want %d times", sum, l, times[sum])
		}
	}
}
