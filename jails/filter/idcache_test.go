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
			key := &idKey{0, "s", []byte(host), []byte(id)}
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

// TestIDsOfOneHash: ids whose hashes are the same are told apart.
func TestIDsOfOneHash(t *testing.T) {
	c := newIDCache(100, 100)
	var all []*connection
	for i := range 5 {
		conn := c.add(&idKey{0, "s", []byte("h"), fmt.Append(nil, i)}, epoch)
		delete(c.ids, conn.hash)
		conn.hash = 1
		conn.same = c.ids[1]
		c.ids[1] = conn
		all = append(all, conn)
	}
	for _, i := range []int{2, 4, 0, 3, 1} {
		c.drop(all[i])
		n := 0
		for conn := c.ids[1]; conn != nil; conn = conn.same {
			if conn == all[i] {
				t.Errorf("id %d was dropped and is found", i)
			}
			n++
		}
		if n != c.n {
			t.Errorf("%d ids of the hash, want %d", n, c.n)
		}
	}
}

// TestIDsAllocateNothing: in a stream of new ids the memory of old ones is used again.
func TestIDsAllocateNothing(t *testing.T) {
	c := newIDCache(50, 50)
	id := make([]byte, 4)
	key := &idKey{0, "s", []byte("h"), id}
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
