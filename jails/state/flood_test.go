package state

import (
	"sync"
	"sync/atomic"
	"testing"

	"stockade/jails"
)

// TestReadersAreServedInAFlood: while addresses without end push each other out, a reader gets its
// answer, with what was decided before it asked.
func TestReadersAreServedInAFlood(t *testing.T) {
	s := testStore(t, Options{MaxWindows: 1000})
	j := testJail(t, func(c *jails.Config) {
		two := 2
		c.MaxRetry = &two
	})
	var stop atomic.Bool
	var flood sync.WaitGroup
	for worker := range uint32(2) {
		flood.Go(func() {
			for n := worker << 28; !stop.Load(); n++ {
				f := failure("192.0.2.1/32", s.clock.now())
				f.Prefix = addr4(n * 2654435761)
				s.Fail(j, f)
			}
		})
	}
	for n := range uint32(size(3, 10, 100)) {
		f := failure("192.0.2.1/32", s.clock.now())
		f.Prefix = addr4(0xcb007100 + n)
		s.Fail(j, f)
		if out := s.Fail(j, f); out.Ban == nil {
			t.Errorf("the second failure of %s: %+v", f.Prefix, out)
		}
		if got := len(s.BansOf(f.Prefix.Addr())); got != 1 {
			t.Errorf("a reader sees %d bans of %s", got, f.Prefix)
		}
	}
	stop.Store(true)
	flood.Wait()
	s.flush()
	s.flush()
	if got := s.Stats().Windows; got > 1000 {
		t.Errorf("%d windows after the flood, at most 1000 are allowed", got)
	}
}
