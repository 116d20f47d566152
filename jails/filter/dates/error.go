package dates

import "fmt"

// Error is a fault of a date pattern.
type Error struct {
	Pattern string
	Offset  int // in bytes into Pattern, -1 when unknown
	Reason  string
}

// Error returns what is wrong and where.
func (e *Error) Error() string {
	if e.Offset < 0 {
		return fmt.Sprintf("date pattern %q: %s", e.Pattern, e.Reason)
	}
	return fmt.Sprintf("date pattern %q: %s at offset %d", e.Pattern, e.Reason, e.Offset)
}
