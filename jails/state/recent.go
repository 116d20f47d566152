package state

import (
	"math"
	"net/netip"
	"slices"

	"stockade/jails"
)

// A Recent remembers bans in sets of recentWays, the one that was used last first. Together they
// take 512 KiB; their number must be a power of two.
const (
	recentWays = 4
	recentBits = 12
)

// Recent answers Store.FailBanned for one goroutine, mostly from what it found lately: under an
// attack most failures are of prefixes that are banned already, and the rows of thousands of them
// are far apart in memory. An answer is as good as the Store's own: it holds while the ban would,
// and while no ban of the prefix's shard was ended early.
type Recent struct {
	s      *Store
	now    int64 // on the store's clock; 0: to be read
	jail   *jails.Jail
	row    *jailRow
	number uint16     // of row in rows
	rows   []*jailRow // all that were asked about
	failed int64      // of row, not added yet
	sets   []recentSet
}

// recentEntry takes 32 bytes, so that a set takes two cache lines. The zero entry has ended.
type recentEntry struct {
	until int64
	ended uint32 // of the shard, before the ban was found
	jail  uint16
	key   pkey
}

type recentSet [recentWays]recentEntry

// NewRecent returns a Recent that remembers nothing. It belongs to one goroutine.
func (s *Store) NewRecent() *Recent { return &Recent{s: s} }

// FailBanned does what Store.FailBanned does, and counts when Flush is called. It allocates nothing
// but its memory, once.
func (r *Recent) FailBanned(j *jails.Jail, prefix netip.Prefix, attempts int) bool {
	if j != r.jail && !r.take(j) {
		return r.s.FailBanned(j, prefix, attempts)
	}
	if r.now == 0 {
		r.now = r.s.clock.mono(r.s.clock.now())
	}
	if r.sets == nil {
		r.sets = make([]recentSet, 1<<recentBits)
	}
	k := keyOf(prefix)
	h := k.hash()
	ended := r.s.shards[h%shardCount].ended.Load()
	const spread = 0xd6e8feb86659fd93 // odd; the best bits of a product are its highest
	set := &r.sets[h*spread>>(64-recentBits)]
	if !r.finds(set, &k, ended) {
		until, banned := r.s.bannedUntil(r.row, &k, r.now)
		if !banned {
			return false
		}
		copy(set[1:], set[:])
		set[0] = recentEntry{until, ended, r.number, k}
	}
	r.failed += int64(max(attempts, 1))
	return true
}

// take notes the jail that is asked about. It reports false when there are too many.
func (r *Recent) take(j *jails.Jail) bool {
	r.count()
	r.jail, r.row = nil, r.s.jail(j.Name)
	n := slices.Index(r.rows, r.row)
	if n < 0 {
		if n = len(r.rows); n > math.MaxUint16 {
			return false
		}
		r.rows = append(r.rows, r.row)
	}
	r.jail, r.number = j, uint16(n)
	return true
}

// finds reports whether the set has a ban that holds, and puts it first.
func (r *Recent) finds(set *recentSet, k *pkey, ended uint32) bool {
	for i := range set {
		if e := &set[i]; e.key == *k && e.jail == r.number && e.until > r.now && e.ended == ended {
			if i > 0 {
				found := *e
				copy(set[1:i+1], set[:i])
				set[0] = found
			}
			return true
		}
	}
	return false
}

// Flush adds the failures since the last call to Total failed, and lets the next one read the
// clock anew. It must be called before whoever waits for the failures is told.
func (r *Recent) Flush() {
	r.count()
	r.now = 0
}

func (r *Recent) count() {
	if r.failed > 0 {
		r.row.failed.Add(r.failed)
		r.failed = 0
	}
}

// bannedUntil returns when the ban of the prefix in the jail ends, and whether there is one at now.
// A wider one is not remembered: its end is now.
func (s *Store) bannedUntil(jr *jailRow, k *pkey, now int64) (until int64, banned bool) {
	if s.covered(jr, k, now) {
		return now, true
	}
	sh := s.shard(k)
	sh.mu.Lock()
	defer sh.mu.Unlock()
	if it := s.cellLocked(sh, k).row.find(jr); active(it, now) {
		return it.until, true
	}
	return 0, false
}
