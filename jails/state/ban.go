package state

import (
	"fmt"
	"net/netip"
)

// beginBanLocked makes b the ban of its prefix in its jail, which has none.
func (s *Store) beginBanLocked(sh *shard, c *cell, jr *jailRow, b *Ban, v view) {
	it := itemOf(s.writeLocked(sh, c), jr)
	s.dropWindow(it)
	jr.banned.Add(1)
	it.past = &past{count: b.Count, last: v.mono}
	h, until := hold(b), v.until(b.End)
	h.seq = s.record(&c.key, jr, h, until, v)
	b.Seq = h.seq
	s.addBanLocked(c, it, h, until)
}

// addBanLocked puts a ban into a writable item that has none.
func (s *Store) addBanLocked(c *cell, it *item, b *heldBan, until int64) {
	it.jail.bannedNow.Add(1)
	s.lengths.ban(&c.key, 1)
	it.ban, it.until = b, until
	if it.past != nil && it.past.ev != "" {
		it.past = &past{count: it.past.count, last: it.past.last} // the ban has the evidence
	}
	s.changes.add(Change{c.key.prefix(), b.scope()})
}

func (s *Store) dropWindow(it *item) {
	if it.win != nil {
		it.win = nil
		it.jail.failedNow.Add(-1)
	}
}

// endBanLocked takes the ban of the jail away. It returns nil when there is none.
func (s *Store) endBanLocked(sh *shard, c *cell, jr *jailRow) *heldBan {
	it := c.row.find(jr)
	if it == nil || it.ban == nil {
		return nil
	}
	it = itemOf(s.writeLocked(sh, c), jr)
	b := it.ban
	it.ban, it.until = nil, 0
	sh.ended.Add(1)
	if it.past != nil && s.evidence.Load() < s.opt.MaxEvidence {
		it.past = it.past.remember(b)
	}
	jr.bannedNow.Add(-1)
	s.lengths.ban(&c.key, -1)
	s.changes.add(Change{c.key.prefix(), b.scope()})
	return b
}

// runOutLocked is endBanLocked for a ban whose time is over. It tells of it.
func (s *Store) runOutLocked(sh *shard, c *cell, jr *jailRow) {
	if b := s.endBanLocked(sh, c, jr); b != nil && s.opt.Ended != nil {
		s.opt.Ended(b.ban(jr.name, c.key.prefix()))
	}
}

// Ban begins b, or sets the end, scope, reason and verdict of the active ban of the same prefix and
// jail, longer or shorter. b.Start is now when it is zero; b.Count is counted here. It empties the
// window. changed is false when the active ban already was as asked; the active ban is returned.
// b.Prefix must be valid; it is masked.
func (s *Store) Ban(b Ban) (ban *Ban, changed bool) {
	defer s.relieve()
	v := s.moment()
	b.Prefix = b.Prefix.Masked()
	if !b.Prefix.IsValid() {
		panic(fmt.Sprintf("state: ban of the invalid prefix %v", b.Prefix))
	}
	if b.Start.IsZero() {
		b.Start = v.now
	}
	b.Enforced = false
	jr := s.jail(b.Jail)
	k := keyOf(b.Prefix)
	sh := s.shard(&k)
	sh.mu.Lock()
	defer sh.mu.Unlock()
	c := s.cellLocked(sh, &k)
	old := c.row.find(jr)
	if !active(old, v.mono) {
		s.runOutLocked(sh, c, jr)
		b.Count = earlierBans(c.row, jr, false) + 1
		s.beginBanLocked(sh, c, jr, &b, v)
		return &b, true
	}
	next := *old.ban.ban(b.Jail, b.Prefix)
	if same(&next, &b) {
		return &next, false
	}
	next.End, next.Scope, next.Verdict, next.Shadow = b.End, b.Scope, b.Verdict, b.Shadow
	next.Reason, next.Source, next.Trust, next.Enforced = b.Reason, b.Source, b.Trust, false
	s.endBanLocked(sh, c, jr)
	it := itemOf(s.writeLocked(sh, c), jr)
	s.dropWindow(it)
	h, until := hold(&next), v.until(next.End)
	h.seq = s.record(&k, jr, h, until, v)
	next.Seq = h.seq
	s.addBanLocked(c, it, h, until)
	return &next, true
}

func same(a, b *Ban) bool {
	return a.End.Equal(b.End) && a.Scope == b.Scope && a.Verdict == b.Verdict && a.Shadow == b.Shadow &&
		a.Reason == b.Reason && a.Source == b.Source
}

