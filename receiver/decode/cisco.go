package decode

import (
	"bytes"
	"time"
)

// cisco reads what IOS and NX-OS put between PRI and mnemonic:
//
//	[SEQ: ][HOST: ][SEQ: ][*|.][STAMP|UPTIME][ ZONE]: %FAC-SEV-MNEMONIC: TEXT
//
// It returns false, and leaves m alone, when there is no mnemonic in that place.
func (d *Decoder) cisco(b []byte, p int, received time.Time, m *Message) bool {
	p = sequence(b, p)
	var host []byte
	if n := hostLen(b[p:]); n > 1 && b[p+n-1] == ':' && b[p] != '%' && uptime(b[p:]) == 0 {
		host = b[p : p+n-1]
		p = sequence(b, p+n+1)
	}
	var st stamp
	p, n := d.ciscoClock(b, p, received, &st)
	if n == 0 {
		return false
	}
	m.Form = Bare
	if st.n > 0 {
		m.Form = st.form
	}
	m.Stamp, m.ZoneGuessed = st.at, st.guessed
	m.Hostname, m.App, m.Text = host, b[p:p+n], b[p:]
	return true
}

// ciscoClock skips "[*|.][STAMP|UPTIME][ ZONE]: " and returns where the mnemonic begins, and its
// length: 0 without one.
func (d *Decoder) ciscoClock(b []byte, p int, received time.Time, st *stamp) (at, n int) {
	if p < len(b) && (b[p] == '*' || b[p] == '.') {
		p++
	}
	if n := d.zonedStamp(b[p:], received, st); n > 0 {
		p += n
	} else {
		p += uptime(b[p:])
	}
	if p < len(b) && b[p] == ':' {
		p++
	}
	p = skipSpaces(b, p)
	return p, mnemonic(b[p:])
}

// relayedCisco repairs what a relay made of "45: *Mar  1 18:46:11.123: %SYS-5-CONFIG_I: …": it took
// the sequence number for the TAG. The relay's stamp is kept.
func (d *Decoder) relayedCisco(received time.Time, m *Message) {
	if _, n := number(m.App, maxSequence); n != len(m.App) || m.ProcID != nil {
		return
	}
	var st stamp
	if p, n := d.ciscoClock(m.Text, skipSpaces(m.Text, 0), received, &st); n > 0 {
		m.App, m.Text = m.Text[p:p+n], m.Text[p:]
	}
}

// maxSequence is the most digits that a sequence number has.
const maxSequence = 12

// sequence skips "45: ", "000045: " or ": ".
func sequence(b []byte, p int) int {
	_, n := number(b[p:], maxSequence)
	i := p + n
	if i == len(b) || b[i] != ':' || n > 0 && i+1 < len(b) && b[i+1] != ' ' {
		return p
	}
	return skipSpaces(b, i+1)
}

// zonedStamp reads a stamp and the name of a zone that Cisco may put behind it. Of the names only
// UTC and GMT are believed.
func (d *Decoder) zonedStamp(b []byte, received time.Time, st *stamp) int {
	n := d.stamp(b, received, nearest, d.loc, st)
	if n == 0 {
		return 0
	}
	zone, utc := ciscoZone(b[n:])
	if utc {
		d.stamp(b, received, nearest, time.UTC, st)
		st.guessed = false
	}
	return n + zone
}

// ciscoZone skips " UTC" between a stamp and ": %", and says whether it names UTC.
func ciscoZone(b []byte) (n int, utc bool) {
	if len(b) < 6 || b[0] != ' ' || b[1] < 'A' || b[1] > 'Z' {
		return 0, false
	}
	i := 1
	for i < len(b) && i < 7 && 'A' <= b[i] && b[i] <= 'Z' {
		i++
	}
	if !bytes.HasPrefix(b[i:], []byte(": %")) {
		return 0, false
	}
	return i, string(b[1:i]) == "UTC" || string(b[1:i]) == "GMT"
}

// uptime skips "1w2d", "3d04h" or "00:00:46", which IOS writes before its clock is set.
func uptime(b []byte) int {
	if len(b) > 8 && clock(b) >= 0 && b[8] == ':' {
		return 8
	}
	i := 0
	for i < len(b) && i < 16 && (isDigit(b[i]) || i > 0 && (b[i] == 'y' || b[i] == 'w' || b[i] == 'd' || b[i] == 'h')) {
		i++
	}
	if i < 2 || i == len(b) || b[i] != ':' || isDigit(b[i-1]) {
		return 0
	}
	return i
}

// mnemonic returns the length of the "%FAC[-SUBFAC]-SEV-MNEMONIC" that b begins with, or 0. A
// colon follows it.
func mnemonic(b []byte) int {
	if len(b) < 8 || b[0] != '%' {
		return 0
	}
	severity := false
	for i := 1; i < len(b) && i <= maxTag; i++ {
		c := b[i]
		switch {
		case c == '-':
			if i > 1 && i+2 < len(b) && b[i+1]-'0' <= 7 && b[i+2] == '-' {
				severity = true
			}
		case 'A' <= c && c <= 'Z' || isDigit(c) || c == '_' || 'a' <= c && c <= 'z' || c == '/':
		case c == ':' && severity:
			return i
		default:
			return 0
		}
	}
	return 0
}
