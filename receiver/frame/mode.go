package frame

import "fmt"

// Mode says how a stream is cut into frames.
type Mode uint8

// The modes.
const (
	Auto  Mode = iota // latched by the first octet: a digit means Octet, anything else LF
	Octet             // RFC 6587 section 3.4.1, octet counting
	LF                // RFC 6587 section 3.4.2: LF, CRLF and NUL end a frame
)

// String returns the mode's name in the configuration.
func (m Mode) String() string {
	switch m {
	case Octet:
		return "octet"
	case LF:
		return "lf"
	}
	return "auto"
}

// ParseMode reads a mode's name: auto, octet or lf. The empty string is auto.
func ParseMode(s string) (Mode, error) {
	switch s {
	case "", "auto":
		return Auto, nil
	case "octet":
		return Octet, nil
	case "lf":
		return LF, nil
	}
	return Auto, fmt.Errorf("framing %q: must be auto, octet or lf", s)
}
