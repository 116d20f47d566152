package state

import (
	"bytes"
	"slices"
	"time"

	"github.com/hashicorp/go-memdb"
)

// batchRows is how many rows go into one transaction of memdb.
const batchRows = 256

// flush commits everything that waits, ends what has run out and evicts what is too much. After
// it, memdb has every change that was made before it was called. What comes meanwhile is for the next
// one, so that a flood keeps no reader waiting.
func (s *Store) flush() {
	s.commitMu.Lock()
	defer s.commitMu.Unlock()
	s.flushLocked()
}

func (s *Store) flushLocked() {
	s.settleLocked(2 + s.commitLocked()/maxEvict)
}

// settleLocked ends what has run out and evicts what is too much, in so many rounds at most.
func (s *Store) settleLocked(rounds int) {
	mono := s.clock.mono(s.clock.now())
	for ; rounds > 0 && (s.expireLocked(mono) || s.evictLocked()); rounds-- {
		s.commitLocked()
	}
}

// commitLocked commits what waits and returns how many rows that were. They go in the order of their
// keys: what a transaction copies of memdb's tree then serves many of its rows.
func (s *Store) commitLocked() int {
	var batch []*cell
	for i := range s.shards {
		sh := &s.shards[i]
		sh.mu.Lock()
		batch = append(batch, sh.dirty...)
		clear(sh.dirty)
		sh.dirty = sh.dirty[:0]
		sh.mu.Unlock()
	}
	slices.SortFunc(batch, func(a, b *cell) int { return bytes.Compare(a.key[:], b.key[:]) })
	for rest := batch; len(rest) > 0; {
		n := min(len(rest), batchRows)
		s.commitBatch(rest[:n])
		rest = rest[n:]
	}
	return len(batch)
}

func (s *Store) commitBatch(cells []*cell) {
	txn := s.db.Txn(true)
	defer txn.Abort()
	for _, c := range cells {
		sh := s.shard(&c.key)
		sh.mu.Lock()
		bytes := s.keep.track(c.row)
		r, old := c.row, c.committed
		for i := range r.items {
			if w := r.items[i].win; w != nil {
				w.shared = true
			}
		}
		c.owned, c.dirty, c.inflight = false, false, true
		s.pending.Add(-1)
		sh.mu.Unlock()
		s.evidence.Add(bytes)
		c.committed = s.store(txn, r, old)
	}
	txn.Commit()
	s.commits.Add(1)
	for _, c := range cells {
		sh := s.shard(&c.key)
		sh.mu.Lock()
		c.inflight = false
		if len(sh.cells) > cellsPerShard {
			sh.sweepLocked()
		}
		sh.mu.Unlock()
	}
}

// store puts the row into the transaction, or takes it out when it is empty. It returns what memdb
// then has.
func (s *Store) store(txn *memdb.Txn, r, old *row) *row {
	var err error
	switch {
	case !r.empty():
		err = txn.Insert(tableRows, r)
	case old != nil:
		err = txn.Delete(tableRows, old)
		r = nil
	default:
		return nil
	}
	if err != nil {
		panic("state: " + err.Error()) // the schema and the types are ours
	}
	return r
}

// sweepLocked lets go of clean cells that were not used since the last sweep, and of others if
// that is not enough.
func (sh *shard) sweepLocked() {
	for _, spare := range []bool{true, false} {
		for k, c := range sh.cells {
			if len(sh.cells) <= cellsPerShard*3/4 {
				return
			}
			if c.dirty || c.inflight {
				continue
			}
			if spare && c.used {
				c.used = false
				continue
			}
			delete(sh.cells, k)
		}
	}
}

// expireLocked ends what has run out. It reports whether anything changed.
func (s *Store) expireLocked(mono int64) bool {
	changed := false
	for t := s.keep.due(mono); t != nil; t = s.keep.due(mono) {
		s.keep.heap.remove(t) // a later commit puts it back when something is left
		changed = s.expire(t, mono) || changed
	}
	return changed
}

func (s *Store) expire(t *timer, mono int64) bool {
	sh := s.shard(t.key)
	sh.mu.Lock()
	defer sh.mu.Unlock()
	c := s.cellLocked(sh, t.key)
	it := c.row.find(t.jail)
	if it == nil || it.timers[t.kind] != t {
		return false
	}
	switch t.kind {
	case windowTimer:
		if it.win == nil {
			return false
		}
		if end := it.win.deadline(); end > mono {
			s.keep.heap.set(t, end)
			return false
		}
		s.dropWindow(itemOf(s.writeLocked(sh, c), t.jail))
	case banTimer:
		if it.ban == nil {
			return false
		}
		if it.until > mono {
			s.keep.heap.set(t, it.until)
			return false
		}
		s.runOutLocked(sh, c, t.jail)
	case pastTimer:
		if it.past == nil {
			return false
		}
		if end := it.past.last + s.keep.pastLife(it.past); end > mono || it.ban != nil {
			// An offender is not forgotten while it is banned.
			s.keep.heap.set(t, max(end, mono+int64(time.Minute)))
			return false
		}
		next := *it.past
		next.ev = ""
		it = itemOf(s.writeLocked(sh, c), t.jail)
		if it.past = &next; next.last+s.keep.retention <= mono {
			it.past = nil
		}
	}
	return true
}

// maxEvict is how many windows and offenders are evicted before that is committed.
const maxEvict = 4096

// evictLocked takes away what is too much. It reports whether anything changed.
func (s *Store) evictLocked() bool {
	changed := false
	for range maxEvict {
		t := s.keep.victim()
		if t == nil {
			break
		}
		changed = s.evict(t) || changed
	}
	return changed
}

func (s *Store) evict(t *timer) bool {
	sh := s.shard(t.key)
	sh.mu.Lock()
	defer sh.mu.Unlock()
	c := s.cellLocked(sh, t.key)
	it := c.row.find(t.jail)
	if c.dirty || it == nil || it.timers[t.kind] != t {
		// It was used just now: the next commit will say how much it is worth.
		s.keep.touch(t)
		return false
	}
	it = itemOf(s.writeLocked(sh, c), t.jail)
	if t.kind == windowTimer {
		s.evicted.Add(1)
		if it.win.n >= it.win.half {
			s.lost.Add(1)
		}
		s.dropWindow(it)
	} else {
		it.past = nil
	}
	s.evidence.Add(s.keep.drop(it, t.kind))
	return true
}
