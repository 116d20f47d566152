package journald

import (
	"bytes"
	"strconv"
)

// position is where a record stands in the sequence of one journald: its numbers rise by one a
// record and are never used twice under one id.
type position struct {
	ID     string
	Number uint64
	Time   int64 // microseconds since 1970
}

// positionOf reads a record's position; ok is false when it has none. __SEQNUM came with systemd
// 254; before, the cursor alone has it ("s=ID;i=NUMBER;b=…", hexadecimal). The id points into the
// record.
func positionOf(rec *Record) (id []byte, n uint64, at int64, ok bool) {
	at, _ = number(rec.Get(Realtime))
	if id = rec.Get(SeqnumID); len(id) > 0 {
		if v, fits := number(rec.Get(Seqnum)); fits {
			return id, uint64(v), at, true //nolint:gosec // not negative
		}
	}
	id, n, _, ok = parseCursor(rec.Get(Cursor))
	return id, n, at, ok
}

// parseCursor reads "s=ID;i=NUMBER;b=BOOT;m=MONOTONIC;t=MICROSECONDS;x=HASH", numbers hexadecimal.
func parseCursor(cursor []byte) (id []byte, n uint64, at int64, ok bool) {
	for part := range bytes.SplitSeq(cursor, []byte(";")) {
		if len(part) < 3 || part[1] != '=' {
			continue
		}
		switch part[0] {
		case 's':
			id = part[2:]
		case 'i':
			v, err := strconv.ParseUint(string(part[2:]), 16, 64)
			n, ok = v, err == nil
		case 't':
			at, _ = strconv.ParseInt(string(part[2:]), 16, 64) // 0 when unreadable: nothing is taken as seen
		}
	}
	return id, n, at, ok && len(id) > 0 && len(id) <= maxID
}

const (
	maxIDs = 64 // of one source
	maxID  = 64 // bytes
)

// positions are the last ones of a source, by sequence. It belongs to one goroutine at a time.
type positions struct {
	Last []position // the one used last stands first
}

// advance notes a record's position. seen says that the record came before; gap is the number of
// records that are missing between it and the one before it.
func (p *positions) advance(id []byte, n uint64, at int64) (seen bool, gap uint64) {
	for i := range p.Last {
		x := &p.Last[i]
		if x.ID != string(id) {
			continue
		}
		// A machine set back to an older snapshot uses its numbers again, at a later time.
		if n <= x.Number && at <= x.Time {
			return true, 0
		}
		if n > x.Number {
			gap = n - x.Number - 1
		}
		x.Number, x.Time = n, at
		if i > 0 {
			p.Last[0], p.Last[i] = p.Last[i], p.Last[0]
		}
		return false, gap
	}
	x := position{string(id), n, at}
	if len(p.Last) < maxIDs {
		p.Last = append(p.Last, x)
	}
	copy(p.Last[1:], p.Last)
	p.Last[0] = x
	return false, 0
}
