package state

import (
	"net/netip"
	"time"
)

// Remember notes that the prefix was banned count times in the jail, the last time at last, so that
// its next ban there grows as it should: for bans that another program made. What is known already
// stays when it is as much. It reports whether something is remembered now that was not. A count under
// 1, and a last ban that is longer ago than offenders are remembered, changes nothing. The prefix must
// be valid; it is masked. It is on disk after the next Save.
func (s *Store) Remember(jail string, prefix netip.Prefix, count int, last time.Time) bool {
	defer s.relieve()
	v := s.moment()
	ago := max(v.now.Sub(last), 0)
	if count < 1 || ago >= s.opt.Retention {
		return false
	}
	jr := s.jail(jail)
	k := keyOf(prefix.Masked())
	sh := s.shard(&k)
	sh.mu.Lock()
	defer sh.mu.Unlock()
	c := s.cellLocked(sh, &k)
	if it := c.row.find(jr); it != nil && it.past != nil && it.past.count >= count {
		return false
	}
	it := itemOf(s.writeLocked(sh, c), jr)
	next := &past{count: count, last: v.mono - ago.Nanoseconds()}
	if it.past != nil {
		next.last, next.ev = max(next.last, it.past.last), it.past.ev
	}
	it.past = next
	return true
}
