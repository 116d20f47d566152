package engine

import (
	"errors"
	"fmt"
)

// ErrBudget says that a search was given up because it needed more steps or memory than it may
// take. The line was not judged: the caller counts it.
var ErrBudget = errors.New("engine: step budget spent")

// Error is a fault of a pattern.
type Error struct {
	Pattern string
	Offset  int    // byte offset in Pattern of the faulty place
	Msg     string // what is wrong there, and where useful what to write instead
}

// Error returns the message with the offset.
func (e *Error) Error() string { return fmt.Sprintf("pattern at offset %d: %s", e.Offset, e.Msg) }
