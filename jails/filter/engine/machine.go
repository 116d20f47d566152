package engine

import "unicode/utf8"

// Machine is the scratch memory of searches: for each Regexp the states that lines led to, at most
// 48 MiB in all, and a word for each byte of the longest line. It belongs to one goroutine and
// serves any Regexp.
type Machine struct {
	caches map[*Regexp]*cache
	recent [64]struct {
		re *Regexp
		c  *cache
	}
	limit int      // of one cache, in words
	held  int      // words in caches
	built int      // states computed, ever
	spent int      // instructions evaluated for states in this search
	rows  []uint32 // by position: the row of the state there
	work  []uint32 // a set being built
	loose []uint32 // sets of a search that is too varied for a cache
	back  backtracker
	walk  walker
	caps  []int // of searches that ask for none
}

// NewMachine returns an empty Machine.
func NewMachine() *Machine { return &Machine{caches: map[*Regexp]*cache{}, limit: maxSlab} }

// Search looks for the leftmost match, choosing alternatives in Python's order. On success caps,
// if it is not nil, holds offsets in the subject: start and end of the match, then of each group,
// -1 for a group that took no part; its length must be 2*(Groups()+1). Without a match, and with
// an error, caps is unchanged or holds nothing of use. The only error is ErrBudget.
func (m *Machine) Search(re *Regexp, subject []byte, caps []int) (bool, error) {
	if re.direct == nil || len(subject) > maxSubject {
		return m.SearchGeneral(re, subject, caps)
	}
	if caps == nil {
		if cap(m.caps) < re.prog.slots {
			m.caps = make([]int, re.prog.slots)
		}
		caps = m.caps[:re.prog.slots]
	}
	end := len(subject)
	if !re.opt.NoNewline {
		end++
	}
	switch re.direct.search(subject, end, caps[:re.prog.slots]) {
	case isMatch:
		return true, nil
	case noMatch:
		return false, nil
	}
	return m.SearchGeneral(re, subject, caps)
}

// SearchGeneral is Search by the general engine alone, which knows every pattern. Search is as
// good and mostly faster; this is for comparing the two.
func (m *Machine) SearchGeneral(re *Regexp, subject []byte, caps []int) (bool, error) {
	end := len(subject)
	if !re.opt.NoNewline {
		end++
	}
	if end < re.minBytes || end > maxSubject {
		if end > maxSubject {
			return false, ErrBudget
		}
		return false, nil
	}
	if re.anchored && !re.begins(subject) {
		return false, nil
	}
	c := m.cache(re)
	if size := c.size(); size != c.held {
		m.held += size - c.held
		c.held = size
		if m.held > maxMachine {
			m.forget()
			c = m.cache(re)
		}
	}
	start, sets, stride, err := m.reverse(re, c, subject, end)
	if start < 0 || err != nil {
		return false, err
	}
	if re.prog.backs {
		return m.back.search(m, re, subject, end, start, view{sets, m.rows, stride}, caps)
	}
	if caps == nil {
		return true, nil
	}
	caps = caps[:re.prog.slots]
	for i := range caps {
		caps[i] = -1
	}
	for _, s := range re.slots {
		caps[s.slot] = s.at
	}
	m.walk.set(re.prog.insts, subject, view{sets, m.rows, stride}, caps)
	caps[1] = m.walk.run(re.entry, start)
	caps[0] = start - len(re.prefix)
	clamp(caps, len(subject))
	return true, nil
}

// maxSubject bounds the length of a subject, in bytes.
const maxSubject = 4 << 20

// clamp keeps offsets off the newline that the subject does not hold.
func clamp(caps []int, n int) {
	for i, at := range caps {
		caps[i] = min(at, n)
	}
}

// begins compares what every match of an anchored pattern begins with.
func (re *Regexp) begins(subject []byte) bool {
	n := len(re.prefix)
	if len(subject) < n || string(subject[:n]) != re.prefix {
		return false
	}
	if re.anyFirst {
		return true
	}
	next := byte('\n')
	if n < len(subject) {
		next = subject[n]
	} else if re.opt.NoNewline {
		return false
	}
	return re.first[next]
}

// cache returns m's memory of re.
func (m *Machine) cache(re *Regexp) *cache {
	slot := &m.recent[re.id%uint64(len(m.recent))]
	if slot.re == re {
		return slot.c
	}
	c := m.caches[re]
	if c == nil {
		c = newCache(re, m.limit)
		m.caches[re] = c
	}
	slot.re, slot.c = re, c
	return c
}

// forget drops all states.
func (m *Machine) forget() {
	clear(m.caches)
	clear(m.recent[:])
	m.held = 0
}

// reverse reads the subject from its end to its beginning, or to the end of the prefix that every
// match begins with, and fills m.rows. It returns the leftmost position where a match can begin,
// counted behind the prefix, -1 for none, and where the sets are: those of row r
// begin at sets[r+stride].
func (m *Machine) reverse(re *Regexp, c *cache, text []byte, end int) (start int, sets []uint32, stride uint32, err error) {
	if cap(m.rows) <= end {
		m.rows = make([]uint32, end+1+end/4)
	}
	m.rows = m.rows[:end+1]
	if cap(m.work) <= c.words {
		m.work = make([]uint32, c.words+1)
	}
	m.work = m.work[:c.words+1]
	m.spent = 0
	for range 2 {
		if start, ok := m.cached(re, c, text, end); ok {
			return start, c.slab, c.stride, nil
		}
		if m.spent > maxWork {
			return -1, nil, 0, ErrBudget
		}
		// Full: begin anew with the states of this line alone.
		held := c.held
		*c = *newCache(re, m.limit)
		c.held = held
	}
	start, err = m.uncached(re, c, text, end)
	return start, m.loose, 0, err
}

