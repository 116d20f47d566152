package state

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"net/netip"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/hashicorp/go-memdb"

	"stockade/jails/state/wal"
)

const (
	shardCount = 64
	// cellsPerShard is how many clean rows a shard keeps at hand beside those that wait for a commit.
	cellsPerShard = 1024
	// maxPending is how many rows may wait for a commit before whoever adds one commits itself.
	maxPending = 1 << 13
)

// Store holds the windows, bans and offenders of all jails. Its methods may be called
// concurrently.
//
// The newest version of a row lives in a cell of a shard, guarded by the shard's mutex; decisions
// are made on it. One writer at a time, holding commitMu, moves rows that changed into memdb in
// batches. Readers first commit what waits and then look at memdb, so they see every decision that
// was made before they asked. Locks are taken in the order commitMu, shard.mu, then the small ones.
type Store struct {
	opt   Options
	clock clock
	db    *memdb.MemDB

	shards  [shardCount]shard
	pending atomic.Int64  // rows that wait for a commit
	wake    chan struct{} // capacity 1: something waits for a commit

	jails   atomic.Pointer[map[string]*jailRow] // copied when a jail is added
	jailsMu sync.Mutex
	sources sourceTable
	changes changeQueue
	lengths prefixLengths

	evidence atomic.Int64 // bytes of raw lines held by committed windows and bans
	lost     atomic.Int64
	commits  atomic.Int64 // transactions so far
	evicted  atomic.Int64

	commitMu sync.Mutex
	keep     keeper

	fs        wal.FS
	journal   *wal.Journal  // nil without Options.Dir
	syncWake  chan struct{} // capacity 1: the journal has records to sync
	closed    atomic.Bool
	recovery  Recovery
	saved     saving
	troubleMu sync.Mutex
	trouble   error // of the last Save

	rnd   func() float64
	ready chan struct{}
}

// shard is a part of the rows, by key.
type shard struct {
	mu    sync.Mutex
	cells map[pkey]*cell
	dirty []*cell
	_     [64]byte // keeps neighbours' mutexes off this cache line

	ended atomic.Uint32 // counts bans that were ended; see Recent
	_     [60]byte
}

// cell holds the newest version of a row, and the one in memdb when it differs.
type cell struct {
	key       pkey
	row       *row
	committed *row // nil: not in memdb
	owned     bool // no one but the cell has seen row: it may be changed in place
	dirty     bool // in shard.dirty
	inflight  bool // being committed: readers of memdb do not see it yet
	used      bool // since the last sweep
}

// Open returns a store with what Options.Dir holds: the newest good snapshot and the journal after
// it. Bans and windows whose time has passed are left out. The error says that the folder cannot
// be used at all; see Recovery for what was lost without that.
func Open(o Options) (*Store, error) {
	if o.Dir == "" {
		return open(o, nil)
	}
	fsys, err := wal.Dir(o.Dir)
	if err != nil {
		return nil, fmt.Errorf("open state in %q: %w", o.Dir, err)
	}
	return open(o, fsys)
}

// open keeps the state in fsys; nil keeps it in memory.
func open(o Options, fsys wal.FS) (*Store, error) {
	db, err := newDB()
	if err != nil {
		return nil, fmt.Errorf("open state: %w", err)
	}
	s := &Store{
		opt:      o.withDefaults(),
		db:       db,
		fs:       fsys,
		wake:     make(chan struct{}, 1),
		syncWake: make(chan struct{}, 1),
		rnd:      rand.Float64,
		ready:    make(chan struct{}),
	}
	s.clock = newClock(s.opt.Now)
	s.changes.init()
	s.keep.init(s.opt)
	for i := range s.shards {
		s.shards[i].cells = map[pkey]*cell{}
	}
	s.jails.Store(&map[string]*jailRow{})
	if fsys != nil {
		ended := s.opt.Ended
		s.opt.Ended = s.endedMeanwhile
		err := s.recover()
		s.opt.Ended = ended
		if err != nil {
			return nil, errors.Join(fmt.Errorf("open state in %q: %w", o.Dir, err), fsys.Close())
		}
	}
	return s, nil
}

func (s *Store) shard(k *pkey) *shard { return &s.shards[k.hash()%shardCount] }

// jail returns the counters of the jail of that name, new ones when it has none.
func (s *Store) jail(name string) *jailRow {
	if j := (*s.jails.Load())[name]; j != nil {
		return j
	}
	s.jailsMu.Lock()
	defer s.jailsMu.Unlock()
	old := *s.jails.Load()
	if j := old[name]; j != nil {
		return j
	}
	all := make(map[string]*jailRow, len(old)+1)
	for k, v := range old {
		all[k] = v
	}
	j := &jailRow{name: name, alone: [1]string{name}}
	all[name] = j
	s.jails.Store(&all)
	return j
}

// cellLocked returns the cell of the key, loaded from memdb when it is not at hand.
func (s *Store) cellLocked(sh *shard, k *pkey) *cell {
	if c := sh.cells[*k]; c != nil {
		c.used = true
		return c
	}
	if len(sh.cells) > 4*cellsPerShard {
		sh.sweepLocked()
	}
	c := &cell{key: *k, used: true}
	c.committed = s.load(s.db.Txn(false), k)
	c.row = c.committed
	if c.row == nil {
		c.row = &row{}
	}
	sh.cells[*k] = c
	return c
}

// load returns the committed row, or nil.
func (s *Store) load(txn *memdb.Txn, k *pkey) *row {
	arg := *k // escapes into the arguments
	raw, err := txn.First(tableRows, indexID, &arg)
	if err != nil {
		panic("state: " + err.Error()) // the schema and the key type are ours
	}
	if raw == nil {
		return nil
	}
	return raw.(*row)
}

