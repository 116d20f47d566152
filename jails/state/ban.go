package state

import (
	"fmt"
	"net/netip"
	"strconv"

	"stockade/jails"
)

func reasonOf(_ *jails.Jail, n int, t jails.Threshold) string {
	return strconv.Itoa(n) + " failures within " + t.FindTime.String()
}

// beginBanLocked makes b the ban of its prefix in its jail, in place of any other.
func (s *Store) beginBanLocked(sh *shard, c *cell, jr *jailRow, b *Ban, mono int64) {
	it := itemOf(s.writeLocked(sh, c), jr)
	s.dropWindow(it)
	if it.ban == nil {
		jr.bannedNow.Add(1)
		s.lengths.ban(&c.key, 1)
	} else if it.ban.Scope != b.Scope {
		s.changes.add(Change{b.Prefix, it.ban.Scope})
	}
	jr.banned.Add(1)
	it.past = &past{count: b.Count, last: mono}
	s.setBan(it, b, mono)
}

// setBan puts a new version of a ban into a writable item.
func (s *Store) setBan(it *item, b *Ban, mono int64) {
	it.ban, it.until = b, forever
	if !b.End.IsZero() {
		it.until = mono + int64(b.End.Sub(s.clock.now()))
	}
	s.changes.add(Change{b.Prefix, b.Scope})
}

func (s *Store) dropWindow(it *item) {
	if it.win != nil {
		it.win = nil
		it.jail.failedNow.Add(-1)
	}
}

// endBanLocked takes the ban of the jail away. It returns nil when there is none.
func (s *Store) endBanLocked(sh *shard, c *cell, jr *jailRow) *Ban {
	it := c.row.find(jr)
	if it == nil || it.ban == nil {
		return nil
	}
	it = itemOf(s.writeLocked(sh, c), jr)
	b := it.ban
	it.ban, it.until = nil, 0
	jr.bannedNow.Add(-1)
	s.lengths.ban(&c.key, -1)
	s.changes.add(Change{b.Prefix, b.Scope})
	return b
}

// Ban begins b, or sets the end, scope, reason and verdict of the active ban of the same prefix and
// jail, longer or shorter. b.Start is now when it is zero; b.Count is counted here. It empties the
// window. changed is false when the active ban already was as asked; the active ban is returned.
// b.Prefix must be valid; it is masked.
func (s *Store) Ban(b Ban) (ban *Ban, changed bool) {
	defer s.relieve()
	now := s.clock.now()
	mono := s.clock.mono(now)
	b.Prefix = b.Prefix.Masked()
	if !b.Prefix.IsValid() {
		panic(fmt.Sprintf("state: ban of the invalid prefix %v", b.Prefix))
	}
	jr := s.jail(b.Jail)
	k := keyOf(b.Prefix)
	sh := s.shard(&k)
	sh.mu.Lock()
	defer sh.mu.Unlock()
	c := s.cellLocked(sh, &k)
	if b.Start.IsZero() {
		b.Start = now
	}
	if it := c.row.find(jr); active(it, mono) {
		if same(it.ban, &b) {
			return it.ban, false
		}
		next := *it.ban
		next.End, next.Scope, next.Verdict, next.Shadow = b.End, b.Scope, b.Verdict, b.Shadow
		next.Reason, next.Source, next.Trust = b.Reason, b.Source, b.Trust
		next.Enforced = false
		if it.ban.Scope != b.Scope {
			s.changes.add(Change{b.Prefix, it.ban.Scope})
		}
		it = itemOf(s.writeLocked(sh, c), jr)
		s.dropWindow(it)
		s.setBan(it, &next, mono)
		return &next, true
	}
	s.endBanLocked(sh, c, jr)
	b.Count = earlierBans(c.row, jr, false) + 1
	b.Enforced = false
	s.beginBanLocked(sh, c, jr, &b, mono)
	return &b, true
}

func same(a, b *Ban) bool {
	return a.End.Equal(b.End) && a.End.IsZero() == b.End.IsZero() && a.Scope == b.Scope &&
		a.Verdict == b.Verdict && a.Shadow == b.Shadow && a.Reason == b.Reason && a.Source == b.Source
}

// Unban ends the bans of exactly that prefix in the jail, or in all jails when jail is "", empties
// the windows there, and returns the bans that it ended. Earlier bans stay remembered.
func (s *Store) Unban(prefix netip.Prefix, jail string) []*Ban {
	return s.unban(prefix.Masked(), func(name string) bool { return jail == "" || name == jail }, nil)
}

// UnbanWhere ends each active ban that match picks, and returns them. match may see a version of a
// ban that is about to be replaced; what is ended was picked in its newest version.
func (s *Store) UnbanWhere(match func(*Ban) bool) []*Ban {
	var out []*Ban
	for _, b := range s.Bans("") {
		if match(b) {
			out = append(out, s.unban(b.Prefix, func(name string) bool { return name == b.Jail }, match)...)
		}
	}
	return out
}

func (s *Store) unban(prefix netip.Prefix, jail func(string) bool, match func(*Ban) bool) []*Ban {
	defer s.relieve()
	mono := s.clock.mono(s.clock.now())
	k := keyOf(prefix)
	sh := s.shard(&k)
	sh.mu.Lock()
	defer sh.mu.Unlock()
	c := s.cellLocked(sh, &k)
	var out []*Ban
	for i := range c.row.items {
		it := &c.row.items[i]
		if !jail(it.jail.name) || match != nil && (it.ban == nil || !match(it.ban)) {
			continue
		}
		live := active(it, mono)
		if b := s.endBanLocked(sh, c, it.jail); b != nil && live {
			out = append(out, b)
		}
		if it = &c.row.items[i]; it.win != nil {
			s.dropWindow(&s.writeLocked(sh, c).items[i])
		}
	}
	return out
}

// MarkEnforced notes whether the kernel was seen to hold the ban of the prefix in the jail. It
// reports whether there is such a ban.
func (s *Store) MarkEnforced(prefix netip.Prefix, jail string, enforced bool) bool {
	return s.mark(prefix, enforced, func(b *Ban) bool { return b.Jail == jail }) > 0
}

// MarkElement does what MarkEnforced does for the bans of all jails with that scope, which one
// element of the kernel enforces. It returns how many there are.
func (s *Store) MarkElement(c Change, enforced bool) int {
	return s.mark(c.Prefix, enforced, func(b *Ban) bool { return b.Scope == c.Scope && !b.Shadow })
}

func (s *Store) mark(prefix netip.Prefix, enforced bool, match func(*Ban) bool) int {
	defer s.relieve()
	k := keyOf(prefix)
	sh := s.shard(&k)
	sh.mu.Lock()
	defer sh.mu.Unlock()
	c := s.cellLocked(sh, &k)
	n := 0
	for i := range c.row.items {
		b := c.row.items[i].ban
		if b == nil || !match(b) {
			continue
		}
		n++
		if b.Enforced != enforced {
			next := *b
			next.Enforced = enforced
			s.writeLocked(sh, c).items[i].ban = &next
		}
	}
	return n
}
