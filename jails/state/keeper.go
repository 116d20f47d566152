package state

import "time"

// keeper knows when rows end and which ones to evict. It belongs to whoever holds commitMu.
type keeper struct {
	heap      timerHeap
	windows   order
	offenders order
	groups    map[groupKey]*group
	groupMax  int
	full      []*group // groups that have grown over groupMax since the last eviction
	retention int64
}

// evidenceRetention is how long after its start the evidence of an ended ban is kept, in
// nanoseconds.
const evidenceRetention = int64(7 * 24 * time.Hour)

// order is the order in which the windows, or the offenders, are evicted.
type order struct {
	count, max int
	lists      [classes]list
}

// groupKey is a /16 of IPv4 or a /32 of IPv6, by family.
type groupKey [5]byte

// group holds the windows of one neighbourhood, which may have only a part of the rows.
type group struct {
	key   groupKey
	count int
	lists [classes]list
}

// groupShare is the part of the windows that one neighbourhood may have.
const groupShare = 8

func (k *keeper) init(o Options) {
	k.windows.max, k.offenders.max = o.MaxWindows, o.MaxOffenders
	k.groupMax = max(o.MaxWindows/groupShare, 1)
	k.retention = int64(o.Retention)
	k.groups = map[groupKey]*group{}
}

func groupOf(k *pkey) groupKey {
	if family(k) == 0 {
		return groupKey{4, k[12], k[13]}
	}
	return groupKey{6, k[0], k[1], k[2], k[3]}
}

// track brings the timers of a row up to date and drops what is empty of it. The row must not have
// been committed yet. It returns the change in bytes of evidence.
func (k *keeper) track(r *row) int64 {
	var bytes int64
	kept := r.items[:0]
	key := (*pkey)(r.key)
	for i := range r.items {
		it := &r.items[i]
		bytes += k.trackWindow(it, key) + k.trackBan(it, key) + k.trackPast(it, key)
		if !it.empty() {
			kept = append(kept, *it)
		}
	}
	clear(r.items[len(kept):])
	r.items = kept
	return bytes
}

func (k *keeper) trackWindow(it *item, key *pkey) int64 {
	t := it.timers[windowTimer]
	if it.win == nil {
		return k.drop(it, windowTimer)
	}
	class := uint8(seenMore)
	if len(it.win.hits) == 1 {
		class = seenOnce
	} else if it.win.n >= it.win.half {
		class = nearThreshold
	}
	if t == nil {
		t = &timer{key: key, kind: windowTimer, jail: it.jail, pos: -1}
		it.timers[windowTimer] = t
		k.windows.count++
		t.group = k.groupFor(groupOf(key))
		t.group.count++
		if t.group.count > k.groupMax {
			k.full = append(k.full, t.group)
		}
	} else {
		k.unlist(t)
	}
	t.class = class
	k.enlist(t)
	// A window whose end moved away keeps its place in the heap until it gets to the top.
	if end := it.win.deadline(); t.pos < 0 || end < t.at {
		k.heap.set(t, end)
	}
	return t.weigh(rawBytes(it.win.ev))
}

func (k *keeper) groupFor(key groupKey) *group {
	g := k.groups[key]
	if g == nil {
		g = &group{key: key}
		for i := range g.lists {
			g.lists[i].which = 1
		}
		k.groups[key] = g
	}
	return g
}

func (k *keeper) trackBan(it *item, key *pkey) int64 {
	t := it.timers[banTimer]
	if it.ban == nil {
		return k.drop(it, banTimer)
	}
	if t == nil {
		t = &timer{key: key, kind: banTimer, jail: it.jail, pos: -1}
		it.timers[banTimer] = t
		k.enlist(t)
	}
	if it.until == forever {
		k.heap.remove(t)
		t.at = forever
	} else {
		k.heap.set(t, it.until)
	}
	return t.weigh(len(it.ban.ev))
}

