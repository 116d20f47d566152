package state

import (
	"cmp"
	"iter"
	"net/netip"
	"slices"
	"strings"
	"time"

	"github.com/hashicorp/go-memdb"
)

// view is a moment of the store, for one reader.
type view struct {
	s    *Store
	now  time.Time
	mono int64
}

// view commits what waits, so that memdb has what was decided before.
func (s *Store) view() view {
	s.flush()
	return s.moment()
}

func (s *Store) moment() view {
	now := s.clock.now()
	return view{s, now, s.clock.mono(now)}
}

// Bans returns the active bans of the jail, or of all jails when jail is "", ordered by address,
// length and jail.
func (s *Store) Bans(jail string) []*Ban {
	out := s.view().bans(jail, (*heldBan).ban)
	sortBans(out)
	return out
}

// manyBans is how many bans of a jail are quicker found by going through all rows than one by one.
const manyBans = 1 << 14

// bans are the active bans in no order, each made by form.
func (v view) bans(jail string, form func(b *heldBan, jail string, prefix netip.Prefix) *Ban) []*Ban {
	out := []*Ban{}
	for name, jr := range *v.s.jails.Load() {
		if jail == "" || jail == name {
			out = v.bansOf(jr, form, out)
		}
	}
	return out
}

// bansOf appends the active bans of one jail.
func (v view) bansOf(jr *jailRow, form func(b *heldBan, jail string, prefix netip.Prefix) *Ban, out []*Ban) []*Ban {
	take := func(r *row) {
		if it := r.find(jr); active(it, v.mono) {
			k := r.pkey()
			out = append(out, form(it.ban, jr.name, k.prefix()))
		}
	}
	if jr.bannedNow.Load() > manyBans {
		for r := range v.s.rows(v.s.db.Txn(false)) {
			take(r)
		}
		return out
	}
	v.s.commitMu.Lock()
	txn := v.s.db.Txn(false)
	var keys []pkey
	for t := jr.bans.head; t != nil; t = t.links[0].next {
		keys = append(keys, *t.key)
	}
	v.s.commitMu.Unlock()
	for i := range keys {
		if r := v.s.load(txn, &keys[i]); r != nil {
			take(r)
		}
	}
	return out
}

// rows are all rows that the transaction sees, in the order of their keys.
func (s *Store) rows(txn *memdb.Txn) iter.Seq[*row] {
	return func(yield func(*row) bool) {
		all, err := txn.Get(tableRows, indexID+"_prefix", "")
		if err != nil {
			panic("state: " + err.Error()) // the schema and the type are ours
		}
		for raw := all.Next(); raw != nil; raw = all.Next() {
			if !yield(raw.(*row)) {
				return
			}
		}
	}
}

func sortBans(bans []*Ban) {
	slices.SortFunc(bans, func(a, b *Ban) int {
		return cmp.Or(a.Prefix.Addr().Compare(b.Prefix.Addr()),
			cmp.Compare(a.Prefix.Bits(), b.Prefix.Bits()), strings.Compare(a.Jail, b.Jail))
	})
}

// around calls yield with the row of each prefix that holds the address, shortest first.
func (v view) around(addr netip.Addr, yield func(*row)) {
	addr = addr.Unmap().WithZone("")
	if !addr.IsValid() {
		return
	}
	txn := v.s.db.Txn(false)
	k := keyOf(netip.PrefixFrom(addr, addr.BitLen()))
	for bits := range v.s.lengths.any {
		if !v.s.lengths.any[bits].Load() || addr.Is4() && bits < 96 {
			continue
		}
		wide := k.mask(byte(bits))
		if r := v.s.load(txn, &wide); r != nil {
			yield(r)
		}
	}
}

// BansOf returns the active bans that cover the address, those of wider prefixes too, in the order
// of Bans.
func (s *Store) BansOf(addr netip.Addr) []*Ban {
	v := s.view()
	out := []*Ban{}
	v.around(addr, func(r *row) {
		k := r.pkey()
		for i := range r.items {
			if it := &r.items[i]; active(it, v.mono) {
				out = append(out, it.ban.ban(it.jail.name, k.prefix()))
			}
		}
	})
	sortBans(out)
	return out
}

// BansWithin calls yield with active bans of the jail whose prefixes the network holds, its own among
// them, until yield returns false. It commits nothing: the newest bans may be missing. network must be
// valid and masked.
func (s *Store) BansWithin(network netip.Prefix, jail string, yield func(*Ban) bool) {
	jr := (*s.jails.Load())[jail]
	if jr == nil {
		return
	}
	v, k := s.moment(), keyOf(network)
	all, err := s.db.Txn(false).Get(tableRows, indexID+"_prefix", k[:k[16]/8])
	if err != nil {
		panic("state: " + err.Error()) // the schema and the type are ours
	}
	for raw := all.Next(); raw != nil; raw = all.Next() {
		r := raw.(*row)
		own := r.pkey()
		if own[16] < k[16] || own.mask(k[16]) != k {
			continue
		}
		if it := r.find(jr); active(it, v.mono) && !yield(it.ban.ban(jr.name, own.prefix())) {
			return
		}
	}
}

// Windows returns the windows of the prefixes that hold the address, by jail.
func (s *Store) Windows(addr netip.Addr) []*Window {
	v := s.view()
	out := []*Window{}
	v.around(addr, func(r *row) {
		for i := range r.items {
			if w := r.items[i].win; w != nil && w.deadline() > v.mono {
				out = append(out, v.window(r, &r.items[i]))
			}
		}
	})
	slices.SortStableFunc(out, func(a, b *Window) int { return strings.Compare(a.Jail, b.Jail) })
	return out
}

