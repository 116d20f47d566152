package engine

// A cache is what one Machine remembers of one Regexp: the states that lines led to, and the
// steps between them.
//
// A state is the set of instructions from which a match can be completed at a position, given the
// text behind it. It is a row in slab: for each class of the rune before the position and each
// context before that rune, the entry of the next state; then the set, one bit an instruction;
// then a word that is 1 at the subject's end. An entry is the row's offset with flags below it.
type cache struct {
	slab   []uint32
	hash   []uint32 // open addressing: row offsets, 0 is free
	rows   int
	starts []uint32 // entries of the states at the end, by context
	stride uint32   // entries before the set
	words  int      // of the set
	class  [256]uint16
	before [256]uint16
	limit  int // of slab, in words
	held   int // words of it that the Machine has counted
}

const (
	entryPlain = 1 << iota // nothing to look at: neither unknown (0) nor one of the others
	entryStart             // a match can begin here
	entryDead              // no match can begin further left
	entryShift = 3
)

// Limits of memory, in words of four bytes.
const (
	maxSlab    = 1 << 20  // of one Regexp in one Machine
	maxMachine = 12 << 20 // of all Regexps in one Machine
)

func newCache(re *Regexp, limit int) *cache {
	c := &cache{
		limit:  limit,
		slab:   make([]uint32, 1, 1024),
		hash:   make([]uint32, 64),
		starts: make([]uint32, re.ctx.n),
		stride: uint32(re.alpha.n * re.ctx.n),
		words:  (len(re.prog.insts) + 31) / 32,
	}
	for b := range 128 {
		class := re.alpha.ascii[b]
		c.class[b] = uint16(int(class) * re.ctx.n)
		c.before[b] = uint16(re.ctx.byClass[class])
	}
	return c
}

// set returns the set of a row, with the word behind it.
func (c *cache) set(row uint32) []uint32 {
	from := int(row + c.stride)
	return c.slab[from : from+c.words+1]
}

// intern returns the offset of the row that holds set; 0 when the cache is full.
func (c *cache) intern(set []uint32) uint32 {
	mask := uint64(len(c.hash) - 1)
	i := hash(set) & mask
search:
	for ; c.hash[i] != 0; i = (i + 1) & mask {
		for j, w := range c.set(c.hash[i]) {
			if w != set[j] {
				continue search
			}
		}
		return c.hash[i]
	}
	row := len(c.slab)
	size := int(c.stride) + len(set)
	if row+size > c.limit {
		return 0
	}
	c.slab = append(c.slab, make([]uint32, c.stride)...)
	c.slab = append(c.slab, set...)
	c.hash[i] = uint32(row)
	if c.rows++; 2*c.rows > len(c.hash) {
		c.rehash()
	}
	return uint32(row)
}

func hash(set []uint32) uint64 {
	h := uint64(1)
	for _, w := range set {
		h = (h ^ uint64(w)) * 0x9E3779B97F4A7C15
		h ^= h >> 29
	}
	return h
}

func (c *cache) rehash() {
	old := c.hash
	c.hash = make([]uint32, 2*len(old))
	mask := uint64(len(c.hash) - 1)
	for _, row := range old {
		if row == 0 {
			continue
		}
		i := hash(c.set(row)) & mask
		for c.hash[i] != 0 {
			i = (i + 1) & mask
		}
		c.hash[i] = row
	}
}

// atEnd is the class that stands for the subject's end.
const atEnd = -1

// step computes into to the set before a rune of class, of which from is the set behind; at the
// end class is atEnd and from nil. It returns the flags of the entry.
func (re *Regexp) step(to, from []uint32, class, ctx int) uint32 {
	p := re.prog
	clear(to)
	fromEnd := from != nil && from[len(from)-1] != 0
	if class == atEnd {
		to[len(to)-1] = 1
	}
	kind := &re.ctx.kinds[ctx%len(re.ctx.kinds)]
	begin := 0
	live := false // the main part has something that leads on
	for _, blk := range p.blocks {
		for again := true; again; {
			again = false
			for _, pc := range p.order[begin:blk.end] {
				in := &p.insts[pc]
				v := false
				switch in.op {
				case opRune:
					v = class >= 0 && has(from, in.out) && re.alpha.member[in.arg][class]
				case opAlt:
					v = has(to, in.out) || has(to, in.arg)
				case opMatch, opAccept:
					v = true
				case opCapture:
					v = has(to, in.out)
				case opAssert:
					v = has(to, in.out) && re.asserts(assertion(in.arg), kind, class, fromEnd)
				case opLook:
					v = has(to, in.out) && has(to, in.arg) != in.negative
				case opBehind:
					v = has(to, in.out) && re.behind(int(in.arg), ctx) != p.behinds[in.arg].negative
				case opBackref: // any text, for all that is known here
					v = has(to, in.out) || class >= 0 && has(from, pc)
					live = live || v
				}
				if v && !has(to, pc) {
					to[pc>>5] |= 1 << (pc & 31)
					again = blk.cyclic
				}
			}
		}
		begin = blk.end
	}
	for _, pc := range p.main() {
		if in := &p.insts[pc]; in.op == opRune && has(to, in.out) {
			live = true
			break
		}
	}
	flags := uint32(0)
	if re.prefix == "" && has(to, p.start) {
		flags |= entryStart // with a prefix there is only one place, where the pass ends
	}
	if re.tailed && !live && class != atEnd && !fromEnd {
		flags |= entryDead
	}
	if flags == 0 {
		flags = entryPlain
	}
	return flags
}

func has(set []uint32, pc uint32) bool { return set[pc>>5]>>(pc&31)&1 != 0 }

func (re *Regexp) asserts(a assertion, k *context1, class int, fromEnd bool) bool {
	newline := class == int(re.alpha.newline)
	switch a {
	case beginText:
		return k.begin
	case beginLine:
		return k.begin || k.newline
	case endText:
		return class == atEnd
	case endLast:
		return class == atEnd || newline && fromEnd
	case endLine:
		return class == atEnd || newline
	}
	word := class >= 0 && re.alpha.word[class]
	return (word != k.word) == (a == wordBoundary)
}

// behind returns the answer of a lookbehind in a context.
func (re *Regexp) behind(i, ctx int) bool {
	for bit, wide := range re.ctx.wide {
		if wide == i {
			return ctx/len(re.ctx.kinds)>>bit&1 != 0
		}
	}
	return re.ctx.kinds[ctx%len(re.ctx.kinds)].behind[i]
}

// size is the memory that c holds, in words.
func (c *cache) size() int { return cap(c.slab) + len(c.hash) + 256 }
