package engine

import "bytes"

// direct is a second, simpler program for the shape that most filters have: a beginning that is
// known, then literal text, runs of one class, choices and groups, and seldom a place where more
// than one way forward is open. It is followed byte by byte, first choice first, as the order of
// Python's re demands, so that what it finds is what the general engine finds: only faster, since
// a log line that matches is mostly read once.
//
// It gives up rather than be slow or wrong: where a line makes it turn back too often, or holds
// a character that it cannot judge by its first byte, the general engine is asked. Patterns with
// assertions about neighbours, references or repeated groups have no direct program at all.
type direct struct {
	steps []step // the first begins
}

// stepOp is the kind of a step.
type stepOp uint8

const (
	stepLiteral stepOp = iota // takes words
	stepOne                   // takes one byte of class
	stepRun                   // takes as many bytes of class as there are, min to max, and never fewer
	stepBack                  // the same, but fewer if the rest demands it
	stepShape                 // takes the bytes of shape's alphabet, which must be of its form
	stepFork                  // goes on or, if that leads nowhere, at alt
	stepSave                  // stores the position in slot
	stepClear                 // forgets what slots from slot up to min hold: a choice not taken had them
	stepBegin                 // holds at the subject's beginning
	stepEnd                   // holds at the end
	stepLast                  // holds at the end, or before a newline that ends the subject
	stepJump                  // goes on at out
	stepMatch
)

// step is one instruction of a direct program: 64 bytes, one line of a cache. What follows it stands
// behind it, so that the processor need not read where to go on.
type step struct {
	op       stepOp
	out, alt uint32 // out: while the program is built, and of stepJump
	slot     int32  // of runs and shapes: where their beginning and end are stored, 0 is nowhere
	min, max int32  // bytes of a run; max may be unlimited
	behind   int32  // of stepBack: the fewest bytes that follow
	words    *words // of stepLiteral; of stepBack: what must follow, if anything is known
	class    *class // of runs and single bytes
	shape    *shape // of stepShape
	forks    *ways  // of stepFork
}

// class says of each byte whether a run takes it.
type class struct {
	has  [256]membership
	none int // the only byte that is not in the class, -1 if there are others
}

type membership uint8

const (
	outside membership = iota
	inside
	unsure // part of a character that only the general engine can judge
)

// ways says of the next byte, and of the end of all (atSubjectEnd), where a fork can lead.
type ways [257]uint8

const (
	wayOut = 1 << iota
	wayAlt
	atSubjectEnd = 256
)

// Limits of a direct search. What exceeds them is left to the general engine, so that no line costs
// much more than it would have cost there.
const (
	maxOpen    = 16  // choices open at a time
	returnWork = 8   // what turning back costs, in bytes looked at
	baseWork   = 256 // what a search may cost, whatever the line's length
	lineWork   = 4   // and beyond that for each byte of the line
)

// choice is a place to turn back to.
type choice struct {
	pc, least uint32 // least: of a run, the lowest position where it may end
	pos       uint32
}

// verdict is the answer of a direct search.
type verdict uint8

const (
	noMatch verdict = iota
	isMatch
	undecided
)

