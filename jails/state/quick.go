package state

import (
	"encoding/binary"
	"math"
	"time"
	"unique"
)

// quick reads rows of the form that most have: bans and earlier bans, no windows. The library would
// take four times as long over them, which counts with a million. What it does not know, in whatever
// way, it leaves to the library: the two agree wherever quick answers.
type quick struct {
	b     []byte
	words banWords // of the last ban; most are alike
	same  unique.Handle[banWords]
}

// The first bytes of what is expected, by RFC 8949: a major type in the upper three bits, and a
// length.
const (
	cborUint, cborNegative, cborBytes, cborText, cborArray = 0, 1, 2, 3, 4

	cborFalse, cborTrue, cborNull = 0xf4, 0xf5, 0xf6
)

// head takes the first bytes of an item and gives its type and its number. ok is false for forms that
// the encoder does not write.
func (q *quick) head() (major byte, n uint64, ok bool) {
	if len(q.b) == 0 {
		return 0, 0, false
	}
	first := q.b[0]
	major, low := first>>5, first&31
	size := 0
	switch {
	case low < 24:
		q.b = q.b[1:]
		return major, uint64(low), true
	case low > 27:
		return 0, 0, false
	default:
		size = 1 << (low - 24)
	}
	if len(q.b) < 1+size {
		return 0, 0, false
	}
	rest := q.b[1:]
	switch size {
	case 1:
		n = uint64(rest[0])
	case 2:
		n = uint64(binary.BigEndian.Uint16(rest))
	case 4:
		n = uint64(binary.BigEndian.Uint32(rest))
	default:
		n = binary.BigEndian.Uint64(rest)
	}
	q.b = rest[size:]
	return major, n, true
}

// list takes the head of an array.
func (q *quick) list() (int, bool) {
	major, n, ok := q.head()
	return int(n), ok && major == cborArray && n <= math.MaxInt32
}

func (q *quick) listOf(n int) bool {
	got, ok := q.list()
	return ok && got == n
}

// integer takes a number that fits into 64 bits with a sign.
func (q *quick) integer() (int64, bool) {
	major, n, ok := q.head()
	switch {
	case !ok || n > math.MaxInt64:
		return 0, false
	case major == cborUint:
		return int64(n), true
	case major == cborNegative:
		return -1 - int64(n), true
	}
	return 0, false
}

// text takes a string of that type, which is a part of what is read.
func (q *quick) text(want byte) ([]byte, bool) {
	major, n, ok := q.head()
	if !ok || major != want || n > uint64(len(q.b)) {
		return nil, false
	}
	s := q.b[:n]
	q.b = q.b[n:]
	return s, true
}

func (q *quick) boolean() (bool, bool) {
	if len(q.b) == 0 || q.b[0] != cborFalse && q.b[0] != cborTrue {
		return false, false
	}
	v := q.b[0] == cborTrue
	q.b = q.b[1:]
	return v, true
}

// null takes a null, if one comes.
func (q *quick) null() bool {
	if len(q.b) == 0 || q.b[0] != cborNull {
		return false
	}
	q.b = q.b[1:]
	return true
}

// evidence takes a list of evidence as it is written, the items unread, or none.
func (q *quick) evidence() (packed, bool) {
	if q.null() {
		return "", true
	}
	from := q.b
	n, ok := q.list()
	if !ok {
		return "", false
	}
	for range n {
		if !q.skipEvidence() {
			return "", false
		}
	}
	if n == 0 {
		return "", true
	}
	return packed(from[:len(from)-len(q.b)]), true
}

// skipEvidence passes by one savedEvidence.
func (q *quick) skipEvidence() bool {
	if !q.listOf(8) {
		return false
	}
	for _, want := range [...]byte{cborUint, cborUint, cborText, cborText, cborText, cborText, cborUint, cborBytes} {
		ok := false
		if want == cborUint {
			_, ok = q.integer()
		} else {
			_, ok = q.text(want)
		}
		if !ok {
			return false
		}
	}
	return true
}

