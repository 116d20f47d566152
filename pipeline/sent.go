package pipeline

// remembered is how many last lines of a source are known again when a sender repeats them.
const remembered = 4096

// sentLine is what is known of equal lines.
type sentLine struct {
	sum   uint64
	from  *connection // that brought the last of them
	times uint16      // how many there are, without repetitions
	owed  uint16      // how many of them the connection may still repeat
	after uint16      // the next line of the bucket: its place in the ring and one; 0: none
}

// sentLines are the last lines by their hashes, a chain a bucket. A new one takes the place of the
// oldest. The zero value is empty.
type sentLines struct {
	ring    []sentLine
	oldest  int      // in ring, once it is full
	buckets []uint16 // the first line of each: its place in the ring and one; 0: none
}

func (s *sentLines) bucket(sum uint64) *uint16 { return &s.buckets[sum%uint64(len(s.buckets))] }

// find returns the line of that hash, nil when it is not known. It is valid until the next add.
func (s *sentLines) find(sum uint64) *sentLine {
	if s.ring == nil {
		return nil
	}
	for at := *s.bucket(sum); at != 0; {
		l := &s.ring[at-1]
		if l.sum == sum {
			return l
		}
		at = l.after
	}
	return nil
}

// add takes in a line that is not known, and forgets the oldest for it. It is valid until the next
// add.
func (s *sentLines) add(sum uint64) *sentLine {
	if s.ring == nil {
		s.ring = make([]sentLine, 0, remembered)
		s.buckets = make([]uint16, 2*remembered)
	}
	at := len(s.ring)
	if at < remembered {
		s.ring = s.ring[:at+1]
	} else {
		at = s.oldest
		s.oldest = (at + 1) % remembered
		s.unlink(at)
	}
	b := s.bucket(sum)
	l := &s.ring[at]
	*l = sentLine{sum: sum, after: *b}
	*b = uint16(at + 1)
	return l
}

// unlink takes the line at that place out of its bucket.
func (s *sentLines) unlink(at int) {
	link := s.bucket(s.ring[at].sum)
	for int(*link) != at+1 {
		link = &s.ring[*link-1].after
	}
	*link = s.ring[at].after
}