func (k *keeper) trackPast(it *item, key *pkey) int64 {
	t := it.timers[pastTimer]
	if it.past == nil {
		return k.drop(it, pastTimer)
	}
	if t == nil {
		t = &timer{key: key, kind: pastTimer, jail: it.jail, pos: -1}
		it.timers[pastTimer] = t
		k.offenders.count++
	} else {
		k.unlist(t)
	}
	t.class = seenOnce
	if it.past.count > 1 {
		t.class = seenMore
	}
	k.enlist(t)
	k.heap.set(t, it.past.last+k.pastLife(it.past))
	return t.weigh(len(it.past.ev))
}

// pastLife is how long after the start of its ban something of p runs out.
func (k *keeper) pastLife(p *past) int64 {
	if len(p.ev) > 0 {
		return min(k.retention, evidenceRetention)
	}
	return k.retention
}

// drop forgets the timer of that kind. It returns the change in bytes of evidence.
func (k *keeper) drop(it *item, kind timerKind) int64 {
	t := it.timers[kind]
	if t == nil {
		return 0
	}
	it.timers[kind] = nil
	k.heap.remove(t)
	k.unlist(t)
	switch kind {
	case windowTimer:
		k.windows.count--
		if t.group.count--; t.group.count == 0 {
			delete(k.groups, t.group.key)
		}
	case pastTimer:
		k.offenders.count--
	}
	return -int64(t.bytes)
}

func (k *keeper) lists(t *timer) (byClass, byGroup *list) {
	switch t.kind {
	case windowTimer:
		return &k.windows.lists[t.class], &t.group.lists[t.class]
	case banTimer:
		return &t.jail.bans, nil
	case pastTimer:
		return &k.offenders.lists[t.class], nil
	}
	return nil, nil
}

func (k *keeper) enlist(t *timer) {
	byClass, byGroup := k.lists(t)
	if byClass != nil {
		byClass.push(t)
	}
	if byGroup != nil {
		byGroup.push(t)
	}
}

func (k *keeper) unlist(t *timer) {
	byClass, byGroup := k.lists(t)
	if byClass != nil {
		byClass.remove(t)
	}
	if byGroup != nil {
		byGroup.remove(t)
	}
}

// touch makes t the last one of its class to be evicted.
func (k *keeper) touch(t *timer) {
	k.unlist(t)
	k.enlist(t)
}

// weigh notes how many bytes the evidence has, and returns by how many that changed.
func (t *timer) weigh(n int) int64 {
	by := n - int(t.bytes)
	t.bytes = int32(n)
	return int64(by)
}

func rawBytes(ev []Evidence) int {
	n := 0
	for i := range ev {
		n += len(ev[i].Raw)
	}
	return n
}

func oldest(lists *[classes]list) *timer {
	for i := range lists {
		if lists[i].head != nil {
			return lists[i].head
		}
	}
	return nil
}

// victim is what has to be evicted next, or nil.
func (k *keeper) victim() *timer {
	for len(k.full) > 0 {
		g := k.full[len(k.full)-1]
		if g.count > k.groupMax {
			return oldest(&g.lists)
		}
		k.full = k.full[:len(k.full)-1]
	}
	if k.windows.count > k.windows.max {
		return oldest(&k.windows.lists)
	}
	if k.offenders.count > k.offenders.max {
		return oldest(&k.offenders.lists)
	}
	return nil
}

// due is the first timer that has run out at mono, or nil.
func (k *keeper) due(mono int64) *timer {
	if len(k.heap) > 0 && k.heap[0].at <= mono {
		return k.heap[0]
	}
	return nil
}

// next is how long from mono until the first timer runs out, at most limit.
func (k *keeper) next(mono int64, limit time.Duration) time.Duration {
	if len(k.heap) == 0 {
		return limit
	}
	return max(min(time.Duration(k.heap[0].at-mono), limit), 0)
}