// cached runs on remembered states; ok is false when the cache is full.
func (m *Machine) cached(re *Regexp, c *cache, text []byte, end int) (start int, ok bool) {
	rows, pos, stop := m.rows, end, len(re.prefix)
	least := stop + 1 // the last step is taken below, where the end is seen
	simple := len(re.ctx.wide) == 0
	class, w := re.before(text, pos) // of the rune before pos
	ctx := re.context(text, pos, class)
	entry := c.starts[ctx]
	if entry == 0 {
		if entry = m.enter(re, c, nil, atEnd, ctx); entry == 0 {
			return 0, false
		}
		c.starts[ctx] = entry
	}
	rows[pos] = entry >> entryShift
	start = -1
	for {
		if entry&entryPlain == 0 {
			if entry&entryStart != 0 {
				start = pos
			}
			if entry&entryDead != 0 {
				return start, true
			}
		}
		if pos <= stop {
			if stop > 0 && has(c.set(entry>>entryShift), re.entry) {
				start = stop
			}
			return start, true
		}
		if simple && pos > least && pos <= len(text) {
			// The same as below for ASCII, as long as nothing happens.
			from := pos
			slab, b := c.slab, text[pos-1]
			for pos > least {
				before := text[pos-2]
				if (b|before)&utf8.RuneSelf != 0 {
					break
				}
				next := slab[entry>>entryShift+uint32(c.class[b])+uint32(c.before[before])]
				if next&entryPlain == 0 {
					break
				}
				pos--
				entry, b = next, before
				rows[pos] = entry >> entryShift
			}
			if pos != from {
				class, w = re.before(text, pos)
			}
		}
		at := entry >> entryShift
		from := at
		at += uint32(class * re.ctx.n)
		pos -= w
		behind := class
		class, w = re.before(text, pos)
		ctx = re.context(text, pos, class)
		at += uint32(ctx)
		next := c.slab[at]
		if next == 0 {
			if next = m.enter(re, c, c.set(from), behind, ctx); next == 0 {
				return 0, false
			}
			c.slab[at] = next
		}
		entry = next
		rows[pos] = entry >> entryShift
	}
}

// maxWork bounds the instructions that one search may evaluate to build states. fail2ban's patterns
// need 1.2 million on the worst cold line of 64 KiB; repeats of thousands need more.
const maxWork = 8_000_000

// spend accounts for one state; false when the search has built too much.
func (m *Machine) spend(re *Regexp) bool {
	m.built++
	m.spent += len(re.prog.insts)
	return m.spent <= maxWork
}

// enter computes the entry of a step that is not remembered; 0 when the cache is full or the
// search has built too much.
func (m *Machine) enter(re *Regexp, c *cache, from []uint32, class, ctx int) uint32 {
	if !m.spend(re) {
		return 0
	}
	flags := re.step(m.work, from, class, ctx)
	row := c.intern(m.work)
	if row == 0 {
		return 0
	}
	return row<<entryShift | flags
}

// uncached computes the set of every position anew.
func (m *Machine) uncached(re *Regexp, c *cache, text []byte, end int) (start int, err error) {
	if (end+1)*(c.words+1) > maxMachine {
		return -1, ErrBudget
	}
	m.loose = m.loose[:0]
	start = -1
	var from []uint32
	behind, pos := atEnd, end
	for {
		class, w := re.before(text, pos)
		if !m.spend(re) {
			return -1, ErrBudget
		}
		flags := re.step(m.work, from, behind, re.context(text, pos, class))
		row := len(m.loose)
		m.loose = append(m.loose, m.work...)
		from = m.loose[row:]
		m.rows[pos] = uint32(row)
		if flags&entryStart != 0 {
			start = pos
		}
		if flags&entryDead != 0 {
			return start, nil
		}
		if stop := len(re.prefix); pos <= stop {
			if stop > 0 && has(m.work, re.entry) {
				start = stop
			}
			return start, nil
		}
		behind = class
		pos -= w
	}
}

// before returns the class and width of the rune before pos, noRune and 0 at the beginning.
func (re *Regexp) before(text []byte, pos int) (class, w int) {
	switch {
	case pos > len(text):
		return int(re.alpha.newline), 1
	case pos == 0:
		return noRune, 0
	}
	if b := text[pos-1]; b < utf8.RuneSelf {
		return int(re.alpha.ascii[b]), 1
	}
	r, w := utf8.DecodeLastRune(text[:pos])
	return int(re.alpha.class(r)), w
}

// noRune stands for the class of the rune before the beginning.
const noRune = -1

// context returns the context of a position behind a rune of class.
func (re *Regexp) context(text []byte, pos, class int) int {
	ctx := int(re.ctx.begin)
	if class != noRune {
		ctx = int(re.ctx.byClass[class])
	}
	n := len(re.ctx.kinds)
	for _, i := range re.ctx.wide {
		if re.prog.behinds[i].holds(text, pos) {
			ctx += n
		}
		n *= 2
	}
	return ctx
}
