package state

import (
	"encoding/binary"
	"fmt"
	"math"
	"net/netip"
	"sync/atomic"

	"github.com/hashicorp/go-memdb"
)

// pkey is the primary key of a row: the address in 16 bytes, IPv4 in IPv6 clothes, and the length
// of the prefix on that scale.
type pkey [17]byte

func keyOf(p netip.Prefix) pkey {
	var k pkey
	a := p.Addr().As16()
	copy(k[:], a[:])
	k[16] = byte(p.Bits())
	if p.Addr().Is4() {
		k[16] += 96
	}
	return k
}

func (k *pkey) prefix() netip.Prefix {
	addr := netip.AddrFrom16([16]byte(k[:16]))
	bits := int(k[16])
	if bits >= 96 && addr.Is4In6() {
		return netip.PrefixFrom(addr.Unmap(), bits-96)
	}
	return netip.PrefixFrom(addr, bits)
}

// hash spreads keys over the shards.
func (k *pkey) hash() uint64 {
	const m = 0x9e3779b97f4a7c15
	h := binary.LittleEndian.Uint64(k[:8])*m ^ binary.LittleEndian.Uint64(k[8:16]) ^ uint64(k[16])<<56
	h ^= h >> 32
	h *= m
	return h ^ h>>29
}

// counters of one jail. They outlive its windows and bans, and restarts.
type jailRow struct {
	name      string
	alone     [1]string // the name, as a list that is never written to
	failed    atomic.Int64
	banned    atomic.Int64
	failedNow atomic.Int64
	bannedNow atomic.Int64
	logged    atomic.Int64 // failed, as the journal has it
	bans      list         // the timers of its bans; belongs to whoever holds Store.commitMu
}

// row is all that is known of one prefix. Once it is in memdb neither it nor anything that it
// points to changes, save for the timers, which belong to whoever holds Store.commitMu.
type row struct {
	key   []byte // pkey, shared by all versions of the row: memdb keeps parts of it
	items []item
}

func (r *row) pkey() pkey { return pkey(r.key) }

// newRow is a row without items and with room for so many. Most rows have one, which then takes no
// memory of its own.
func newRow(key []byte, items int) *row {
	if items != 1 {
		return &row{key: key, items: make([]item, 0, items)}
	}
	r := &struct {
		row
		one [1]item
	}{}
	r.key, r.items = key, r.one[:0]
	return &r.row
}

// item is what is known of a prefix in one jail.
type item struct {
	jail   *jailRow
	win    *window
	ban    *heldBan
	until  int64 // when the ban ends, on the store's clock
	past   *past
	timers [3]*timer // by kind
}

func (it *item) empty() bool { return it.win == nil && it.ban == nil && it.past == nil }

// forever is the end of a permanent ban on the store's clock.
const forever = math.MaxInt64

// past is the memory of earlier bans.
type past struct {
	count int
	last  int64  // start of the latest ban on the store's clock
	ev    packed // of the latest ban, once that has ended
}

// pastEvidence is how many failures of an ended ban keep their evidence.
const pastEvidence = 3

// remember is p with the last evidence of a ban that ended.
func (p *past) remember(b *heldBan) *past {
	next := *p
	if ev := b.ev.list(); len(ev) > pastEvidence {
		next.ev = pack(ev[len(ev)-pastEvidence:])
	} else {
		next.ev = b.ev
	}
	return &next
}

func (r *row) find(j *jailRow) *item {
	for i := range r.items {
		if r.items[i].jail == j {
			return &r.items[i]
		}
	}
	return nil
}

func (r *row) empty() bool {
	for i := range r.items {
		if !r.items[i].empty() {
			return false
		}
	}
	return true
}

const (
	tableRows = "rows"
	indexID   = "id"
)

// newDB returns an empty database. Its one index is the primary key: each further one costs as much
// memory again as a ban and half as much time, and who is banned in a jail is known by its timers. It is a snapshot of one, because memdb then keeps no track of
// what watchers would have to be told of, which is a good part of the cost of a commit: nobody
// watches.
func newDB() (*memdb.MemDB, error) {
	db, err := memdb.NewMemDB(&memdb.DBSchema{Tables: map[string]*memdb.TableSchema{
		tableRows: {
			Name: tableRows,
			Indexes: map[string]*memdb.IndexSchema{
				indexID: {Name: indexID, Unique: true, Indexer: idIndex{}},
			},
		},
	}})
	if err != nil {
		return nil, err
	}
	return db.Snapshot(), nil
}

// idIndex is the primary key.
type idIndex struct{}

func (idIndex) FromObject(raw any) (bool, []byte, error) { return true, raw.(*row).key, nil }

func (idIndex) FromArgs(args ...any) ([]byte, error) {
	k, ok := args[0].(*pkey)
	if !ok {
		return nil, fmt.Errorf("key of type %T", args[0])
	}
	return k[:], nil
}

// PrefixFromArgs lets a scan go over the keys that begin with some bytes, or over the whole table.
func (idIndex) PrefixFromArgs(args ...any) ([]byte, error) {
	begin, _ := args[0].([]byte)
	return begin, nil
}
