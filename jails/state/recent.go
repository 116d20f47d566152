package state

import (
	"net/netip"

	"stockade/jails"
)

// recentEntries is how many bans a Recent remembers, in 640 KiB. It must be a power of two.
const recentEntries = 16384

// Recent answers Store.FailBanned for one goroutine, mostly from what it found lately: under an
// attack most failures are of prefixes that are banned already, and the rows of thousands of them
// are far apart in memory. An answer is as good as the Store's own: it holds while the ban would,
// and while no ban of the prefix's shard was ended early.
type Recent struct {
	s       *Store
	now     int64 // on the store's clock; 0: to be read
	jail    *jails.Jail
	row     *jailRow
	failed  int64 // of row, not added yet
	entries []recentEntry
}

type recentEntry struct {
	jail  *jailRow
	until int64
	ended uint32 // of the shard, before the ban was found
	key   pkey
}

// NewRecent returns a Recent that remembers nothing. It belongs to one goroutine.
func (s *Store) NewRecent() *Recent { return &Recent{s: s} }

// FailBanned does what Store.FailBanned does, and counts when Flush is called. It allocates nothing
// but its memory, once.
func (r *Recent) FailBanned(j *jails.Jail, prefix netip.Prefix, attempts int) bool {
	if j != r.jail {
		r.count()
		r.jail, r.row = j, r.s.jail(j.Name)
	}
	if r.now == 0 {
		r.now = r.s.clock.mono(r.s.clock.now())
	}
	if r.entries == nil {
		r.entries = make([]recentEntry, recentEntries)
	}
	k := keyOf(prefix)
	h := k.hash()
	sh := &r.s.shards[h%shardCount]
	ended := sh.ended.Load()
	at := h / shardCount % recentEntries &^ 1
	pair := r.entries[at : at+2 : at+2] // the one that was used last is the first
	switch {
	case r.holds(&pair[0], &k, ended):
	case r.holds(&pair[1], &k, ended):
		pair[0], pair[1] = pair[1], pair[0]
	default:
		until, banned := r.s.bannedUntil(r.row, &k, r.now)
		if !banned {
			return false
		}
		pair[0], pair[1] = recentEntry{r.row, until, ended, k}, pair[0]
	}
	r.failed += int64(max(attempts, 1))
	return true
}

func (r *Recent) holds(e *recentEntry, k *pkey, ended uint32) bool {
	return e.key == *k && e.jail == r.row && e.until > r.now && e.ended == ended
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
