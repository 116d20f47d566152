package decode

import "time"

// Decoder decodes frames. It belongs to one goroutine.
type Decoder struct {
	loc *time.Location
}

// New returns a Decoder that reads stamps without a zone in loc; nil means time.Local.
func New(loc *time.Location) *Decoder {
	if loc == nil {
		loc = time.Local
	}
	return &Decoder{loc: loc}
}

// Decode reads one frame into m, which is overwritten. It never fails. The slices of m point
// into the frame. received chooses the year of a stamp without one.
func (d *Decoder) Decode(frame []byte, received time.Time, m *Message) {
	*m = Message{Facility: -1, Severity: -1, Repeat: 1, Text: frame}
}

// DecodeLine reads a line of a file and reports whether it begins with a syslog header.
func (d *Decoder) DecodeLine(line []byte, now time.Time, m *Message) bool {
	d.Decode(line, now, m)
	m.Form = File
	return false
}

// Param appends the unescaped value of one parameter of structured data to dst, and reports
// whether it is there.
func Param(sd []byte, id, name string, dst []byte) ([]byte, bool) {
	return dst, false
}