// peekLocked returns the newest row of the key without keeping it at hand. It may be nil.
func (s *Store) peekLocked(sh *shard, k *pkey) *row {
	if c := sh.cells[*k]; c != nil {
		return c.row
	}
	return s.load(s.db.Txn(false), k)
}

// writeLocked makes the cell's row writable and remembers that it has to be committed.
func (s *Store) writeLocked(sh *shard, c *cell) *row {
	if !c.owned {
		old := c.row
		c.row = &row{key: old.key, items: make([]item, len(old.items), len(old.items)+1)}
		copy(c.row.items, old.items)
		if c.row.key == nil {
			key := c.key
			c.row.key = key[:]
			s.lengths.seen(&key)
		}
		c.owned = true
	}
	if !c.dirty {
		c.dirty = true
		sh.dirty = append(sh.dirty, c)
		if s.pending.Add(1) == 1 {
			select {
			case s.wake <- struct{}{}:
			default:
			}
		}
	}
	return c.row
}

// itemOf returns the jail's item of a writable row, a new one when it has none. It is valid until
// the row gets another item.
func itemOf(r *row, j *jailRow) *item {
	if it := r.find(j); it != nil {
		return it
	}
	r.items = append(r.items, item{jail: j})
	return &r.items[len(r.items)-1]
}

// relieve commits when too many rows wait. No lock may be held.
func (s *Store) relieve() {
	if s.pending.Load() > maxPending {
		s.flush()
	}
}

// clock turns times into nanoseconds since the store was opened, which steps of the wall clock do
// not disturb as long as times carry a monotonic reading.
type clock struct {
	now    func() time.Time
	base   time.Time
	mono   func(time.Time) int64 // of a time that now returned
	offset *atomic.Int64         // from Unix nanoseconds to the store's clock
	shown  int64                 // the same when ends were last moved; belongs to clockStep
}

func newClock(now func() time.Time) clock {
	base := now()
	c := clock{now: now, base: base, offset: &atomic.Int64{}}
	c.mono = func(t time.Time) int64 { return int64(t.Sub(base)) }
	c.offset.Store(-base.UnixNano())
	c.shown = -base.UnixNano()
	return c
}

// at places a failure's time, seen from now. One without a monotonic reading is a wall time; such
// times keep their distances to the nanosecond until the wall clock is set.
func (c *clock) at(t, now time.Time, mono int64) int64 {
	if t != t.Round(0) {
		return int64(t.Sub(c.base))
	}
	offset := c.offset.Load()
	if actual := mono - now.UnixNano(); time.Duration(actual-offset).Abs() > maxDrift {
		c.offset.Store(actual)
		offset = actual
	}
	return t.UnixNano() + offset
}

// wall is the wall time of an instant of the store's clock, seen from now.
func wall(now time.Time, mono, at int64) time.Time { return now.Add(time.Duration(at - mono)) }

// sourceTable numbers the names of sources.
type sourceTable struct {
	ids   sync.Map // string -> uint32
	mu    sync.Mutex
	names []string
}

func (t *sourceTable) id(name string) uint32 {
	if v, ok := t.ids.Load(name); ok {
		return v.(uint32)
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	if v, ok := t.ids.Load(name); ok {
		return v.(uint32)
	}
	id := uint32(len(t.names))
	t.names = append(t.names, name)
	t.ids.Store(name, id)
	return id
}

func (t *sourceTable) all() []string {
	t.mu.Lock()
	defer t.mu.Unlock()
	return slices.Clone(t.names)
}

// prefixLengths knows which lengths of prefixes the store holds, on the scale of pkey, and how many
// active bans each has.
type prefixLengths struct {
	any  [129]atomic.Bool
	mu   sync.Mutex
	bans [2][129]int // by family: 0 is IPv4
	mask [2][3]atomic.Uint64
}

func family(k *pkey) int {
	if netip.AddrFrom16([16]byte(k[:16])).Is4In6() && k[16] >= 96 {
		return 0
	}
	return 1
}

func (l *prefixLengths) seen(k *pkey) {
	if f := &l.any[k[16]]; !f.Load() {
		f.Store(true)
	}
}

func (l *prefixLengths) ban(k *pkey, by int) {
	l.mu.Lock()
	defer l.mu.Unlock()
	f, bits := family(k), k[16]
	l.bans[f][bits] += by
	word := &l.mask[f][bits/64]
	if l.bans[f][bits] > 0 {
		word.Store(word.Load() | 1<<(bits%64))
	} else {
		word.Store(word.Load() &^ (1 << (bits % 64)))
	}
}

// wider calls yield with the key of each shorter prefix around k of a length that has bans.
func (l *prefixLengths) wider(k *pkey, yield func(*pkey) bool) bool {
	f := family(k)
	for w := range l.mask[f] {
		mask := l.mask[f][w].Load()
		if n := int(k[16]) - w*64; n <= 0 {
			return false
		} else if n < 64 {
			mask &= 1<<n - 1
		}
		for bits := w * 64; mask != 0; bits, mask = bits+1, mask>>1 {
			if mask&1 == 0 {
				continue
			}
			if wide := k.mask(byte(bits)); yield(&wide) {
				return true
			}
		}
	}
	return false
}

// mask returns the key of the prefix of that length, on the scale of pkey, around k.
func (k *pkey) mask(bits byte) pkey {
	out := *k
	out[16] = bits
	for i := range 16 {
		switch left := int(bits) - i*8; {
		case left >= 8:
		case left <= 0:
			out[i] = 0
		default:
			out[i] &= ^byte(0) << (8 - left)
		}
	}
	return out
}