func (v view) window(r *row, it *item) *Window {
	w, k := it.win, r.pkey()
	out := &Window{Jail: it.jail.name, Prefix: k.prefix(), Failures: slices.Clone(w.ev)}
	oldest := v.mono - w.keep
	for _, h := range w.hits {
		if h.t < oldest {
			continue
		}
		if out.First.IsZero() {
			out.First = wall(v.now, v.mono, h.t)
		}
		out.Count += int(h.n)
	}
	out.Last = wall(v.now, v.mono, w.last())
	return out
}

// Offenders returns what is remembered of earlier bans of the prefixes that hold the address.
func (s *Store) Offenders(addr netip.Addr) []*Offender {
	v := s.view()
	out := []*Offender{}
	v.around(addr, func(r *row) {
		k := r.pkey()
		for i := range r.items {
			if it := &r.items[i]; it.past != nil {
				out = append(out, &Offender{Jail: it.jail.name, Prefix: k.prefix(), Count: it.past.count,
					Last: wall(v.now, v.mono, it.past.last), Evidence: it.past.ev.list()})
			}
		}
	})
	return out
}

// Counts returns the numbers of one jail; zeros when nothing is known of it.
func (s *Store) Counts(jail string) JailCounts {
	s.flush()
	j := (*s.jails.Load())[jail]
	if j == nil {
		return JailCounts{}
	}
	return JailCounts{
		FailedCurrent: int(j.failedNow.Load()),
		FailedTotal:   j.failed.Load(),
		BannedCurrent: int(j.bannedNow.Load()),
		BannedTotal:   j.banned.Load(),
	}
}

// Jails returns the names of all jails that the store knows, sorted.
func (s *Store) Jails() []string {
	all := *s.jails.Load()
	out := make([]string, 0, len(all))
	for name := range all {
		out = append(out, name)
	}
	slices.Sort(out)
	return out
}

// Effective is what the firewall should hold for one scope of one prefix.
type Effective struct {
	Scope    string
	End      time.Time // zero: permanent
	Jail     string    // the one that holds it longest
	Jails    []string  // all that hold it, the longest first
	Verdict  string    // of that jail
	Enforced bool      // every ban behind it was seen in the kernel
}

// Effective returns, by scope, the union of the active bans of exactly that prefix: the end is the
// longest one. Shadow bans are left out. Nothing is returned when the prefix is not banned. It
// sees every decision made before, and commits nothing.
func (s *Store) Effective(prefix netip.Prefix) []Effective {
	mono := s.clock.mono(s.clock.now())
	k := keyOf(prefix.Masked())
	sh := s.shard(&k)
	sh.mu.Lock()
	defer sh.mu.Unlock()
	r := s.peekLocked(sh, &k)
	if r == nil {
		return nil
	}
	return r.effective(mono, nil)
}

// effective appends to out, which is empty.
func (r *row) effective(mono int64, out []Effective) []Effective {
	var room [4]*item
	live := room[:0]
	for i := range r.items {
		if it := &r.items[i]; active(it, mono) && !it.ban.shadow {
			live = append(live, it)
		}
	}
	if len(live) == 1 {
		return append(out, live[0].effective())
	}
	slices.SortStableFunc(live, func(a, b *item) int {
		return cmp.Or(strings.Compare(a.ban.scope(), b.ban.scope()), cmp.Compare(b.until, a.until), strings.Compare(a.jail.name, b.jail.name))
	})
	for _, it := range live {
		if n := len(out); n > 0 && out[n-1].Scope == it.ban.scope() {
			out[n-1].Jails = append(slices.Clip(out[n-1].Jails), it.jail.name)
			out[n-1].Enforced = out[n-1].Enforced && it.ban.enforced
			continue
		}
		out = append(out, it.effective())
	}
	return out
}

// effective is what the ban of the item alone would make of its scope.
func (it *item) effective() Effective {
	w := it.ban.words.Value()
	return Effective{Scope: w.scope, End: it.ban.end, Jail: it.jail.name,
		Jails: it.jail.alone[:], Verdict: w.verdict, Enforced: it.ban.enforced}
}

// AllEffective calls yield with each banned prefix and what Effective says of it, at one moment,
// until yield returns false. The list is valid until yield returns. Bans that begin meanwhile come as
// changes.
func (s *Store) AllEffective(yield func(prefix netip.Prefix, all []Effective) bool) {
	s.NowEffective()(yield)
}

// NowEffective is AllEffective of this very moment, whenever it is gone through. Until then it holds
// on to the rows of this moment.
func (s *Store) NowEffective() iter.Seq2[netip.Prefix, []Effective] {
	v := s.view()
	txn := s.db.Txn(false)
	return func(yield func(prefix netip.Prefix, all []Effective) bool) {
		var all []Effective
		for r := range s.rows(txn) {
			if all = r.effective(v.mono, all[:0]); len(all) > 0 {
				k := r.pkey()
				if !yield(k.prefix(), all) {
					return
				}
			}
		}
	}
}

// Stats are numbers about the store itself.
type Stats struct {
	Windows   int   // rows of windows
	Offenders int   // remembered prefixes and jails with earlier bans
	Pending   int   // rows that wait for a commit
	Evicted   int64 // windows that were given up for others
	Lost      int64 // those of them at half their threshold or more
	Evidence  int64 // bytes of raw lines
}

// Stats returns the store's numbers.
func (s *Store) Stats() Stats {
	s.commitMu.Lock()
	defer s.commitMu.Unlock()
	return Stats{
		Windows:   s.keep.windows.count,
		Offenders: s.keep.offenders.count,
		Pending:   int(s.pending.Load()),
		Evicted:   s.evicted.Load(),
		Lost:      s.lost.Load(),
		Evidence:  s.evidence.Load(),
	}
}
