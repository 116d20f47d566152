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

// item is one line in a batch. Its texts are spans of the batch's buffer. It takes two cache lines: one
// processor writes it, and another reads it.
type item struct {
	received time.Time
	late     time.Duration // how long before it was received it counts
	stamp    int64         // as it stands in the line, Unix nanoseconds; 0: none
	source   *receiver.Source
	grant    *grant
	route    filter.Route
	host     span
	app      span
	pid      span
	text     span
	raw      span
	repeat   int32
	writer   uint16 // its origin's place in the batch and one; 0: nothing is known
	level    receiver.Level
	facility int8
	file     bool // a line of a file: raw is what was written
	cut      bool // its end is missing
}

// at is when the line counts.
func (it *item) at() time.Time { return it.received.Add(-it.late) }

// batch is lines on their way to one worker, of one plan.
type batch struct {
	plan    *Plan
	items   []item
	buf     []byte
	writers []receiver.Origin
	pong    chan<- struct{} // capacity enough; not nil: no lines, the worker only answers
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
	clear(b.writers)
	b.writers = b.writers[:0]
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

// part returns a part of a text that is kept already, or else keeps it, too.
func (b *batch) part(whole []byte, kept span, part []byte) span {
	if at, ok := within(whole, part); ok {
		return span{kept.from + at, kept.from + at + uint32(len(part))}
	}
	return b.keep(part)
}

// add copies what the worker needs of an entry that counts so long before it was received.
func (b *batch) add(e *receiver.Entry, late time.Duration, g *grant, r filter.Route) {
	raw := b.keep(e.Raw)
	it := item{
		received: e.Received,
		late:     late,
		source:   e.Source,
		grant:    g,
		route:    r,
		host:     b.part(e.Raw, raw, e.Hostname),
		app:      b.part(e.Raw, raw, e.App),
		pid:      b.part(e.Raw, raw, e.ProcID),
		text:     b.part(e.Raw, raw, e.Text),
		raw:      raw,
		repeat:   int32(max(e.Repeat, 1)), //nolint:gosec // see decode.Message
		writer:   b.writer(&e.Origin),
		level:    e.Peer.Level,
		facility: e.Facility,
		file:     e.Form == decode.File,
		cut:      e.Truncated,
	}
	if !e.Stamp.IsZero() {
		it.stamp = e.Stamp.UnixNano()
	}
	b.items = append(b.items, it)
}

// writer keeps an origin, and returns its place and one. Lines of one process come together.
func (b *batch) writer(o *receiver.Origin) uint16 {
	if !o.Known && o.Exe == "" && o.Unit == "" && o.Name == "" {
		return 0
	}
	if n := len(b.writers); n == 0 || b.writers[n-1] != *o {
		b.writers = append(b.writers, *o)
	}
	return uint16(len(b.writers)) //nolint:gosec // at most batchLines
}

// origin says who wrote a line. It must not be changed.
func (b *batch) origin(it *item) *receiver.Origin {
	if it.writer == 0 {
		return &unknown
	}
	return &b.writers[it.writer-1]
}

var unknown receiver.Origin

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