// search looks for a match at the subject's beginning. Behind the text, up to end, stands at most
// one newline. caps is overwritten; unless the answer is isMatch it holds nothing of use.
func (d *direct) search(text []byte, end int, caps []int) verdict {
	var open [maxOpen]choice
	n, work := 0, baseWork+lineWork*len(text)
	for i := range caps {
		caps[i] = -1
	}
	pc, pos := uint32(0), 0
	for {
		s := &d.steps[pc]
		switch s.op {
		case stepLiteral:
			if s.words.at(text, pos) {
				pos += len(s.words.text)
				pc++
				continue
			}
		case stepSave:
			caps[s.slot] = pos
			pc++
			continue
		case stepOne:
			if pos < end {
				is := s.class.has[at(text, pos)]
				if is == unsure {
					return undecided
				}
				if is == inside {
					pos++
					pc++
					continue
				}
			}
		case stepRun:
			to, sure := s.run(text, pos, end)
			if !sure {
				return undecided
			}
			work -= to - pos
			if to-pos >= int(s.min) {
				if s.slot > 0 {
					caps[s.slot], caps[s.slot+1] = pos, to
				}
				pos, pc = to, pc+1
				continue
			}
		case stepShape:
			to, ok := s.shape.span(text, pos)
			work -= to - pos
			if ok {
				if s.slot > 0 {
					caps[s.slot], caps[s.slot+1] = pos, to
				}
				pos, pc = to, pc+1
				continue
			}
		case stepBack:
			longest, sure := s.run(text, pos, end)
			if !sure || n == maxOpen {
				return undecided
			}
			least, most := pos+int(s.min), min(longest, end-int(s.behind))
			to := s.before(text, most, least)
			work -= longest - pos + max(most-max(to, least), 0)
			if to >= least {
				open[n] = choice{pc, uint32(least), uint32(to)}
				n++
				if s.slot > 0 {
					caps[s.slot], caps[s.slot+1] = pos, to
				}
				pos, pc = to, pc+1
				continue
			}
		case stepFork:
			next := atSubjectEnd
			if pos < end {
				next = int(at(text, pos))
			}
			switch s.forks[next] {
			case wayOut:
				pc++
				continue
			case wayAlt:
				pc = s.alt
				continue
			case wayOut | wayAlt:
				if n == maxOpen {
					return undecided
				}
				open[n] = choice{pc, 0, uint32(pos)}
				n++
				pc++
				continue
			}
		case stepClear:
			for i := s.slot; i < s.min; i++ {
				caps[i] = -1
			}
			pc++
			continue
		case stepBegin:
			if pos == 0 {
				pc++
				continue
			}
		case stepEnd:
			if pos == end {
				pc++
				continue
			}
		case stepLast:
			if pos == end || pos+1 == end && at(text, pos) == '\n' {
				pc++
				continue
			}
		case stepJump:
			pc = s.out
			continue
		case stepMatch:
			caps[0], caps[1] = 0, pos
			clamp(caps, len(text))
			return isMatch
		}
		// This way leads nowhere: take the latest choice that has another.
		for {
			if n == 0 {
				return noMatch
			}
			if work -= returnWork; work < 0 {
				return undecided
			}
			c := &open[n-1]
			s := &d.steps[c.pc]
			if s.op == stepFork {
				n--
				pos, pc = int(c.pos), s.alt
				break
			}
			to := s.before(text, int(c.pos)-1, int(c.least))
			work -= int(c.pos) - max(to, int(c.least))
			if to >= int(c.least) {
				c.pos = uint32(to)
				if s.slot > 0 {
					caps[s.slot+1] = to
				}
				pos, pc = to, c.pc+1
				break
			}
			n--
		}
	}
}

// at is the byte at pos: behind the text stands a newline.
func at(text []byte, pos int) byte {
	if pos < len(text) {
		return text[pos]
	}
	return '\n'
}

// run returns where the longest run from pos ends. It is not sure when it met a byte of which only
// the general engine knows.
func (s *step) run(text []byte, pos, end int) (to int, sure bool) {
	c := s.class
	limit := len(text)
	if s.max != unlimited {
		limit = min(limit, pos+int(s.max))
	}
	to = pos
	if c.none < 0 {
		for to < limit && c.has[text[to]] == inside {
			to++
		}
	} else if pos < limit {
		if i := bytes.IndexByte(text[pos:limit], byte(c.none)); i >= 0 {
			to = pos + i
		} else {
			to = limit
		}
	}
	if to < limit {
		return to, c.has[text[to]] != unsure
	}
	if to == len(text) && to < end && c.has['\n'] == inside && (s.max == unlimited || to-pos < int(s.max)) {
		to++
	}
	return to, true
}

// before returns the highest position up to pos where a run may end so that the literal behind it
// can follow, below least if there is none.
func (s *step) before(text []byte, pos, least int) int {
	if s.words == nil {
		return pos
	}
	first := s.words.text[0]
	for pos = min(pos, len(text)-len(s.words.text)); pos >= least; pos-- {
		if text[pos] == first && s.words.at(text, pos) {
			return pos
		}
	}
	return -1
}
