package decode

import (
	"bytes"
	"time"
)

// DecodeLine reads a line of a file, without its newline, and reports whether it begins with a
// syslog header: a PRI, or a stamp and a TAG. Without one all of the line is text. now chooses
// the year of a stamp without one: the latest that is at most one day ahead of now.
//
// Many daemons write stamps of their own, so that a header without PRI is recognised strictly:
// a BSD stamp followed by "[HOST ]TAG:" or "[HOST ]TAG[PID]:", or an ISO stamp with a T followed by
// "HOST TAG:" or "[HOST ]TAG[PID]:", where HOST is not a log level in capitals.
func (d *Decoder) DecodeLine(line []byte, now time.Time, m *Message) bool {
	if _, n := priority(line); n > 0 {
		d.Decode(line, now, m)
		return true
	}
	m.reset()
	m.Form = File
	m.Malformed = hasNUL(line)
	m.Text = line
	var st stamp
	n := d.stamp(line, now, notAhead, d.loc, &st)
	if n == 0 || n == len(line) || line[n] != ' ' || st.form == ISO && line[10] == ' ' {
		return false
	}
	p := skipSpaces(line, n)
	if m.tag(line, p, true) {
		if st.form == ISO && m.ProcID == nil {
			m.App, m.Text = nil, line
			return false
		}
	} else {
		h := hostLen(line[p:])
		if h == 0 || isLevel(line[p:p+h]) || !m.tag(line, p+h+1, true) {
			return false
		}
		m.Hostname = line[p : p+h]
	}
	m.Stamp, m.ZoneGuessed = st.at, st.guessed
	m.unrepeat()
	return true
}

// isLevel reports whether a word is the name of a log level in capitals.
func isLevel(w []byte) bool {
	if len(w) == 0 || w[0] < 'A' || w[0] > 'W' {
		return false
	}
	switch string(bytes.TrimRight(w, ",")) {
	case "TRACE", "DEBUG", "INFO", "NOTICE", "WARN", "WARNING", "ERROR", "ERR", "CRITICAL", "CRIT", "ALERT", "EMERG", "FATAL", "PANIC":
		return true
	}
	return false
}
