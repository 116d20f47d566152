package filter

import (
	"bytes"
	"math/bits"
	"strings"
	"unicode/utf8"

	"stockade/jails/filter/engine"
)

// Limits of what is taken from a line.
const (
	maxValue    = 512  // bytes of a captured value; longer ones are cut
	maxRepeated = 1000 // times of "message repeated N times"
)

// Matcher matches lines against a Set. It belongs to one goroutine. All lines of a stateful route
// with the same Family, source and host must go to the same Matcher, in order.
type Matcher struct {
	set      *Set
	machine  *engine.Machine
	hits     []uint64
	caps     []int
	pcaps    []int
	icaps    []int
	values   values
	subject  []byte
	original []byte
	matches  []Match
	fields   []Field // of the matches
	ids      *idCache
	id       []byte // made of an address and a port
	seen     seen
	rings    ringCache
	stats    Stats
}

// NewMatcher returns a Matcher with empty memory.
func (s *Set) NewMatcher() *Matcher {
	return &Matcher{
		set:     s,
		machine: engine.NewMachine(),
		hits:    make([]uint64, (s.width()+63)/64),
		ids:     newIDCache(maxIDs, maxIDsPerHost),
	}
}

// Stats returns the counts so far. It must be called by the goroutine that calls Match.
func (m *Matcher) Stats() Stats {
	s := m.stats
	s.Evicted, s.Pending = m.ids.evicted, m.ids.evictedPending
	return s
}

// Match returns what the filters of the route say about a line, at most one Match each, ordered
// by form and filter. The slice, and those in it, are valid until the next call; strings may be
// kept. The line is not kept. A line that matches nothing allocates nothing.
func (m *Matcher) Match(line *Line, r Route) []Match {
	m.stats.Lines++
	m.matches, m.fields = m.matches[:0], m.fields[:0]
	if r.r == nil {
		return nil
	}
	for i := range r.r.groups {
		g := &r.r.groups[i]
		subject := line.Text
		if g.form != nil {
			m.subject = g.form.Build(m.subject[:0], line)
			subject = m.subject
		}
		m.matchGroup(g, line, subject)
	}
	m.stats.Matches += uint64(len(m.matches))
	return m.matches
}

// reading is how the filters of a group read one line.
type reading struct {
	subject []byte // for regular expressions
	inner   []byte // what a syslog daemon says was repeated; nil when nothing was
	native  []byte // for native patterns: inner or subject, without blanks before and behind it
	times   int    // how often
}

// read sets all of r.
func (r *reading) read(subject []byte) {
	r.subject, r.native = subject, subject
	if r.inner, r.times = unrepeat(subject); r.inner != nil {
		r.native = r.inner
	}
	for n := len(r.native); n > 0 && r.native[n-1] == '\r'; n-- {
		r.native = r.native[:n-1]
	}
	for len(r.native) > 0 && r.native[0] == ' ' {
		r.native = r.native[1:]
	}
}

func (m *Matcher) matchGroup(g *group, line *Line, subject []byte) {
	for _, f := range g.always {
		m.matchLines(f, line, subject)
	}
	var text reading
	text.read(subject)
	hits := m.hits[:len(g.mask)]
	g.candidates(hits, &text, len(line.App) > 0)
	for w := range g.mask {
		for left := hits[w] & g.mask[w]; left != 0; {
			b := w*64 + bits.TrailingZeros64(left)
			p := &g.places[g.owner[b]]
			// All bits of this filter are answered for at once.
			left &^= span(w, p.first, p.n)
			if p.first < w*64 && carried(hits, g.mask, p.first, w) {
				continue
			}
			m.matchFilter(p, hits, line, &text)
		}
	}
}

// span returns the mask of the bits first to first+n that lie in word w.
func span(w, first, n int) uint64 {
	lo, hi := max(first-w*64, 0), min(first+n-w*64, 64)
	if lo >= hi {
		return 0
	}
	return (^uint64(0) >> (64 - (hi - lo))) << lo
}

// carried reports whether a bit from first up to word w was set: then its filter had its turn.
func carried(hits, mask []uint64, first, w int) bool {
	for b := first; b < w*64; b++ {
		if bit(hits, b) && bit(mask, b) {
			return true
		}
	}
	return false
}

func (m *Matcher) matchFilter(p *place, hits []uint64, line *Line, text *reading) {
	f, flt := p.filter, m.set.filters[p.filter]
	if p.prefix >= 0 && !bit(hits, p.prefix) {
		return
	}
	if flt.native {
		subject := text.native
		if len(line.App) == 0 {
			subject = flt.untagged(subject)
		}
		m.matchNative(flt, p, hits, line, subject, text.times)
		return
	}
	before := len(m.matches)
	m.matchRegex(f, flt, p, hits, line, text.subject)
	if len(m.matches) == before && text.inner != nil && flt.spec.Form == nil && !flt.stateful {
		m.matchRegex(f, flt, p, hits, line, text.inner)
		if len(m.matches) > before {
			m.matches[before].Attempts = text.times
		}
	}
}

// search runs one pattern. caps is grown as needed.
func (m *Matcher) search(re *engine.Regexp, subject []byte, caps *[]int) bool {
	m.stats.Searches++
	n := 2 * (re.Groups() + 1)
	if cap(*caps) < n {
		*caps = make([]int, n)
	}
	*caps = (*caps)[:n]
	ok, err := m.machine.Search(re, subject, *caps)
	if err != nil {
		m.stats.Budget++
		return false
	}
	return ok
}

// unrepeat returns the message inside a syslog daemon's "message repeated N times: [ ... ]" and
// how often it was. The text is nil, and the number 1, when it is no such line.
func unrepeat(text []byte) ([]byte, int) {
	const head, mid = "message repeated ", " times: ["
	if len(text) < len(head) || text[0] != 'm' || string(text[:len(head)]) != head {
		return nil, 1
	}
	rest := text[len(head):]
	digits := 0
	for digits < len(rest) && digits < 6 && rest[digits] >= '0' && rest[digits] <= '9' {
		digits++
	}
	n := 0
	for _, c := range rest[:digits] {
		n = n*10 + int(c-'0')
	}
	rest = rest[digits:]
	if n == 0 || !bytes.HasPrefix(rest, []byte(mid)) || rest[len(rest)-1] != ']' {
		return nil, 1
	}
	rest = rest[len(mid) : len(rest)-1]
	return bytes.TrimPrefix(rest, []byte(" ")), min(n, maxRepeated)
}

// text copies a captured value: cut to maxValue bytes, valid UTF-8, control characters replaced.
func text(b []byte) string {
	if len(b) > maxValue {
		b = b[:maxValue]
	}
	clean := true
	for _, c := range b {
		if c < ' ' || c >= 0x7f {
			clean = false
			break
		}
	}
	if clean {
		return string(b)
	}
	return strings.Map(func(r rune) rune {
		if r < ' ' || r >= 0x7f && r < 0xa0 {
			return '?'
		}
		return r
	}, strings.ToValidUTF8(string(b), string(utf8.RuneError)))
}

// number reads a count of at most six digits.
func number(b []byte) int {
	if len(b) > 6 {
		b = bytes.TrimLeft(b, "0")
	}
	if len(b) > 6 {
		return 0
	}
	n := 0
	for _, c := range b {
		if c < '0' || c > '9' {
			return 0
		}
		n = n*10 + int(c-'0')
	}
	return n
}