// ban takes a ban that lasts. One that has ended is the library's.
func (q *quick) ban(v view) (*heldBan, bool) {
	if !q.listOf(11) {
		return nil, false
	}
	scope, ok1 := q.text(cborText)
	start, ok2 := q.integer()
	end, ok3 := q.integer()
	reason, ok4 := q.text(cborBytes)
	source, ok5 := q.text(cborText)
	trust, ok6 := q.text(cborText)
	failures, ok7 := q.integer()
	count, ok8 := q.integer()
	shadow, ok9 := q.boolean()
	verdict, ok10 := q.text(cborText)
	if !ok1 || !ok2 || !ok3 || !ok4 || !ok5 || !ok6 || !ok7 || !ok8 || !ok9 || !ok10 {
		return nil, false
	}
	ev, ok := q.evidence()
	if !ok {
		return nil, false
	}
	until, lasts := v.ends(start, end)
	if !lasts {
		return nil, false
	}
	return &heldBan{start: fromNanos(start), end: until, ev: ev, words: q.wordsOf(scope, reason, source, trust, verdict),
		failures: int32(min(failures, math.MaxInt32)), count: int32(min(count, math.MaxInt32)), shadow: shadow,
		enforced: v.s.opt.Enforced && !shadow}, true
}

// wordsOf is the handle of these texts.
func (q *quick) wordsOf(scope, reason, source, trust, verdict []byte) unique.Handle[banWords] {
	w := &q.words
	if w.scope != string(scope) || w.reason != string(reason) || w.source != string(source) ||
		w.trust != string(trust) || w.verdict != string(verdict) || q.same == (unique.Handle[banWords]{}) {
		*w = banWords{string(scope), string(reason), string(source), string(trust), string(verdict)}
		q.same = unique.Make(*w)
	}
	return q.same
}

// past takes the memory of earlier bans.
func (q *quick) past(v view) (*past, bool) {
	if !q.listOf(3) {
		return nil, false
	}
	count, ok1 := q.integer()
	last, ok2 := q.integer()
	if !ok1 || !ok2 {
		return nil, false
	}
	ev, ok := q.evidence()
	if !ok {
		return nil, false
	}
	return &past{count: int(count), last: v.at(last), ev: ev}, true
}

// row takes a row of the jails. ok is false when it is not one of those that quick knows; nothing
// was changed then.
func (q *quick) row(v view, jails []*jailRow) (r *row, ok bool) {
	if !q.listOf(2) {
		return nil, false
	}
	key, ok := q.text(cborBytes)
	if !ok || len(key) != len(pkey{}) {
		return nil, false
	}
	n, ok := q.list()
	if !ok || n > len(jails) {
		return nil, false
	}
	own := pkey(key)
	r = newRow(own[:], n)
	for range n {
		it := item{}
		if !q.listOf(4) {
			return nil, false
		}
		jail, ok := q.integer()
		if !ok || jail < 0 || jail >= int64(len(jails)) || !q.null() {
			return nil, false
		}
		it.jail = jails[jail]
		if !q.null() {
			if it.ban, ok = q.ban(v); !ok {
				return nil, false
			}
			it.until = v.until(it.ban.end)
		}
		if !q.null() {
			if it.past, ok = q.past(v); !ok {
				return nil, false
			}
			if it.past.last+v.s.keep.retention <= v.mono && it.ban == nil {
				it.past = nil
			}
		}
		r.items = append(r.items, it)
	}
	return r, true
}

// ends is when a ban with that start and end, in Unix nanoseconds, ends as seen from now; lasts is
// false when it has. It never lasts longer than it was meant to, also when the wall clock went back.
func (v view) ends(start, end int64) (until time.Time, lasts bool) {
	if end == 0 {
		return time.Time{}, true
	}
	left := min(time.Duration(end-v.now.UnixNano()), time.Duration(end-start))
	if left <= 0 {
		return time.Time{}, false
	}
	return v.now.Add(left), true
}
