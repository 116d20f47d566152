package dates

import "bytes"

// marks is what a line shows at a glance: enough to know of most templates that they find nothing
// in it.
type marks struct {
	clock  bool    // a colon stands before a digit
	first  int     // where the first such colon is
	any    bool    // what stands before hours is not known
	hours  [8]byte // what stands before one or two digits, a colon and a digit
	n      int     // of hours
	run    int     // the longest run of digits, when counts is set
	counts bool
}

// read looks at the colons of a line.
func (m *marks) read(line []byte) {
	for at := 0; ; {
		i := bytes.IndexByte(line[at:], ':')
		if i < 0 || at+i+1 >= len(line) {
			return
		}
		at += i + 1
		if !isDigit(line[at]) {
			continue
		}
		if !m.clock {
			m.clock, m.first = true, at-1
		}
		before := at - 2
		for before >= 0 && at-1-before <= 2 && isDigit(line[before]) {
			before--
		}
		switch digits := at - 2 - before; {
		case digits == 0 && (before < 0 || line[before] < 0x80), digits > 2:
		case before < 0:
		default:
			m.note(line[before])
		}
	}
}

// note remembers a byte before an hour.
func (m *marks) note(c byte) {
	switch {
	case c >= 0x80 || m.n == len(m.hours): // a digit of another script, or one colon too many
		m.any = true
	case bytes.IndexByte(m.hours[:m.n], c) < 0:
		m.hours[m.n] = c
		m.n++
	}
}

// allow reports whether a template may match the line that was read.
func (m *marks) allow(t *template, line []byte) bool {
	if t.clock && (!m.clock || t.soon > 0 && m.first > t.soon) {
		return false
	}
	if t.hour != nil && !m.any && !m.after(t.hour) {
		return false
	}
	return t.run <= 4 || m.digits(line) >= t.run
}

func (m *marks) after(set *[256]bool) bool {
	for _, c := range m.hours[:m.n] {
		if set[c] {
			return true
		}
	}
	return false
}

// digits returns the length of the longest run of digits; a line with bytes beyond ASCII may have
// any number.
func (m *marks) digits(line []byte) int {
	if m.counts {
		return m.run
	}
	m.counts = true
	run := 0
	for _, c := range line {
		switch {
		case isDigit(c):
			run++
			m.run = max(m.run, run)
		case c >= 0x80:
			m.run = len(line)
			return m.run
		default:
			run = 0
		}
	}
	return m.run
}
