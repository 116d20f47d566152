package decode

import (
	"encoding/binary"
	"time"
)

// stamp is a stamp that was read.
type stamp struct {
	at      time.Time // in UTC
	n       int       // its length in bytes
	form    Form      // RFC3164 or ISO
	guessed bool      // it had no zone
}

// yearRule says how the year of a stamp without one is chosen.
type yearRule uint8

const (
	nearest  yearRule = iota // nearest to the time of receipt
	notAhead                 // the latest that is at most a day ahead of now
)

// stampCache remembers the last BSD stamp: most lines of a busy second share it.
type stampCache struct {
	head, tail uint64 // its bytes 0 to 7 and 7 to 14
	hour       int64  // of receipt
	rule       yearRule
	at         time.Time // in UTC
}

const bsdLen = len("Jan _2 15:04:05")

// stamp reads a BSD or ISO stamp at the beginning of b and returns its length, 0 without one. A
// stamp without a zone is read in loc.
func (d *Decoder) stamp(b []byte, received time.Time, rule yearRule, loc *time.Location, st *stamp) int {
	if len(b) < bsdLen-1 {
		return 0
	}
	if !isDigit(b[0]) {
		return d.bsd(b, received, rule, loc, st)
	}
	if n := iso(b, loc, st); n > 0 {
		if n < len(b) && b[n] != ' ' && b[n] != ':' {
			return 0
		}
		return n
	}
	return yearFirst(b, loc, st)
}

// bsd reads "Mmm dd hh:mm:ss", also with a year behind the day and with a fraction, in loc.
func (d *Decoder) bsd(b []byte, received time.Time, rule yearRule, loc *time.Location, st *stamp) int {
	hour := floorHour(received)
	var head, tail uint64
	canonical := len(b) >= bsdLen
	if canonical {
		head, tail = binary.LittleEndian.Uint64(b), binary.LittleEndian.Uint64(b[bsdLen-8:])
		if c := &d.last; head == c.head && tail == c.tail && hour == c.hour && rule == c.rule && loc == d.loc {
			return st.finishBSD(b, bsdLen, c.at)
		}
	}
	month := monthOf(b)
	if month == 0 || b[3] != ' ' {
		return 0
	}
	p := skipSpaces(b, 3)
	day, n := number(b[p:], 2)
	if n == 0 || p-3 > 2 {
		return 0
	}
	p += n
	if p == len(b) || b[p] != ' ' {
		return 0
	}
	p = skipSpaces(b, p)
	year, n := number(b[p:], 4)
	hasYear := n == 4 && p+4 < len(b) && b[p+4] == ' '
	if hasYear {
		p = skipSpaces(b, p+4)
	}
	sod := clock(b[p:])
	if sod < 0 {
		return 0
	}
	p += 8
	if !hasYear {
		var ok bool
		if year, ok = chooseYear(month, day, sod, hour, rule, loc); !ok {
			return 0
		}
	} else if day < 1 || day > daysIn(year, month) {
		return 0
	}
	at := time.Date(year, month, day, 0, 0, sod, 0, loc).UTC()
	if canonical && p == bsdLen && loc == d.loc {
		d.last = stampCache{head, tail, hour, rule, at}
	}
	return st.finishBSD(b, p, at)
}

// finishBSD reads a fraction behind the stamp of n bytes and fills st.
func (st *stamp) finishBSD(b []byte, n int, at time.Time) int {
	if n+1 < len(b) && b[n] == '.' && isDigit(b[n+1]) {
		nsec, f := fraction(b[n+1:])
		at = at.Add(time.Duration(nsec))
		n += 1 + f
	}
	if n < len(b) && b[n] != ' ' && b[n] != ':' {
		return 0
	}
	st.at, st.n, st.form, st.guessed = at, n, RFC3164, true
	return n
}

