package nft

import (
	"errors"
	"fmt"
	"maps"
	"net/netip"
	"slices"
	"time"

	"golang.org/x/sys/unix"

	"stockade/firewall"
)

// netSet is what one set of intervals is made of. The kernel knows the intervals alone.
type netSet struct {
	elements map[netip.Prefix]firewall.Element
	// adopted are the elements that were made of intervals found at start: pieces, perhaps, of
	// prefixes that the store will name.
	adopted map[netip.Prefix]bool
}

func newNetSet() *netSet {
	return &netSet{elements: make(map[netip.Prefix]firewall.Element), adopted: make(map[netip.Prefix]bool)}
}

func (n *netSet) remove(p netip.Prefix) {
	delete(n.elements, p)
	delete(n.adopted, p)
}

// expire forgets what has ended.
func (n *netSet) expire(now time.Time) {
	for p, e := range n.elements {
		if !e.End.IsZero() && !e.End.After(now) {
			n.remove(p)
		}
	}
}

// forgetPieces drops adopted elements that one of the others holds and outlasts.
func (n *netSet) forgetPieces() bool {
	dropped := false
	for p := range n.adopted {
		for b := p.Bits() - 1; b > 0; b-- {
			wide, ok := n.elements[netip.PrefixFrom(p.Addr(), b).Masked()]
			if ok && !n.adopted[wide.Prefix] && !outlastsBy(n.elements[p].End, wide.End, slack) {
				n.remove(p)
				dropped = true
				break
			}
		}
	}
	return dropped
}

func (n *netSet) segments() []segment { return segments(slices.Collect(maps.Values(n.elements))) }

func (e *Enforcer) netSet(id setID) *netSet {
	n := e.nets[id]
	if n == nil {
		n = newNetSet()
		e.nets[id] = n
	}
	return n
}

// room says whether one more element fits into the sets of a kind.
func (e *Enforcer) room(k kind) bool {
	n := 0
	for id, set := range e.nets {
		if id.kind == k {
			n += len(set.elements)
		}
	}
	return n < firewall.MaxNets
}

// adoptNets makes elements of the intervals that are in the kernel.
func (e *Enforcer) adoptNets() error {
	for id := range e.sets {
		if id.interval() {
			found, err := readSegments(e.reader, e.config.Table, id.name(), e.now)
			if err = ignore(err, unix.EINTR); err != nil {
				return fmt.Errorf("list set %s: %w", id.name(), err)
			}
			n := newNetSet()
			for _, s := range found {
				for _, p := range s.prefixes() {
					n.elements[p] = firewall.Element{Prefix: p, Scope: id.scope, End: s.end, Comment: s.comment, Verdict: id.verdict}
					n.adopted[p] = true
				}
			}
			e.nets[id] = n
		}
	}
	return nil
}

// changeNets makes the changes of prefixes kept in intervals, and says in results what became of
// them. The error says that the kernel could not be reached.
func (e *Enforcer) changeNets(changes []firewall.Change, which []int, results []firewall.Result) error {
	now := e.now()
	touched := make(map[setID]bool)
	for _, i := range which {
		c := changes[i]
		k := kindOf(c.Prefix, e.config.IPv6Prefix)
		for _, v := range verdicts {
			id := setID{k, c.Scope, v}
			if !e.sets[id] {
				continue
			}
			n := e.netSet(id)
			if !touched[id] {
				n.expire(now)
				touched[id] = true
			}
			_, there := n.elements[c.Prefix]
			switch {
			case gone(c, now) || v != c.Verdict:
				n.remove(c.Prefix)
			case !there && !e.room(k):
				results[i].Err = fmt.Errorf("prefix %s: %w: at most %d prefixes that are not single addresses", c.Prefix, firewall.ErrFull, firewall.MaxNets)
			default:
				delete(n.adopted, c.Prefix)
				e.filled[id] = now
				c.Comment = cut(c.Comment)
				n.elements[c.Prefix] = c.Element
			}
		}
	}
	want, have := make(map[setID][]segment), make(map[setID][]segment)
	var err error
	for id := range touched {
		var writeErr error
		have[id], writeErr = e.writeNets(id)
		want[id] = e.nets[id].segments()
		if writeErr == nil && !slices.EqualFunc(want[id], have[id], segment.same) {
			have[id], writeErr = e.writeNets(id)
		}
		err = errors.Join(err, writeErr)
	}
	for _, i := range which {
		if results[i].Err != nil {
			continue
		}
		c := changes[i]
		k := kindOf(c.Prefix, e.config.IPv6Prefix)
		enforced := err == nil
		for _, v := range verdicts {
			id := setID{k, c.Scope, v}
			if touched[id] {
				enforced = enforced && agree(want[id], have[id], c.Prefix)
			}
		}
		results[i].Enforced = enforced
		if !enforced {
			results[i].Err = cmpErr(err, errReadBack)
		}
	}
	return err
}

var verdicts = []firewall.Verdict{firewall.Drop, firewall.Reject}

// agree says whether the wanted and the present intervals are the same within a prefix.
func agree(want, have []segment, p netip.Prefix) bool {
	last := lastOf(p)
	within := func(all []segment) []segment {
		from, _ := slices.BinarySearchFunc(all, p.Addr(), func(s segment, a netip.Addr) int { return s.last.Compare(a) })
		to, _ := slices.BinarySearchFunc(all, last, func(s segment, a netip.Addr) int {
			if s.first.Compare(a) <= 0 {
				return -1
			}
			return 1
		})
		return all[min(from, to):to]
	}
	return slices.EqualFunc(within(want), within(have), segment.same)
}

