package decode

import "time"

// Form says which branch of the decoder understood a line.
type Form uint8

// The forms.
const (
	Unknown Form = iota // no PRI: all of it is text
	RFC5424
	RFC3164 // BSD stamp, also with a year, and Cisco's marks and sequence numbers
	ISO     // RFC 3339 stamp in a 3164 frame
	Bare    // PRI, then no stamp that could be read
	Journal // journal export format
	File    // a line of a file, without PRI
)

var formNames = [...]string{"unknown", "rfc5424", "rfc3164", "iso", "bare", "journal", "file"}

// Forms is the number of forms: an array of counters by form has this length.
const Forms = len(formNames)

// String returns the form's name in reports and metrics.
func (f Form) String() string { return formNames[f] }

// Message is what a frame says. Its slices point into the frame. Hostname, App, ProcID, MsgID
// and Stamp are claims: shown, never trusted.
type Message struct {
	Form        Form
	Facility    int8      // -1 without PRI
	Severity    int8      // -1 without PRI
	Stamp       time.Time // the claimed time, in UTC; zero without one
	ZoneGuessed bool      // Stamp had no zone and was read in the decoder's location
	Malformed   bool      // a PRI above 191, a NUL, broken or ambiguous structured data; the text is whole

	Hostname []byte
	App      []byte // APP-NAME, or TAG without its PID; see the package comment
	ProcID   []byte
	MsgID    []byte
	SD       []byte // RFC 5424 structured data as it came, without the nil "-"; nil when broken
	Text     []byte // the message; never loses a byte to the header
	Repeat   int    // 1, or N of "message repeated N times: [...]", Text being the inner one; at most MaxRepeat
}