// yearFirst reads NX-OS's "yyyy Mmm dd hh:mm:ss".
func yearFirst(b []byte, loc *time.Location, st *stamp) int {
	year, n := number(b, 4)
	if n != 4 || len(b) < 5+bsdLen || b[4] != ' ' {
		return 0
	}
	month := monthOf(b[5:])
	p := skipSpaces(b, 8)
	day, n := number(b[p:], 2)
	if month == 0 || n == 0 || day < 1 || day > daysIn(year, month) || p+n+9 > len(b) || b[p+n] != ' ' {
		return 0
	}
	p += n + 1
	sod := clock(b[p:])
	if sod < 0 {
		return 0
	}
	return st.finishBSD(b, p+8, time.Date(year, month, day, 0, 0, sod, 0, loc).UTC())
}

// chooseYear returns the year of a stamp without one. hour is the hour of receipt since 1970.
func chooseYear(month time.Month, day, sod int, hour int64, rule yearRule, loc *time.Location) (int, bool) {
	now := hour * 3600
	y := time.Unix(now, 0).In(loc).Year()
	best, bestGap, found := 0, int64(0), false
	// 29 February may be eight years away, around 1900 and 2100.
	for _, reach := range [...]int{1, 8} {
		for year := y - reach; year <= y+reach; year++ {
			if day < 1 || day > daysIn(year, month) {
				continue
			}
			gap := time.Date(year, month, day, 0, 0, sod, 0, loc).Unix() - now
			if rule == notAhead && gap > 25*3600 { // one day, and the hour that now was cut to
				continue
			}
			gap = max(gap, -gap)
			if !found || gap < bestGap {
				best, bestGap, found = year, gap, true
			}
		}
		if found {
			break
		}
	}
	return best, found
}

// floorHour returns the hours since 1970 of t.
func floorHour(t time.Time) int64 {
	s := t.Unix()
	if s < 0 {
		s -= 3599
	}
	return s / 3600
}

// clock reads "hh:mm:ss" and returns the second of the day, -1 without one. A leap second is taken.
func clock(b []byte) int {
	if len(b) < 8 || b[2] != ':' || b[5] != ':' {
		return -1
	}
	h, m, s := two(b), two(b[3:]), two(b[6:])
	if h < 0 || h > 23 || m < 0 || m > 59 || s < 0 || s > 60 {
		return -1
	}
	return h*3600 + m*60 + s
}

// two reads two digits, -1 without them.
func two(b []byte) int {
	hi, lo := b[0]-'0', b[1]-'0'
	if hi > 9 || lo > 9 {
		return -1
	}
	return int(hi)*10 + int(lo)
}

// number reads up to limit digits and returns their value and count.
func number(b []byte, limit int) (v, n int) {
	for n < len(b) && n < limit && isDigit(b[n]) {
		v = v*10 + int(b[n]-'0')
		n++
	}
	return v, n
}

// fraction reads the digits behind a decimal point: nanoseconds, and how many digits there were.
func fraction(b []byte) (nsec, n int) {
	scale := 100_000_000
	for n < len(b) && isDigit(b[n]) {
		nsec += int(b[n]-'0') * scale
		scale /= 10
		n++
	}
	return nsec, n
}

// monthOf reads an English month's abbreviation, 0 without one.
func monthOf(b []byte) time.Month {
	if len(b) < 3 {
		return 0
	}
	switch string(b[:3]) {
	case "Jan":
		return time.January
	case "Feb":
		return time.February
	case "Mar":
		return time.March
	case "Apr":
		return time.April
	case "May":
		return time.May
	case "Jun":
		return time.June
	case "Jul":
		return time.July
	case "Aug":
		return time.August
	case "Sep":
		return time.September
	case "Oct":
		return time.October
	case "Nov":
		return time.November
	case "Dec":
		return time.December
	}
	return 0
}

// daysIn returns the number of days of a month.
func daysIn(year int, month time.Month) int {
	switch month {
	case time.April, time.June, time.September, time.November:
		return 30
	case time.February:
		if year%4 == 0 && (year%100 != 0 || year%400 == 0) {
			return 29
		}
		return 28
	}
	return 31
}
