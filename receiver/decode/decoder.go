package decode

import (
	"bytes"
	"math"
	"time"
)

// MaxRepeat is the largest count that is believed of "message repeated N times".
const MaxRepeat = 1_000_000

const maxPRI = 191 // RFC 5424 section 6.2.1

// Decoder decodes frames. It keeps the last stamp it computed and belongs to one goroutine.
type Decoder struct {
	loc  *time.Location
	last stampCache
}

// New returns a Decoder that reads stamps without a zone in loc; nil means time.Local.
func New(loc *time.Location) *Decoder {
	if loc == nil {
		loc = time.Local
	}
	return &Decoder{loc: loc, last: stampCache{hour: math.MinInt64}}
}

// Decode reads one frame into m, which is overwritten. It never fails and allocates nothing.
// The slices of m point into the frame. received chooses the year of a stamp without one.
func (d *Decoder) Decode(frame []byte, received time.Time, m *Message) {
	m.reset()
	pri, p := priority(frame)
	if p == 0 {
		m.Text = frame
		m.Malformed = len(frame) > 1 && frame[0] == '<' && isDigit(frame[1]) || hasNUL(frame)
		return
	}
	m.Facility, m.Severity = int8(pri>>3), int8(pri&7)
	m.Malformed = hasNUL(frame)
	if len(frame)-p < 4 || frame[p] != '1' || frame[p+1] != ' ' || !d.rfc5424(frame, p+2, m) {
		d.legacy(frame, p, received, m)
	}
	if len(m.App) > 0 && isDigit(m.App[0]) {
		d.relayedCisco(received, m)
	}
	m.unrepeat()
}

// reset makes m an empty message.
func (m *Message) reset() {
	*m = Message{}
	m.Facility, m.Severity, m.Repeat = -1, -1, 1
}

// priority reads "<PRI>" and returns its value and length; length 0 means there is none.
func priority(b []byte) (pri, n int) {
	if len(b) < 3 || b[0] != '<' {
		return 0, 0
	}
	for i := 1; i < len(b) && i <= 4; i++ {
		c := b[i]
		if c == '>' && i > 1 && pri <= maxPRI {
			return pri, i + 1
		}
		if !isDigit(c) {
			break
		}
		pri = pri*10 + int(c-'0')
	}
	return 0, 0
}

// rfc5424 reads "STAMP HOST APP PROCID MSGID SD[ TEXT]" from b[p:], at least two bytes behind
// version 1. It returns false, and leaves m alone, when the header is not complete up to the
// beginning of its structured data.
func (d *Decoder) rfc5424(b []byte, p int, m *Message) bool {
	var st stamp
	stampOK := true
	if b[p] == '-' && b[p+1] == ' ' {
		p += 2
	} else if n := iso(b[p:], d.loc, &st); n > 0 && p+n < len(b) && b[p+n] == ' ' {
		p += n + 1
	} else {
		i := bytes.IndexByte(b[p:], ' ')
		if i <= 0 {
			return false
		}
		p += i + 1
		stampOK = false
	}
	var field [4][]byte
	for i := range field {
		n := bytes.IndexByte(b[p:], ' ')
		if n <= 0 {
			return false
		}
		if n > 1 || b[p] != '-' {
			field[i] = b[p : p+n]
		}
		p += n + 1
	}
	if p == len(b) || b[p] != '-' && b[p] != '[' || b[p] == '-' && p+1 < len(b) && b[p+1] != ' ' {
		return false
	}

	m.Form = RFC5424
	m.Malformed = m.Malformed || !stampOK
	m.Stamp, m.ZoneGuessed = st.at, st.guessed
	m.Hostname, m.App, m.ProcID, m.MsgID = field[0], field[1], field[2], field[3]
	if b[p] == '-' {
		p++
	} else {
		n, clean := checkSD(b[p:])
		m.Malformed = m.Malformed || !clean
		if n == 0 {
			m.Text = b[p:]
			return true
		}
		m.SD = b[p : p+n]
		p += n
	}
	m.Text = text5424(b[p:])
	return true
}

var bom = []byte{0xEF, 0xBB, 0xBF}

// text5424 strips what stands between structured data and text: the separating space, the space
// that rsyslog's templates put in front of a 3164 text, and the BOM.
func text5424(b []byte) []byte {
	for range 2 {
		if len(b) > 0 && b[0] == ' ' {
			b = b[1:]
		}
		if len(b) > 2 && b[0] == 0xEF {
			b = bytes.TrimPrefix(b, bom)
		}
	}
	return b
}

// legacy reads everything that is not RFC 5424, from behind the PRI.
func (d *Decoder) legacy(b []byte, p int, received time.Time, m *Message) {
	if len(b)-p > 2 && b[p] == '1' && b[p+1] == ' ' && startsISO(b[p+2:]) {
		p += 2 // a version, but no header of RFC 5424 behind it
		m.Malformed = true
	}
	if bytes.HasPrefix(b[p:], bom) {
		p += len(bom)
	}
	q := skipSpaces(b, p) // Go's log/syslog family writes one space behind the PRI
	var st stamp
	if n := d.zonedStamp(b[q:], received, &st); n > 0 {
		m.Form = st.form
		m.Stamp, m.ZoneGuessed = st.at, st.guessed
		m.header(b, q+n)
		return
	}
	if d.cisco(b, q, received, m) {
		return
	}
	m.Form = Bare
	m.bare(b, p)
}

// unrepeat unwraps "message repeated N times: [ TEXT]".
func (m *Message) unrepeat() {
	const head, mid = "message repeated ", " times: ["
	t := m.Text
	if len(t) < len(head)+1+len(mid)+1 || t[0] != 'm' || string(t[:len(head)]) != head || t[len(t)-1] != ']' {
		return
	}
	n, i := 0, len(head)
	for ; i < len(t) && isDigit(t[i]); i++ {
		n = min(n*10+int(t[i]-'0'), MaxRepeat)
	}
	if n == 0 || len(t)-i < len(mid)+1 || string(t[i:i+len(mid)]) != mid {
		return
	}
	t = t[i+len(mid) : len(t)-1]
	if len(t) > 0 && t[0] == ' ' {
		t = t[1:]
	}
	m.Text, m.Repeat = t, n
}

func isDigit(c byte) bool { return c-'0' <= 9 }

func hasNUL(b []byte) bool { return bytes.IndexByte(b, 0) >= 0 }

func skipSpaces(b []byte, p int) int {
	for p < len(b) && b[p] == ' ' {
		p++
	}
	return p
}
