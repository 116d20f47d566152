package fail2ban

import "fmt"

// Error is a fault in a file.
type Error struct {
	File   string
	Line   int // from 1; 0 when it is not about one line
	Reason string
}

// Error returns file, line and reason.
func (e *Error) Error() string {
	if e.Line == 0 {
		return fmt.Sprintf("%s: %s", e.File, e.Reason)
	}
	return fmt.Sprintf("%s:%d: %s", e.File, e.Line, e.Reason)
}
