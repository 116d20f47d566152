package engine

// Scanner finds in one pass which of many literal sets occur in a line. It ignores the case of
// ASCII letters. It is immutable and may be used by many goroutines. A line costs the same time a
// byte whatever the number of sets.
//
// It is the automaton of Aho and Corasick with all failure links resolved into one table over
// classes of bytes. States with output come last, so that one comparison a byte finds them.
type Scanner struct {
	class  [256]uint32 // of a byte
	table  []uint32    // next state, by state and class; states are multiples of stride
	stride uint32
	output uint32   // the first state that has output
	from   []uint32 // marks of output state i are marks[from[i]:from[i+1]]
	marks  []mark
	always []uint64
}

// mark is some bits of one word of the hits.
type mark struct {
	word int
	bits uint64
}

// trie is the automaton while it is built.
type trie struct {
	next  [][]uint32 // by state and class; 0 is none
	marks [][]mark
}

// NewScanner builds a Scanner. A set that is empty or holds an empty string counts as always
// present. It needs four bytes for each byte of all literals, times the number of different bytes
// in them: some megabytes for thousands of sets.
func NewScanner(sets [][]string) *Scanner {
	s := &Scanner{always: make([]uint64, (len(sets)+63)/64)}
	s.classes(sets)
	t := &trie{}
	t.add(s.stride)
	for i, set := range sets {
		if len(set) == 0 {
			s.always[i/64] |= 1 << (i % 64)
		}
		for _, literal := range set {
			if literal == "" {
				s.always[i/64] |= 1 << (i % 64)
				continue
			}
			at := uint32(0)
			for j := range len(literal) {
				c := s.class[literal[j]]
				if t.next[at][c] == 0 {
					t.next[at][c] = t.add(s.stride)
				}
				at = t.next[at][c]
			}
			t.mark(at, mark{i / 64, 1 << (i % 64)})
		}
	}
	t.link()
	s.flatten(t)
	return s
}

// classes numbers the bytes that occur in literals; all others are class 0.
func (s *Scanner) classes(sets [][]string) {
	n := uint32(1)
	for _, set := range sets {
		for _, literal := range set {
			for i := range len(literal) {
				c := lower(literal[i])
				if s.class[c] == 0 {
					s.class[c] = n
					n++
				}
			}
		}
	}
	for c := 'A'; c <= 'Z'; c++ {
		s.class[c] = s.class[c+32]
	}
	s.stride = n
}

func (t *trie) add(stride uint32) uint32 {
	t.next = append(t.next, make([]uint32, stride))
	t.marks = append(t.marks, nil)
	return uint32(len(t.next) - 1)
}

func (t *trie) mark(state uint32, m mark) {
	for i := range t.marks[state] {
		if t.marks[state][i].word == m.word {
			t.marks[state][i].bits |= m.bits
			return
		}
	}
	t.marks[state] = append(t.marks[state], m)
}

// link gives every state a next state for every class, and the output of its suffixes.
func (t *trie) link() {
	fail := make([]uint32, len(t.next))
	var queue []uint32
	for _, to := range t.next[0] {
		if to != 0 {
			queue = append(queue, to)
		}
	}
	for len(queue) > 0 {
		at := queue[0]
		queue = queue[1:]
		for _, m := range t.marks[fail[at]] {
			t.mark(at, m)
		}
		for c, to := range t.next[at] {
			if to == 0 {
				t.next[at][c] = t.next[fail[at]][c]
				continue
			}
			fail[to] = t.next[fail[at]][c]
			queue = append(queue, to)
		}
	}
}

// flatten writes the table, states without output first.
func (s *Scanner) flatten(t *trie) {
	number := make([]uint32, len(t.next))
	n := uint32(0)
	for pass := range 2 {
		for i := range t.next {
			if (len(t.marks[i]) > 0) == (pass == 1) {
				number[i] = n * s.stride
				n++
			}
		}
		if pass == 0 {
			s.output = n * s.stride
		}
	}
	s.table = make([]uint32, len(t.next)*int(s.stride))
	for i, next := range t.next {
		for c, to := range next {
			s.table[number[i]+uint32(c)] = number[to]
		}
		if len(t.marks[i]) > 0 {
			s.from = append(s.from, uint32(len(s.marks)))
			s.marks = append(s.marks, t.marks[i]...)
		}
	}
	s.from = append(s.from, uint32(len(s.marks)))
}

// Words returns the length that the hits of Scan must have.
func (s *Scanner) Words() int { return len(s.always) }

// Scan overwrites hits, which has Words() words: bit i is set when a literal of set i occurs in
// the line, or set i is always present. It allocates nothing.
func (s *Scanner) Scan(line []byte, hits []uint64) {
	copy(hits, s.always)
	if len(s.marks) == 0 {
		return
	}
	table, output := s.table, s.output
	state := uint32(0)
	for _, b := range line {
		state = table[state+s.class[b]]
		if state >= output {
			i := (state - output) / s.stride
			for _, m := range s.marks[s.from[i]:s.from[i+1]] {
				hits[m.word] |= m.bits
			}
		}
	}
}
