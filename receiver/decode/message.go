// Package decode reads one syslog frame: PRI, header, structured data, text (RFC 3164, RFC 5424
// and what real senders make of them). It never fails: what cannot be read as a header is text,
// and no byte of the message is lost. A Decoder keeps no bytes and belongs to one goroutine.
package decode

import "time"

// Form says which branch of the decoder understood a line.
type Form uint8

// The forms.
const (
	Unknown Form = iota // no PRI: all of it is text
	RFC5424
	RFC3164 // BSD stamp
	ISO     // RFC 3339 stamp in a 3164 frame
	Bare    // PRI, then no stamp that could be read
	Journal // journal export format
	File    // a line of a file
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
	Stamp       time.Time // the claimed time; zero without one
	ZoneGuessed bool      // Stamp had no zone and was read in the decoder's location

	Hostname []byte
	App      []byte // APP-NAME, or TAG without its PID
	ProcID   []byte
	MsgID    []byte
	SD       []byte // RFC 5424 structured data as it came, without the nil "-"
	Text     []byte // the message; never loses a byte to the header
	Repeat   int    // 1, or N of "message repeated N times: [...]", Text being the inner one
}
