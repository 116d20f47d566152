// Package engine compiles patterns in the syntax of Python's re, as fail2ban's filters use it,
// and searches lines with them. A Regexp is immutable and may be used by many goroutines; a
// Machine is the scratch memory of one.
package engine

import (
	"errors"
	"fmt"
	"regexp"
	"strings"
)

// ErrBudget says that a search was given up because it needed more steps than it may take.
// The caller counts it: the line was not judged.
var ErrBudget = errors.New("engine: step budget spent")

// Error is a fault of a pattern.
type Error struct {
	Pattern string
	Offset  int // byte offset in Pattern of the faulty place
	Msg     string
}

// Error returns the message with the offset.
func (e *Error) Error() string { return fmt.Sprintf("pattern at offset %d: %s", e.Offset, e.Msg) }

// Options says how a pattern is compiled.
type Options struct {
	Multiline bool // ^ and $ also match at line ends inside the subject (Python's re.MULTILINE)
	FoldCase  bool // as if the pattern began with (?i)
	// NoNewline means that the subject is all there is. Otherwise the subject is a line whose
	// final newline was cut, and the search behaves as if it still stood there.
	NoNewline bool
}

// Regexp is a compiled pattern. It is immutable.
type Regexp struct {
	pattern string
	re      *regexp.Regexp
	opt     Options
}

// Compile compiles a pattern. The error is an *Error.
func Compile(pattern string, o Options) (*Regexp, error) {
	p := strings.ReplaceAll(pattern, "|(?<=:)", "|")
	flags := ""
	if o.Multiline {
		flags += "m"
	}
	if o.FoldCase {
		flags += "i"
	}
	if flags != "" {
		p = "(?" + flags + ")" + p
	}
	re, err := regexp.Compile(p)
	if err != nil {
		return nil, &Error{Pattern: pattern, Msg: err.Error()}
	}
	return &Regexp{pattern: pattern, re: re, opt: o}, nil
}

// String returns the pattern's source.
func (re *Regexp) String() string { return re.pattern }

// Groups returns the number of capturing groups.
func (re *Regexp) Groups() int { return re.re.NumSubexp() }

// Names returns the groups' names: the index is the group's number, unnamed ones are empty,
// and index 0 is the whole match. The slice must not be changed.
func (re *Regexp) Names() []string { return re.re.SubexpNames() }

// Literals returns strings of which every match contains at least one, ASCII letters in lower
// case whatever the pattern's case; nil when there is no such set. They are meant for a Scanner.
func (re *Regexp) Literals() []string { return nil }

// Machine is the scratch memory of searches. It belongs to one goroutine and serves any Regexp.
type Machine struct{ _ int }

// NewMachine returns an empty Machine.
func NewMachine() *Machine { return &Machine{} }

// Search looks for the leftmost match, choosing alternatives in Python's order. On success caps,
// if it is not nil, holds offsets in the subject: start and end of the match, then of each group,
// -1 for a group that took no part; its length must be 2*(Groups()+1). The only error is
// ErrBudget.
func (m *Machine) Search(re *Regexp, subject []byte, caps []int) (bool, error) {
	loc := re.re.FindSubmatchIndex(subject)
	if loc == nil {
		return false, nil
	}
	copy(caps, loc)
	return true, nil
}
