package filter

import (
	"fmt"
	"slices"
	"testing"
	"time"
)

// plainIDs is an idCache in few words: all ids in one list, the longest unused first.
type plainIDs struct {
	perHost, total int
	list           []*plainID
	evicted        int
	evictedPending int
}

type plainID struct {
	host, id string
	since    time.Time
	pending  bool
	value    int
}

func (p *plainIDs) get(host, id string, now time.Time) *plainID {
	for _, e := range p.list {
		if e.host == host && e.id == id {
			if now.Sub(e.since) > idLife {
				p.drop(e)
				return nil
			}
			return e
		}
	}
	return nil
}

func (p *plainIDs) drop(e *plainID) {
	p.list = slices.DeleteFunc(p.list, func(x *plainID) bool { return x == e })
}

func (p *plainIDs) evict(host string) {
	for _, pending := range []bool{false, true} {
		for _, e := range p.list {
			if e.pending == pending && (host == "" || e.host == host) {
				p.evicted++
				if pending {
					p.evictedPending++
				}
				p.drop(e)
				return
			}
		}
	}
}

func (p *plainIDs) add(host, id string, now time.Time) *plainID {
	n := 0
	for _, e := range p.list {
		if e.host == host {
			n++
		}
	}
	if n >= p.perHost {
		p.evict(host)
	}
	if len(p.list) >= p.total {
		p.evict("")
	}
	e := &plainID{host: host, id: id, since: now}
	p.list = append(p.list, e)
	return e
}

func (p *plainIDs) touch(e *plainID, pending bool) {
	e.pending = pending
	p.drop(e)
	p.list = append(p.list, e)
}

// FuzzIDs: whatever is added, touched and dropped, the cache knows what the plain list knows.
func FuzzIDs(f *testing.F) {
	f.Add([]byte{0, 1, 2, 3, 64, 65, 66, 130, 131, 200, 255, 1, 1, 1})
	f.Add([]byte("the quick brown fox jumps over the lazy dog, again and again"))
	f.Fuzz(func(t *testing.T, ops []byte) {
		c, p := newIDCache(7, 4), &plainIDs{total: 7, perHost: 4}
		if len(ops)%2 == 0 {
			c.seed, ops = newIDCache(0, 0).seed, ops[:len(ops)/2] // another order in the table
		}
		now := epoch
		for i, op := range ops {
			now = now.Add(time.Duration(op%7) * time.Minute / 3)
			host, id := fmt.Sprint("h", op>>4&3), fmt.Sprint(op&7)
			key := &idKey{source: "s", host: []byte(host), id: []byte(id)}
			got, want := c.get(key, now), p.get(host, id, now)
			if (got == nil) != (want == nil) || got != nil && got.attempts != want.value {
				t.Fatalf("step %d: the cache has %+v, the list %+v", i, got, want)
			}
			switch {
			case got == nil:
				got, want = c.add(key, now), p.add(host, id, now)
				got.attempts, want.value = i, i
			case op>>6 == 3:
				c.drop(got)
				p.drop(want)
				c.touch(got, true) // is no longer known: nothing happens
				continue
			}
			pending := op>>6&1 == 1
			c.touch(got, pending)
			p.touch(want, pending)
			if c.n != len(p.list) || int(c.evicted) != p.evicted || int(c.evictedPending) != p.evictedPending {
				t.Fatalf("step %d: %d ids, %d evicted, %d of them waited; want %d, %d, %d",
					i, c.n, c.evicted, c.evictedPending, len(p.list), p.evicted, p.evictedPending)
			}
		}
	})
}

// held counts the connections that the table holds.
func (c *idCache) held() int {
	n := 0
	for _, conn := range c.table {
		for ; conn != nil; conn = conn.next {
			n++
		}
	}
	return n
}

// TestIDsOfOneHash: ids whose hashes are the same are told apart.
func TestIDsOfOneHash(t *testing.T) {
	c := newIDCache(100, 100)
	var all []*connection
	h := &hostIDs{key: hostKey{0, "s", "h"}}
	key := func(i int) *idKey {
		return &idKey{filter: 0, source: "s", host: []byte("h"), id: fmt.Append(nil, i), of: h, hash: 1}
	}
	for i := range 5 {
		all = append(all, c.add(key(i), epoch))
	}
	for _, i := range []int{2, 4, 0, 3, 1} {
		c.drop(all[i])
		for at := *c.slot(1); at != nil; at = at.next {
			if at == all[i] {
				t.Errorf("id %d was dropped and is found", i)
			}
		}
		if c.held() != c.n {
			t.Errorf("%d ids of the hash, want %d", c.held(), c.n)
		}
	}
}

// TestManyIDs: all are found when the table has grown.
func TestManyIDs(t *testing.T) {
	const many = 10 * fewSlots
	c := newIDCache(many, many)
	all := map[int]*connection{}
	key := func(i int) *idKey { return &idKey{source: "s", host: []byte("h"), id: fmt.Append(nil, i)} }
	for i := range many {
		k := key(i)
		if c.get(k, epoch) != nil {
			t.Fatalf("id %d is known", i)
		}
		all[i] = c.add(k, epoch)
	}
	for i, conn := range all {
		if c.get(key(i), epoch) != conn {
			t.Errorf("id %d is not found", i)
		}
	}
	if c.held() != many || c.n != many {
		t.Errorf("%d ids in the table, %d counted, want %d", c.held(), c.n, many)
	}
}

// TestIDsAllocateNothing: in a stream of new ids the memory of old ones is used again.
func TestIDsAllocateNothing(t *testing.T) {
	c := newIDCache(50, 50)
	id := make([]byte, 4)
	key := &idKey{source: "s", host: []byte("h"), id: id}
	i := uint32(0)
	next := func() {
		i++
		id[0], id[1], id[2] = byte(i), byte(i>>8), byte(i>>16)
		if c.get(key, epoch) == nil {
			c.touch(c.add(key, epoch), i%3 == 0)
		}
	}
	for range 1000 {
		next()
	}
	if n := testing.AllocsPerRun(1000, next); n != 0 {
		t.Errorf("%v allocations for an id, want none", n)
	}
}

func TestCopies(t *testing.T) {
	var s seen
	for range 2 {
		for _, in := range []string{"", "root", "toor", "r\x00ot", "caf\xc3\xa9", "\xff", "a name that is longer than what is remembered"} {
			if got, want := s.text([]byte(in)), text([]byte(in)); got != want {
				t.Errorf("the user %q reads %q, want %q", in, got, want)
			}
		}
	}
	for _, in := range []string{"", "0", "00022", "1", "22", "022", "65535", "65536", "99999", "123456", "12a", "-1"} {
		if got := portText([]byte(in)); got != in {
			t.Errorf("the port %q reads %q", in, got)
		}
	}
	user, port := []byte("root"), []byte("55000")
	if n := testing.AllocsPerRun(100, func() { s.text(user); portText(port) }); n != 0 {
		t.Errorf("%v allocations, want none", n)
	}
}
