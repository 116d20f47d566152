package filter

// Bounds of the memory of lines, for filters with MaxLines.
const (
	maxRings    = 256      // of one Matcher: 16 MiB at worst
	maxRingLine = 8 << 10  // bytes of a line; what is longer is cut
	maxRingAll  = 64 << 10 // bytes of one ring
)

// ringKey says whose lines are joined: those of one filter, source, host and app.
type ringKey struct {
	filter            int
	source, host, app string
}

// ring holds the last lines that a filter with MaxLines sees together.
type ring struct {
	lines [][]byte
	used  uint64
}

// ringCache holds rings; when there are too many, the longest unused one goes.
type ringCache struct {
	rings map[ringKey]*ring
	clock uint64
	text  []byte // the joined lines of the latest call
	ends  []int  // where each of them ends in text
}

// push appends a line to the ring and joins what it then holds.
func (c *ringCache) push(key ringKey, line []byte, limit int) (*ring, []byte) {
	if c.rings == nil {
		c.rings = map[ringKey]*ring{}
	}
	r := c.rings[key]
	if r == nil {
		if len(c.rings) >= maxRings {
			c.evict()
		}
		r = &ring{}
		c.rings[cloneRingKey(key)] = r
	}
	c.clock++
	r.used = c.clock
	r.push(line, limit)
	c.text, c.ends = c.text[:0], c.ends[:0]
	for i, l := range r.lines {
		if i > 0 {
			c.text = append(c.text, '\n')
		}
		c.text = append(c.text, l...)
		c.ends = append(c.ends, len(c.text))
	}
	return r, c.text
}

func (c *ringCache) evict() {
	var oldest ringKey
	least := ^uint64(0)
	for k, r := range c.rings {
		if r.used < least {
			oldest, least = k, r.used
		}
	}
	delete(c.rings, oldest)
}

// push appends a line, reusing the memory of the one that falls out.
func (r *ring) push(line []byte, limit int) {
	line = line[:min(len(line), maxRingLine)]
	total := len(line)
	for _, l := range r.lines {
		total += len(l)
	}
	var spare []byte
	for len(r.lines) > 0 && (len(r.lines) >= limit || total > maxRingAll) {
		spare = r.lines[0]
		total -= len(spare)
		copy(r.lines, r.lines[1:])
		r.lines = r.lines[:len(r.lines)-1]
	}
	r.lines = append(r.lines, append(spare[:0], line...))
}

// take removes the lines that the match covers, but for those that its SKIPLINES groups skipped.
// It returns how many were matched.
func (c *ringCache) take(r *ring, lo, hi int, skips []int, caps []int) int {
	taken, kept, start := 0, r.lines[:0:0], 0
	for i, end := range c.ends {
		covered := start < hi && end > lo
		if covered && !skipped(start, end, skips, caps) {
			taken++
		} else {
			kept = append(kept, r.lines[i])
		}
		start = end + 1
	}
	r.lines = kept
	return taken
}

// skipped reports whether a line lies in what a SKIPLINES group captured.
func skipped(start, end int, skips []int, caps []int) bool {
	for _, g := range skips {
		if lo, hi := caps[2*g], caps[2*g+1]; lo >= 0 && start >= lo && end < hi {
			return true
		}
	}
	return false
}

func cloneRingKey(k ringKey) ringKey {
	k.source, k.host, k.app = string([]byte(k.source)), string([]byte(k.host)), string([]byte(k.app))
	return k
}
