package state

import "time"

// maxDrift is how far the wall clock may move against the monotonic one before it counts as a step.
const maxDrift = 500 * time.Millisecond

// clockStep notices that the wall clock was set; only Run calls it. Bans and windows go on by the monotonic clock; the
// times that are shown are moved to where they now are on the wall clock.
func (s *Store) clockStep() {
	v := s.moment()
	offset := v.mono - v.now.UnixNano()
	step := time.Duration(s.clock.shown - offset)
	if step.Abs() <= maxDrift {
		return
	}
	s.clock.shown = offset
	s.clock.offset.Store(offset)
	s.opt.Log.Warn("the wall clock was set", "by", step)
	for _, b := range s.view().bans("", (*heldBan).bare) {
		if b.Permanent() {
			continue
		}
		k := keyOf(b.Prefix)
		sh := s.shard(&k)
		sh.mu.Lock()
		c := s.cellLocked(sh, &k)
		if it := c.row.find(s.jail(b.Jail)); it != nil && it.ban != nil && it.until != forever {
			it = itemOf(s.writeLocked(sh, c), it.jail)
			next := *it.ban
			next.end = wall(v.now, v.mono, it.until)
			next.start = next.start.Round(0).Add(next.end.Round(0).Sub(it.ban.end.Round(0)))
			it.ban = &next
		}
		sh.mu.Unlock()
		s.relieve()
	}
}
