package dates

import "time"

// Memory gives a time to lines whose date is missing, from the lines before them. The zero Memory
// has seen no line. It belongs to one reader of one file.
type Memory struct{ last time.Time }

// maxAge is how far the last date may lie behind the clock to stand in for a missing one.
const maxAge = time.Minute

// Time returns when a line was written: at, as Find returned it, or where that is zero the last
// date seen, unless it lies more than a minute behind now; else now.
func (m *Memory) Time(at, now time.Time) time.Time {
	if !at.IsZero() {
		m.last = at
		return at
	}
	if !m.last.IsZero() && now.Sub(m.last) < maxAge {
		return m.last
	}
	return now
}
