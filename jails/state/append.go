package state

import (
	"encoding/binary"
	"math"
)

// What is written over and over, rows and journal records, is put together here byte by byte, as the
// CBOR library would write the forms of saved.go: that takes four times as long, and memory for each
// form on the way.

// appendHead appends the type and the number of an item in as few bytes as it takes.
func appendHead(b []byte, major byte, n uint64) []byte {
	major <<= 5
	switch {
	case n < 24:
		return append(b, major|byte(n))
	case n <= math.MaxUint8:
		return append(b, major|24, byte(n))
	case n <= math.MaxUint16:
		return binary.BigEndian.AppendUint16(append(b, major|25), uint16(n))
	case n <= math.MaxUint32:
		return binary.BigEndian.AppendUint32(append(b, major|26), uint32(n))
	}
	return binary.BigEndian.AppendUint64(append(b, major|27), n)
}

// appendList appends the head of an array of n items.
func appendList(b []byte, n int) []byte { return appendHead(b, cborArray, uint64(n)) }

func appendInt(b []byte, n int64) []byte {
	if n < 0 {
		return appendHead(b, cborNegative, uint64(-1-n))
	}
	return appendHead(b, cborUint, uint64(n))
}

func appendText(b []byte, s string) []byte {
	return append(appendHead(b, cborText, uint64(len(s))), s...)
}

func appendBytes[T string | []byte](b []byte, s T) []byte {
	return append(appendHead(b, cborBytes, uint64(len(s))), s...)
}

func appendBool(b []byte, v bool) []byte {
	if v {
		return append(b, cborTrue)
	}
	return append(b, cborFalse)
}

// appendEvidence appends a list of savedEvidence.
func appendEvidence(b []byte, ev []Evidence) []byte {
	b = appendList(b, len(ev))
	for i := range ev {
		e := &ev[i]
		b = appendList(b, 8)
		b = appendInt(appendInt(b, nanos(e.Time)), nanos(e.Received))
		b = appendText(appendText(b, e.Source), e.Trust)
		b = appendText(appendText(b, e.Origin), e.User)
		b = appendInt(b, int64(e.Pattern))
		b = appendBytes(b, e.Raw)
	}
	return b
}

// appendTo appends the list as it is written.
func (p packed) appendTo(b []byte) []byte {
	if p == "" {
		return appendList(b, 0)
	}
	return append(b, p...)
}

// appendBan appends a savedBan. Its end is the wall time at which the store's clock will reach it,
// seen from now: steps of the wall clock since the ban began are taken out, of its start too.
func (v view) appendBan(b []byte, h *heldBan, until int64) []byte {
	start, end := nanos(h.start), int64(0)
	if until != forever {
		end = wall(v.now, v.mono, until).UnixNano()
		start += end - h.end.UnixNano()
	}
	w := h.words.Value()
	b = appendText(appendList(b, 11), w.scope)
	b = appendInt(appendInt(b, start), end)
	b = appendBytes(b, w.reason)
	b = appendText(appendText(b, w.source), w.trust)
	b = appendInt(appendInt(b, int64(h.failures)), int64(h.count))
	b = appendText(appendBool(b, h.shadow), w.verdict)
	return h.ev.appendTo(b)
}

// appendRecord appends the savedRecord of what became of a prefix in a jail: a ban until then, or, when
// h is nil, none.
func (v view) appendRecord(b []byte, k *pkey, jr *jailRow, h *heldBan, until int64) []byte {
	kind := int64(recordUnban)
	if h != nil {
		kind = recordBan
	}
	b = appendBytes(jr.appendTotals(b, kind), k[:])
	if h == nil {
		return append(b, cborNull)
	}
	return v.appendBan(b, h, until)
}

// appendCount appends the savedRecord that only has the jail's totals.
func (j *jailRow) appendCount(b []byte) []byte {
	return append(j.appendTotals(b, recordCount), cborNull, cborNull)
}

// appendTotals appends the begin of a savedRecord, up to its key.
func (j *jailRow) appendTotals(b []byte, kind int64) []byte {
	b = appendText(appendInt(appendList(b, 6), kind), j.name)
	return appendInt(appendInt(b, j.failed.Load()), j.banned.Load())
}

// appendRow appends the savedRow of a row, with the jails' numbers in the header.
func (v view) appendRow(b []byte, r *row, number map[*jailRow]int) []byte {
	b = appendList(appendBytes(appendList(b, 2), r.key), len(r.items))
	for i := range r.items {
		it := &r.items[i]
		b = appendInt(appendList(b, 4), int64(number[it.jail]))
		if it.win == nil {
			b = append(b, cborNull)
		} else {
			b = v.appendWindow(b, it.win)
		}
		if it.ban == nil {
			b = append(b, cborNull)
		} else {
			b = v.appendBan(b, it.ban, it.until)
		}
		if it.past == nil {
			b = append(b, cborNull)
		} else {
			b = v.appendPast(b, it.past)
		}
	}
	return b
}

// appendWindow appends a savedWindow.
func (v view) appendWindow(b []byte, w *window) []byte {
	b = appendInt(appendInt(appendList(b, 4), w.keep), int64(w.half))
	b = appendList(b, len(w.hits))
	for _, h := range w.hits {
		b = appendInt(appendList(b, 3), wall(v.now, v.mono, h.t).UnixNano())
		b = appendInt(appendInt(b, int64(h.n)), int64(h.src))
	}
	return appendEvidence(b, w.ev)
}

// appendPast appends a savedPast.
func (v view) appendPast(b []byte, p *past) []byte {
	b = appendInt(appendList(b, 3), int64(p.count))
	b = appendInt(b, wall(v.now, v.mono, p.last).UnixNano())
	return p.ev.appendTo(b)
}
