package engine

// Scanner finds in one pass which of many literal sets occur in a line. It ignores the case of
// ASCII letters. It is immutable and may be used by many goroutines. A line costs the same time a
// byte whatever the number of sets.
//
// It is the automaton of Aho and Corasick with all failure links resolved into one table over
// classes of bytes. States with output come last, so that one comparison a byte finds them. Where
// no literal is under way, pairs of bytes that begin none are passed over without the automaton.
type Scanner struct {
	class   [256]uint32 // of a byte
	table   []uint32    // next state, by state and class; states are multiples of stride
	begins  []bool      // by two classes: some literal begins with them, or is the first alone
	stride  uint32
	shallow uint32   // states below it have read at most one byte of a literal, and have no output
	output  uint32   // the first state that has output
	from    []uint32 // marks of output state i are marks[from[i]:from[i+1]]
	marks   []mark
	always  []uint64
}

// mark is some bits of one word of the hits.
type mark struct {
	word int
	bits uint64
}

// trie is the automaton while it is built.
type trie struct {
	next  [][]uint32 // by state and class; 0 is none
	depth []int
	marks [][]mark
}

// NewScanner builds a Scanner. A set that is empty or holds an empty string counts as always
// present. It needs four bytes for each byte of all literals, times the number of different bytes
// in them: some megabytes for thousands of sets.
func NewScanner(sets [][]string) *Scanner {
	s := &Scanner{always: make([]uint64, (len(sets)+63)/64)}
	s.classes(sets)
	t := &trie{}
	t.add(s.stride, 0)
	s.begins = make([]bool, s.stride*s.stride)
	for i, set := range sets {
		if len(set) == 0 {
			s.always[i/64] |= 1 << (i % 64)
		}
		for _, literal := range set {
			if literal == "" {
				s.always[i/64] |= 1 << (i % 64)
				continue
			}
			s.begin(literal)
			at := uint32(0)
			for j := range len(literal) {
				c := s.class[literal[j]]
				if t.next[at][c] == 0 {
					t.next[at][c] = t.add(s.stride, j+1)
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

// begin notes the first two bytes of a literal.
func (s *Scanner) begin(literal string) {
	first := s.class[literal[0]] * s.stride
	if len(literal) > 1 {
		s.begins[first+s.class[literal[1]]] = true
		return
	}
	for c := range s.stride {
		s.begins[first+c] = true
	}
}

func (t *trie) add(stride uint32, depth int) uint32 {
	t.depth = append(t.depth, depth)
	t.next = append(t.next, make([]uint32, stride))
	t.marks = append(t.marks, nil)
	return uint32(len(t.next) - 1)
}

func (t *trie) mark(state uint32, m mark) { t.marks[state] = addMark(t.marks[state], m) }

// addMark adds m to marks of different words.
func addMark(marks []mark, m mark) []mark {
	for i := range marks {
		if marks[i].word == m.word {
			marks[i].bits |= m.bits
			return marks
		}
	}
	return append(marks, m)
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

// flatten writes the table: shallow states first, those with output last.
func (s *Scanner) flatten(t *trie) {
	number := make([]uint32, len(t.next))
	n := uint32(0)
	place := func(want func(state int) bool) {
		for i := range t.next {
			if want(i) {
				number[i] = n * s.stride
				n++
			}
		}
	}
	outputs := func(i int) bool { return len(t.marks[i]) > 0 }
	place(func(i int) bool { return !outputs(i) && t.depth[i] <= 1 })
	s.shallow = n * s.stride
	place(func(i int) bool { return !outputs(i) && t.depth[i] > 1 })
	s.output = n * s.stride
	place(outputs)
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
	stride := s.stride
	for i := 0; i < len(line); {
		first := s.class[line[i]] * stride
		for i+1 < len(line) {
			second := s.class[line[i+1]]
			if s.begins[first+second] {
				break
			}
			first = second * stride
			i++
		}
		i = s.follow(line, i, hits)
	}
}

// follow runs the automaton from i, where a literal may begin, until none is under way, and
// returns where to go on.
func (s *Scanner) follow(line []byte, i int, hits []uint64) int {
	table, output, shallow := s.table, s.output, s.shallow
	state := table[s.class[line[i]]]
	for i++; ; i++ {
		if state >= output {
			n := (state - output) / s.stride
			for _, m := range s.marks[s.from[n]:s.from[n+1]] {
				hits[m.word] |= m.bits
			}
		}
		if i == len(line) {
			return i
		}
		state = table[state+s.class[line[i]]]
		if state == 0 {
			return i + 1
		}
		if state < shallow {
			return i // a literal may begin with this byte
		}
	}
}
