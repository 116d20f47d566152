// Package filter recognises failures in log lines.
//
// A Filter is a compiled list of patterns; a Set holds the filters of all jails and looks at a
// line once for all of them. Filters and Sets are immutable and may be shared; a Matcher belongs
// to one goroutine. A line that matches nothing allocates nothing. Matching time is linear in
// the length of the line, whatever the pattern.
package filter

import (
	"net/netip"
	"time"
)

// Line is what a filter sees of one entry. Its bytes are only read, and only during Match.
type Line struct {
	App      []byte // app name; empty when the line has none
	Host     []byte // claimed host name
	PID      []byte
	Whole    []byte    // of a file: the line as it was written, with header and date; else empty
	Text     []byte    // the message without its syslog header, without a final newline
	Time     time.Time // the time at which the line counts
	Facility int8      // -1 when unknown
	Cut      bool      // the end of Text is missing, or may be
	Source   string    // the source's name: part of the key under which ids join lines
}

// Proof says whether an event proves the address that it names.
type Proof uint8

// The proofs, weakest first.
const (
	ProofNone      Proof = iota // one spoofed packet makes the daemon write this line
	ProofChallenge              // a return trip of the protocol
	ProofHandshake              // the client completed a TCP handshake or logged in
)

// String returns the proof's name.
func (p Proof) String() string {
	switch p {
	case ProofChallenge:
		return "challenge"
	case ProofHandshake:
		return "handshake"
	}
	return "none"
}

// Kind says what a match is evidence of.
type Kind uint8

// The kinds.
const (
	Failure Kind = iota
	Success      // a completed login: never counted, it protects the address
)

// Match is one filter's verdict about a line. Strings are copies and may be kept.
type Match struct {
	Filter   int // index in the Set
	Pattern  int // index of the pattern in the filter, from 0
	Kind     Kind
	Addr     netip.Addr // unmapped, without zone; not valid when the filter names an id that is no address
	Bits     int        // prefix length when the pattern names a subnet; else -1
	ID       string     // what is counted when it is no address (F-ID)
	User     string
	Users    []string // of lines joined by an id (F-MLFID): every user that they named, in order, at most 16
	Port     string
	Attempts int // how many failures the match counts for: at least 1
	Lines    int // how many log lines it is made of, where a filter joins lines: at least 1
	Proof    Proof
	Fields   []Field
}

// Field is one further captured value.
type Field struct{ Name, Value string }
