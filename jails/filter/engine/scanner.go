package engine

import "strings"

// Scanner finds in one pass which of many literal sets occur in a line. It ignores the case of
// ASCII letters. It is immutable and may be used by many goroutines.
type Scanner struct{ sets [][]string }

// NewScanner builds a Scanner. An empty set counts as always present.
func NewScanner(sets [][]string) *Scanner { return &Scanner{sets: sets} }

// Words returns the length that Scan's hits must have.
func (s *Scanner) Words() int { return (len(s.sets) + 63) / 64 }

// Scan overwrites hits: bit i is set when a literal of set i occurs in the line, or set i is empty.
func (s *Scanner) Scan(line []byte, hits []uint64) {
	clear(hits[:s.Words()])
	low := strings.ToLower(string(line))
	for i, set := range s.sets {
		ok := len(set) == 0
		for _, l := range set {
			ok = ok || strings.Contains(low, strings.ToLower(l))
		}
		if ok {
			hits[i/64] |= 1 << (i % 64)
		}
	}
}
