package pipeline

// remembered is how many last lines of a source are known again when a sender repeats them.
const remembered = 4096

// sentLines are the last lines of a source by their hashes. The zero value is empty.
//
// While one connection brings all lines, as most senders do, they are only noted one after the other:
// none can be a repetition of another connection's. The index is made when a second connection brings
// its first line, and is let go of when one alone has brought all that is remembered.
type sentLines struct {
	ring   []uint64 // the last lines
	oldest int      // in ring, once it is full

	last  *connection // that brought the last line; all of them, where index is nil
	run   int         // how many it has brought since another did
	index *sentIndex
}

// alone reports whether no other connection's line is known.
func (s *sentLines) alone(c *connection) bool {
	return s.index == nil && (s.last == nil || s.last == c)
}

// of returns what is known of lines of that hash, from c if there were none. It is valid until the next
// call.
func (s *sentLines) of(sum uint64, c *connection) *sentLine {
	if s.index == nil {
		s.index = &sentIndex{}
		for i := range s.ring {
			l := s.index.of(s.ring[(s.oldest+i)%len(s.ring)], s.last)
			l.count()
		}
	}
	return s.index.of(sum, c)
}

// note takes in a line that c brought, and forgets the oldest for it.
func (s *sentLines) note(sum uint64, c *connection) {
	if len(s.ring) < remembered {
		s.ring = append(s.ring, sum)
	} else {
		s.ring[s.oldest] = sum
		s.oldest = (s.oldest + 1) % remembered
	}
	if c != s.last {
		s.last, s.run = c, 0
	}
	if s.run++; s.run >= remembered {
		s.index = nil
	}
}