// Unban ends the bans of exactly that prefix in the jail, or in all jails when jail is "", empties
// the windows there, and returns the bans that it ended. Earlier bans stay remembered. Logged tells
// what to wait for until that is durable.
func (s *Store) Unban(prefix netip.Prefix, jail string) []*Ban {
	return s.unban(prefix.Masked(), jail, nil)
}

// UnbanWhere ends each active ban that match picks, and returns them in no order. match may see a version of a
// ban that is about to be replaced; what is ended was picked in its newest version. It must not
// call the Store. The bans it is given have no Evidence.
func (s *Store) UnbanWhere(match func(*Ban) bool) []*Ban {
	var out []*Ban
	for _, b := range s.view().bans("", (*heldBan).bare) {
		if match(b) {
			out = append(out, s.unban(b.Prefix, b.Jail, match)...)
		}
	}
	return out
}

func (s *Store) unban(prefix netip.Prefix, jail string, match func(*Ban) bool) []*Ban {
	defer s.relieve()
	v := s.moment()
	k := keyOf(prefix)
	sh := s.shard(&k)
	sh.mu.Lock()
	defer sh.mu.Unlock()
	c := s.cellLocked(sh, &k)
	var out []*Ban
	for i := range c.row.items {
		it := &c.row.items[i]
		if jail != "" && it.jail.name != jail || match != nil && (it.ban == nil || !match(it.ban.bare(it.jail.name, prefix))) {
			continue
		}
		live := active(it, v.mono)
		b := s.endBanLocked(sh, c, it.jail)
		if b != nil && live {
			out = append(out, b.ban(it.jail.name, prefix))
			s.record(&k, it.jail, nil, 0, v)
		}
		if it = &c.row.items[i]; it.win != nil {
			s.dropWindow(&s.writeLocked(sh, c).items[i])
		}
	}
	return out
}

// Succeed takes the failures of the user from the prefix's window in the jail, or in every jail
// when jail is "": whoever knows the password in the end only mistyped it. Failures of other users
// stay, and so do bans. An empty user takes nothing. It returns how many attempts it took.
func (s *Store) Succeed(jail string, prefix netip.Prefix, user string) int {
	defer s.relieve()
	user = clip(user, maxWord)
	hash := userHash(user)
	k := keyOf(prefix.Masked())
	sh := s.shard(&k)
	sh.mu.Lock()
	defer sh.mu.Unlock()
	if r := s.peekLocked(sh, &k); r == nil || user == "" || !r.holds(jail, hash) {
		return 0
	}
	c := s.cellLocked(sh, &k)
	taken := 0
	for i := range c.row.items {
		it := &c.row.items[i]
		if jail != "" && it.jail.name != jail || it.win == nil || !it.win.holds(hash) {
			continue
		}
		it = &s.writeLocked(sh, c).items[i]
		w, n := it.win.without(user, hash)
		taken += n
		if len(w.hits) == 0 {
			s.dropWindow(it)
		} else {
			it.win = w
		}
	}
	return taken
}

// holds reports whether a window of the row, in the jail or in any, has failures of the user.
func (r *row) holds(jail string, user uint32) bool {
	for i := range r.items {
		if it := &r.items[i]; (jail == "" || it.jail.name == jail) && it.win != nil && it.win.holds(user) {
			return true
		}
	}
	return false
}

// MarkEnforced notes whether the kernel was seen to hold the ban of the prefix in the jail. It
// reports whether there is such a ban.
func (s *Store) MarkEnforced(prefix netip.Prefix, jail string, enforced bool) bool {
	return s.mark(prefix, enforced, func(it *item) bool { return it.jail.name == jail }) > 0
}

// MarkElement does what MarkEnforced does for the bans of all jails with that scope, which one
// element of the kernel enforces. It returns how many there are.
func (s *Store) MarkElement(c Change, enforced bool) int {
	return s.mark(c.Prefix, enforced, func(it *item) bool { return it.ban.scope() == c.Scope && !it.ban.shadow })
}

func (s *Store) mark(prefix netip.Prefix, enforced bool, match func(*item) bool) int {
	defer s.relieve()
	k := keyOf(prefix.Masked())
	sh := s.shard(&k)
	sh.mu.Lock()
	defer sh.mu.Unlock()
	c := s.cellLocked(sh, &k)
	n := 0
	for i := range c.row.items {
		b := c.row.items[i].ban
		if b == nil || !match(&c.row.items[i]) {
			continue
		}
		n++
		if b.enforced != enforced {
			next := *b
			next.enforced = enforced
			s.writeLocked(sh, c).items[i].ban = &next
		}
	}
	return n
}
