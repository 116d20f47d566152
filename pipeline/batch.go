package pipeline

import (
	"hash/maphash"
	"sync"
	"time"

	"stockade/jails/filter"
	"stockade/receiver"
	"stockade/receiver/decode"
)

const (
	batchLines = 256      // lines of one batch at most
	batchBytes = 64 << 10 // a batch is handed on once its text is longer

	// Batches that wait for one worker at most. Those of streams are few, so that a worker finds what
	// it reads in the processor's cache: their senders can wait.
	streamQueue   = 6
	datagramQueue = 256
)

// span is a part of a batch's buffer.
type span struct{ from, to uint32 }

// item is one line in a batch. Its texts are spans of the batch's buffer.
type item struct {
	received time.Time
	at       time.Time // when it counts
	stamp    int64     // as it stands in the line, Unix nanoseconds; 0: none
	source   *receiver.Source
	grant    *grant
	route    filter.Route
	level    receiver.Level
	origin   receiver.Origin
	facility int8
	repeat   int
	file     bool // a line of a file: raw is what was written
	cut      bool // its end is missing
	host     span
	app      span
	pid      span
	text     span
	raw      span
}

// batch is lines on their way to one worker, of one plan.
type batch struct {
	plan  *Plan
	items []item
	buf   []byte
	pong  chan<- struct{} // capacity enough; not nil: no lines, the worker only answers
}

var batches = sync.Pool{New: func() any {
	return &batch{items: make([]item, 0, batchLines), buf: make([]byte, 0, 4096)}
}}

func newBatch(plan *Plan) *batch {
	b := batches.Get().(*batch)
	b.plan = plan
	return b
}

// free gives the batch back. Nothing taken from its buffer may be used afterwards.
func (b *batch) free() {
	b.plan = nil
	clear(b.items)
	b.items = b.items[:0]
	b.buf = b.buf[:0]
	if cap(b.buf) > 2*batchBytes {
		b.buf = nil // one long line must not pin its size for ever
	}
	batches.Put(b)
}

func (b *batch) full() bool { return len(b.items) == batchLines || len(b.buf) >= batchBytes }

func (b *batch) text(s span) []byte { return b.buf[s.from:s.to] }

func (b *batch) keep(text []byte) span {
	from := uint32(len(b.buf))
	b.buf = append(b.buf, text...)
	return span{from, uint32(len(b.buf))}
}

// add copies what the worker needs of an entry.
func (b *batch) add(e *receiver.Entry, at time.Time, g *grant, r filter.Route) {
	it := item{
		received: e.Received,
		at:       at,
		source:   e.Source,
		grant:    g,
		route:    r,
		level:    e.Peer.Level,
		origin:   e.Origin,
		facility: e.Facility,
		repeat:   max(e.Repeat, 1),
		file:     e.Form == decode.File,
		cut:      e.Truncated,
		host:     b.keep(e.Hostname),
		app:      b.keep(e.App),
		pid:      b.keep(e.ProcID),
	}
	if !e.Stamp.IsZero() {
		it.stamp = e.Stamp.UnixNano()
	}
	it.raw = b.keep(e.Raw)
	if at, ok := within(e.Raw, e.Text); ok {
		it.text = span{it.raw.from + at, it.raw.from + at + uint32(len(e.Text))}
	} else {
		it.text = b.keep(e.Text)
	}
	b.items = append(b.items, it)
}

// event stands for what the line tells of, whoever sent it: see state.Failure.
func (b *batch) event(it *item) uint32 {
	if it.stamp == 0 {
		return 0
	}
	var h maphash.Hash
	h.SetSeed(shardSeed)
	maphash.WriteComparable(&h, it.stamp)
	for _, part := range []span{it.host, it.app, it.pid, it.text} {
		_, _ = h.Write(b.text(part))
		_ = h.WriteByte(0)
	}
	return uint32(h.Sum64()) | 1 //nolint:gosec // a part of a hash
}

// within says where part lies in whole, when they share memory and part ends inside it.
func within(whole, part []byte) (uint32, bool) {
	at := cap(whole) - cap(part)
	if len(part) == 0 || at < 0 || at+len(part) > len(whole) || &whole[at] != &part[0] {
		return 0, false
	}
	return uint32(at), true
}