// writeNets makes one set of the kernel equal to its elements, changing only the intervals that differ,
// and reads it back.
func (e *Enforcer) writeNets(id setID) ([]segment, error) {
	var have []segment
	name := id.name()
	read := func() error {
		var err error
		for range retries {
			if have, err = readSegments(e.reader, e.config.Table, name, e.now); !errors.Is(err, unix.EINTR) {
				break
			}
		}
		if err != nil {
			return fmt.Errorf("list set %s: %w", name, err)
		}
		return nil
	}
	if err := read(); err != nil {
		return nil, err
	}
	now := e.now()
	want := slices.DeleteFunc(e.netSet(id).segments(), func(s segment) bool {
		return !s.end.IsZero() && s.end.Sub(now) < firewall.MinRemaining
	})
	changed, err := e.writeSegments(name, have, want, now)
	if err != nil || !changed {
		return have, err
	}
	return have, read()
}

// writeSegments makes the intervals of a set those that are wanted, both ascending, in one
// transaction where it fits into a message, and says whether anything had to be changed.
func (e *Enforcer) writeSegments(name string, have, want []segment, now time.Time) (bool, error) {
	in := func(all []segment) func(segment) bool {
		return func(s segment) bool {
			i, ok := slices.BinarySearchFunc(all, s.first, func(x segment, a netip.Addr) int { return x.first.Compare(a) })
			return ok && s.same(all[i])
		}
	}
	removed := slices.DeleteFunc(slices.Clone(have), in(want))
	added := slices.DeleteFunc(slices.Clone(want), in(have))
	changed := len(removed)+len(added) > 0
	l := e.writer
	list := func(typ, flags uint16, segs []segment) {
		elementList(&l.enc, typ, flags|unix.NLM_F_ACK, e.config.Table, name, len(segs), func(enc *encoder, i int) {
			remaining := time.Duration(0)
			if !segs[i].end.IsZero() {
				remaining = segs[i].end.Sub(now)
			}
			appendSegment(enc, segs[i], remaining)
		})
	}
	for len(removed)+len(added) > 0 {
		room := l.batchRoom()
		// take is how many of these, each as large as so many entries, have room.
		take := func(segs []segment, entries int) int {
			n := 0
			for n < len(segs) && room > 0 {
				room -= entries * (entrySize + len(segs[n].comment))
				n++
			}
			return n
		}
		l.batch()
		// Adding first makes deleting right also when the kernel has just let the element expire.
		n := take(removed, 4)
		list(unix.NFT_MSG_NEWSETELEM, unix.NLM_F_CREATE, removed[:n])
		list(unix.NFT_MSG_DELSETELEM, 0, removed[:n])
		if removed = removed[n:]; len(removed) == 0 {
			n = take(added, 2)
			list(unix.NFT_MSG_NEWSETELEM, unix.NLM_F_CREATE, added[:n])
			added = added[n:]
		}
		if err := e.counted(e.sent(l.commit())); err != nil && !errors.Is(err, errUnknown) {
			return changed, fmt.Errorf("write set %s: %w", name, err)
		}
	}
	return changed, nil
}

// yieldNets yields the elements of one set of intervals that the kernel enforces.
func (e *Enforcer) yieldNets(l *link, id setID, elements []firewall.Element, yield func(firewall.Element, firewall.Counters) bool) (bool, error) {
	have, err := readSegments(l, e.config.Table, id.name(), e.now)
	if err != nil {
		return true, err
	}
	for _, el := range elements {
		want := segment{first: el.Prefix.Addr(), last: lastOf(el.Prefix), end: el.End}
		var count firewall.Counters
		next := want.first
		for _, s := range have {
			if s.last.Less(next) || !next.IsValid() {
				continue
			}
			if next.Less(s.first) {
				break
			}
			part := want
			part.first, part.last = next, minAddr(s.last, want.last)
			if !s.covers(part) {
				break
			}
			count.Packets += s.count.Packets
			count.Bytes += s.count.Bytes
			if next = s.last.Next(); s.last.Compare(want.last) >= 0 {
				if !yield(el, count) {
					return false, nil
				}
				break
			}
		}
	}
	return true, nil
}

func minAddr(a, b netip.Addr) netip.Addr {
	if a.Less(b) {
		return a
	}
	return b
}

// view is what Elements needs to know of the Enforcer.
func (e *Enforcer) view() ([]setID, map[setID][]firewall.Element, error) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.closed {
		return nil, nil, errClosed
	}
	nets := make(map[setID][]firewall.Element)
	now := e.now()
	for id, n := range e.nets {
		n.expire(now)
		nets[id] = slices.Collect(maps.Values(n.elements))
	}
	return e.setList(), nets, nil
}

func gone(c firewall.Change, now time.Time) bool {
	return c.Remove || !c.End.IsZero() && c.End.Sub(now) < firewall.MinRemaining
}

func cut(comment string) string { return comment[:min(len(comment), firewall.MaxComment)] }

func cmpErr(err, otherwise error) error {
	if err != nil {
		return err
	}
	return otherwise
}
