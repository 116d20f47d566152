package filter

import "fmt"

// Spec is a filter before compilation, from whatever source: written inline in a jail, from the
// catalogue, or read from a fail2ban filter file. A Spec is only read by Compile.
//
// A filter is either a list of regular expressions in fail2ban's form (FailRegex) or a list of
// native patterns (Patterns), never both.
type Spec struct {
	Name   string   // shown in errors and used as the family of its app names
	Title  string   // one line for people; may be empty
	Apps   []string // app names or globs that the filter listens to; empty or "*": all
	Device bool     // devices write the lines: "*" stands for all apps but the known programs of Unix hosts
	Origin Origin   // what a jail demands of the writer unless it says otherwise

	// The regular expressions have Python's syntax and fail2ban's tags (<HOST>, <F-USER>, ...).
	FailRegex   []string
	IgnoreRegex []string
	PrefRegex   string
	MaxLines    int   // above 1: the patterns see the last MaxLines lines joined; at most MaxMaxLines
	Unproven    bool  // one spoofed packet can make the daemon write what FailRegex matches
	Form        *Form // nil: patterns see Line.Text
	Names       bool  // <HOST> also matches host names; they become Match.ID and are never looked up

	Patterns []Pattern
	Facility []int8 // syslog facilities that a line may have; empty: any. An unknown one (-1) passes
	Join     Join   // how lines of one connection are joined, for native patterns
	Cut      int    // native patterns: the daemon may have cut a text of so many bytes; 0: it cuts none
}

// MaxMaxLines is the highest MaxLines that Compile accepts.
const MaxMaxLines = 100

// Origin is what a filter expects of the process that wrote a line. Empty parts demand nothing.
type Origin struct {
	UID  []uint32 // numeric user ids, where the transport proves them
	User []string // user names of this host, to be resolved by whoever checks local writers
	Unit string   // systemd unit
	Exe  string   // path of the program; never meant without UID
}

// Join says what holds the lines of one connection together.
type Join uint8

// The joins.
const (
	JoinNone Join = iota
	JoinPID       // source, host and process id; address and port when the line has no process id
	JoinAddr      // source, host and address: for daemons whose one process serves all clients
)

// Pattern is one native pattern: either Text or Fields says what it recognises.
type Pattern struct {
	Name   string // short name, unique in the filter
	Kind   Kind
	Proof  Proof
	Text   string // in the notation of the catalogue: literal text with {fields}
	Fields *Fields
	Count  Count
	Step   uint8 // of CountEach in a joined filter: see Count

	Facility []int8 // as of a Spec, for this pattern alone
}

// Count says how many attempts a line of a native pattern stands for.
//
// In a filter without Join every CountEach line is one attempt and the others are as well. In a
// joined filter the lines of one connection are looked at together: one attempt may be written
// as several lines, in rising Step order. A CountEach line starts a new attempt if its Step is
// not above the Step of the line before it.
type Count uint8

// The counts.
const (
	CountEach  Count = iota // an attempt of its own ({n}: as many), or a later line (higher Step) of the current one
	CountFirst              // one attempt if the connection has none yet
	CountClose              // one attempt if lines of CountNone went before and none was counted yet
	CountNone               // no attempt; it only says that the connection is trying
	CountMore               // field n: n more attempts happened after the first
	CountTotal              // field n: the connection made n attempts in all and ends; those not counted yet are
)

// Form builds what the patterns of a filter see of a line. Forms with the same Name are taken to
// be the same form: a line is built once for all filters that share it.
type Form struct {
	Name string
	// Build appends the subject, without a final newline, to dst and returns the result. It must
	// not keep the line.
	Build func(dst []byte, line *Line) []byte
	// Original appends the line as an ignoreregex sees it. Nil: the subject.
	Original func(dst []byte, line *Line) []byte
}

// Error is a fault of a Spec.
type Error struct {
	Filter string // the filter's name
	List   string // failregex, ignoreregex, prefregex, pattern, maxlines, apps, fields
	Index  int    // position in the list from 0, -1 when it is no list
	Text   string // the pattern as it was written; empty when the fault is elsewhere
	Offset int    // in bytes into Text, -1 when unknown
	Reason string
}

// Error returns one line: where, what and why.
func (e *Error) Error() string {
	where := e.List
	if e.Index >= 0 {
		where = fmt.Sprintf("%s[%d]", e.List, e.Index)
	}
	if e.Offset >= 0 && e.Text != "" {
		return fmt.Sprintf("filter %q: %s: %s at offset %d of %q", e.Filter, where, e.Reason, e.Offset, e.Text)
	}
	if e.Text != "" {
		return fmt.Sprintf("filter %q: %s: %s in %q", e.Filter, where, e.Reason, e.Text)
	}
	return fmt.Sprintf("filter %q: %s: %s", e.Filter, where, e.Reason)
}

// Caret returns the pattern's text with a second line that points at the fault, or an empty
// string when the position is unknown.
func (e *Error) Caret() string {
	if e.Text == "" || e.Offset < 0 || e.Offset > len(e.Text) {
		return ""
	}
	pad := make([]rune, 0, e.Offset)
	for _, r := range e.Text[:e.Offset] {
		if r == '\t' {
			pad = append(pad, '\t')
			continue
		}
		pad = append(pad, ' ')
	}
	return e.Text + "\n" + string(pad) + "^"
}
