package pipeline

import "math"

// sentLine is what is known of equal lines.
type sentLine struct {
	sum   uint64
	from  *connection // that brought the last of them
	times uint16      // how many there are, without repetitions
	owed  uint16      // how many of them the connection may still repeat
	after uint16      // the next line of the bucket: its place in the ring and one; 0: none
}

func (l *sentLine) count() {
	if l.times < math.MaxUint16 {
		l.times++
	}
}

// sentIndex finds lines by their hashes: a chain a bucket. A new one takes the place of the oldest. The
// zero value is empty.
type sentIndex struct {
	ring    []sentLine
	oldest  int      // in ring, once it is full
	buckets []uint16 // the first line of each: its place in the ring and one; 0: none
}

func (x *sentIndex) bucket(sum uint64) *uint16 { return &x.buckets[sum%uint64(len(x.buckets))] }

// of returns the line of that hash, a new one from c when it is not known. It is valid until the next
// call.
func (x *sentIndex) of(sum uint64, c *connection) *sentLine {
	if x.buckets == nil {
		x.buckets = make([]uint16, 2*remembered)
	}
	for at := *x.bucket(sum); at != 0; {
		l := &x.ring[at-1]
		if l.sum == sum {
			return l
		}
		at = l.after
	}
	at := len(x.ring)
	if at < remembered {
		x.ring = append(x.ring, sentLine{})
	} else {
		at = x.oldest
		x.oldest = (at + 1) % remembered
		x.unlink(at)
	}
	b := x.bucket(sum)
	l := &x.ring[at]
	*l = sentLine{sum: sum, from: c, after: *b}
	*b = uint16(at + 1)
	return l
}

// unlink takes the line at that place out of its bucket.
func (x *sentIndex) unlink(at int) {
	link := x.bucket(x.ring[at].sum)
	for int(*link) != at+1 {
		link = &x.ring[*link-1].after
	}
	*link = x.ring[at].after
}
