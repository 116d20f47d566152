package state

// timerKind says what a timer is for.
type timerKind uint8

const (
	windowTimer timerKind = iota
	banTimer
	pastTimer
)

// The classes in which windows and offenders are evicted, first ones first.
const (
	seenOnce = iota
	seenMore
	nearThreshold // at half its threshold or more
	classes
)

// timer is the bookkeeping of one window, ban or offender: when it ends, and its place in the
// order of eviction. Timers belong to whoever holds Store.commitMu.
type timer struct {
	at    int64 // no later than the end, on the store's clock
	key   *pkey // of the row, which shares it
	jail  *jailRow
	group *group
	links [2]links // in the list of its class or, for a ban, of its jail; and in that of its group
	pos   int32    // in the heap; -1: in none
	bytes int32    // of evidence
	kind  timerKind
	class uint8
}

type links struct{ prev, next *timer }

// timerHeap is a heap of timers by at.
type timerHeap []*timer

func (h timerHeap) up(i int) {
	t := h[i]
	for i > 0 {
		parent := (i - 1) / 4
		if h[parent].at <= t.at {
			break
		}
		h[i] = h[parent]
		h[i].pos = int32(i)
		i = parent
	}
	h[i] = t
	t.pos = int32(i)
}

func (h timerHeap) down(i int) {
	t := h[i]
	for {
		least := 4*i + 1
		if least >= len(h) {
			break
		}
		for c := least + 1; c < min(4*i+5, len(h)); c++ {
			if h[c].at < h[least].at {
				least = c
			}
		}
		if h[least].at >= t.at {
			break
		}
		h[i] = h[least]
		h[i].pos = int32(i)
		i = least
	}
	h[i] = t
	t.pos = int32(i)
}

// set puts the timer where at belongs.
func (h *timerHeap) set(t *timer, at int64) {
	old := t.at
	t.at = at
	switch {
	case t.pos < 0:
		*h = append(*h, t)
		h.up(len(*h) - 1)
	case at < old:
		h.up(int(t.pos))
	case at > old:
		h.down(int(t.pos))
	}
}

func (h *timerHeap) remove(t *timer) {
	if t.pos < 0 {
		return
	}
	i, last := int(t.pos), len(*h)-1
	moved := (*h)[last]
	(*h)[last] = nil
	*h = (*h)[:last]
	t.pos = -1
	if moved == t {
		return
	}
	(*h)[i] = moved
	moved.pos = int32(i)
	h.up(i)
	h.down(int(moved.pos))
}

// list is a list of timers, oldest first, over one of their two pairs of links.
type list struct {
	head, tail *timer
	which      int
}

func (l *list) push(t *timer) {
	t.links[l.which] = links{prev: l.tail}
	if l.tail != nil {
		l.tail.links[l.which].next = t
	} else {
		l.head = t
	}
	l.tail = t
}

func (l *list) remove(t *timer) {
	at := t.links[l.which]
	if at.prev != nil {
		at.prev.links[l.which].next = at.next
	} else {
		l.head = at.next
	}
	if at.next != nil {
		at.next.links[l.which].prev = at.prev
	} else {
		l.tail = at.prev
	}
	t.links[l.which] = links{}
}
