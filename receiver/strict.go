package receiver

import (
	"time"

	"gopkg.in/mcuadros/go-syslog.v2/format"

	"stockade/receiver/decode"
)

const (
	leastStrict = 8       // bytes: shorter lines crash the parsers
	mostStrict  = 8 << 10 // bytes: RFC 5425 section 4.3.1 asks for no more
	halfYear    = 183 * 24 * time.Hour
)

// strict reads lines with the parsers of go-syslog, which accept nothing but their RFC. They
// allocate, and they panic on some input. It belongs to one goroutine.
type strict struct {
	format format.Format
	form   decode.Form
}

// newStrict returns nil for the format auto.
func newStrict(name string) *strict {
	switch name {
	case "rfc3164":
		return &strict{&format.RFC3164{}, decode.RFC3164}
	case "rfc5424":
		return &strict{&format.RFC5424{}, decode.RFC5424}
	}
	return nil
}

// decode fills m from a line received now and reports whether the line keeps to the format.
func (s *strict) decode(line []byte, loc *time.Location, now time.Time, m *decode.Message) (ok bool) {
	if len(line) < leastStrict || len(line) > mostStrict || line[0] != '<' {
		return false
	}
	defer func() {
		if recover() != nil {
			ok = false
		}
	}()
	p := s.format.GetParser(line)
	p.Location(loc)
	if p.Parse() != nil {
		return false
	}
	parts := p.Dump()
	text := func(key string) []byte {
		v, _ := parts[key].(string)
		if v == "-" {
			return nil
		}
		return []byte(v)
	}
	facility, _ := parts["facility"].(int)
	severity, _ := parts["severity"].(int)
	if facility > 23 {
		return false
	}
	*m = decode.Message{Form: s.form, Facility: int8(facility), Severity: int8(severity), Repeat: 1} //nolint:gosec // at most 23
	m.Stamp, _ = parts["timestamp"].(time.Time)
	m.Hostname = text("hostname")
	if s.form == decode.RFC3164 {
		m.ZoneGuessed = true
		// The parser takes the current year: in January that puts December in the future.
		if m.Stamp.Sub(now) > halfYear {
			m.Stamp = m.Stamp.AddDate(-1, 0, 0)
		}
		m.App, m.Text = text("tag"), []byte(parts["content"].(string))
		return true
	}
	m.App, m.ProcID, m.MsgID = text("app_name"), text("proc_id"), text("msg_id")
	m.SD, m.Text = text("structured_data"), []byte(parts["message"].(string))
	return true
}
