package decode

import "time"

const isoLen = len("2006-01-02T15:04:05")

// startsISO reports whether b begins like an ISO 8601 date.
func startsISO(b []byte) bool {
	return len(b) >= isoLen && b[4] == '-' && b[7] == '-' && isDigit(b[0])
}

// iso reads an ISO 8601 stamp at the beginning of b and returns its length, 0 without one: T or a
// space between date and clock, a fraction behind a point or a comma, and Z, +hh:mm, +hhmm, +hh
// or nothing as its zone, which means loc.
func iso(b []byte, loc *time.Location, st *stamp) int {
	if !startsISO(b) {
		return 0
	}
	if c := b[10]; c != 'T' && c != 't' && c != ' ' {
		return 0
	}
	century, yy, month, day := two(b), two(b[2:]), two(b[5:]), two(b[8:])
	sod := clock(b[11:])
	if century < 0 || yy < 0 || month < 1 || month > 12 || sod < 0 {
		return 0
	}
	year := century*100 + yy
	if day < 1 || day > daysIn(year, time.Month(month)) {
		return 0
	}
	n, nsec := isoLen, 0
	if n+1 < len(b) && (b[n] == '.' || b[n] == ',') && isDigit(b[n+1]) {
		var f int
		nsec, f = fraction(b[n+1:])
		n += 1 + f
	}
	st.form = ISO
	if zone, offset := isoZone(b[n:]); zone > 0 {
		sec := time.Date(year, time.Month(month), day, 0, 0, sod, 0, time.UTC).Unix() - int64(offset)
		st.at, st.guessed = time.Unix(sec, int64(nsec)).UTC(), false
		n += zone
	} else {
		st.at, st.guessed = time.Date(year, time.Month(month), day, 0, 0, sod, nsec, loc).UTC(), true
	}
	st.n = n
	return n
}

// isoZone reads a zone: its length, 0 without one, and its offset in seconds east of UTC.
func isoZone(b []byte) (n, offset int) {
	if len(b) == 0 {
		return 0, 0
	}
	switch b[0] {
	case 'Z', 'z':
		return 1, 0
	case '+', '-':
	default:
		return 0, 0
	}
	if len(b) < 3 {
		return 0, 0
	}
	h, m := two(b[1:]), 0
	n = 3
	switch {
	case len(b) >= 6 && b[3] == ':':
		m, n = two(b[4:]), 6
	case len(b) >= 5 && isDigit(b[3]):
		m, n = two(b[3:]), 5
	}
	if h < 0 || h > 23 || m < 0 || m > 59 {
		return 0, 0
	}
	offset = h*3600 + m*60
	if b[0] == '-' {
		offset = -offset
	}
	return n, offset
}
