package replay

import (
	"sync"

	"stockade/jails/filter"
)

const (
	blockBytes = 256 << 10 // of text that are read at a time
	maxLine    = 64 << 10  // bytes of a line; a longer one is not matched: an address at its cut may be a part of another
	maxSides   = 2         // policies that one run compares

	bufferBytes = blockBytes + maxLine + 2 // with the beginning of the line that follows
)

// line is one line that some jail listens to. Its bytes are those of its block.
type line struct {
	n        int32 // from 0, in the block
	facility int8
	shards   [maxSides]uint8 // the matcher that takes it
	repeat   int32
	at       int64 // its own time in Unix nanoseconds, 0 until it has one
	routes   [maxSides]filter.Route
	app      []byte
	host     []byte
	pid      []byte
	text     []byte // as native filters see it
	cut      []byte // as regular expressions see it: without the date; nil: as text
	raw      []byte
	whole    bool // raw is a line of a file, as it was written
}

// hit is a line that a filter of a policy recognised.
type hit struct {
	side    uint8
	n       int32 // of the line, from 0 in the block
	repeat  int32
	at      int64 // the line's own time
	ordered int64 // the latest time in the file up to the line: its place among other files' hits
	raw     []byte
	match   filter.Match
}

// block is a part of a file that ends with a line.
type block struct {
	buf   []byte // the text
	extra []byte // lines without their date
	seq   int    // from 0, in the file
	first int64  // number of its first line, from 1

	count    int32 // lines
	undated  int32
	latest   int64 // time of its last dated line, 0 without one
	peak     int64 // latest time in it
	earliest int64
	skipped  int32 // lines without a syslog header and without an app that any jail listens to
	lines    []line
	natives  [maxSides]bool // only native filters listen to lines without a header
	decoded  chan struct{}  // closed when lines is filled
	matching sync.WaitGroup
	found    [][]hit // by matcher
	hits     []hit   // of all matchers, in the order of the lines

	err error // of the reader: this block is the last
}

var blocks = sync.Pool{New: func() any { return &block{buf: make([]byte, 0, bufferBytes)} }}

func newBlock(matchers int) *block {
	b := blocks.Get().(*block)
	found, lines, hits := b.found, b.lines, b.hits
	clear(lines)
	clear(hits)
	*b = block{buf: b.buf[:0], extra: b.extra[:0], lines: lines[:0], hits: hits[:0], decoded: make(chan struct{})}
	if cap(found) < matchers {
		found = make([][]hit, matchers)
	}
	b.found = found[:matchers]
	for i := range b.found {
		clear(b.found[i])
		b.found[i] = b.found[i][:0]
	}
	return b
}

// free gives the block back. Nothing taken from its bytes may be used afterwards.
func (b *block) free() { blocks.Put(b) }
