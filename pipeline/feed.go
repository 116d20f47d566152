package pipeline

import (
	"hash/maphash"

	"stockade/jails/filter"
	"stockade/receiver"
)

// Feed is one reader's way into the pipeline. It implements receiver.Sink and belongs to one
// goroutine.
type Feed struct {
	p       *Pipeline
	lossy   bool
	turn    uint32   // the worker that gets this feed's stateless lines, modulo their number
	batches []*batch // one per worker; nil when empty

	// The worker of the last line of a stateful route, and what it was chosen by.
	chosen struct {
		n      int // -1: nobody
		host   []byte
		family string
	}

	source   *receiver.Source // the last entry's, with its grant under plan and its history
	plan     *Plan
	grant    *grant
	history  *history
	writers  *receiver.Writers
	scratch  [256]byte         // of identify
	programs map[string]string // see program
	last     string            // of programs
	conn     *connection       // this one, in the history
}

// ownApp is the name of this program in its own log lines, which no jail looks at.
const ownApp = "stockade"

// Put admits and routes one entry. It allocates nothing, and copies nothing that no jail looks at.
func (f *Feed) Put(e *receiver.Entry) {
	st := &f.p.stats
	st.Lines.Add(1)
	plan := f.p.plan.Load()
	if plan != f.plan {
		f.Flush() // a batch is of one plan
	}
	if e.Source != f.source || plan != f.plan {
		f.take(e, plan)
	}
	if e.Continued {
		st.Continued.Add(1)
		return
	}
	if string(e.App) == ownApp { // our log quotes what attackers wrote
		st.Ignored.Add(1)
		return
	}
	route := plan.set.Route(e.App)
	if route.Empty() {
		st.Ignored.Add(1)
		return
	}
	if reason := f.grant.admit(e.Hostname, e.App); reason != "" {
		st.Refused.Add(1)
		e.Source.Refused.Add(reason, e.Received, e.Raw)
		f.p.quotas.accuse(e.Source.Name)
		return
	}
	late, repeated := f.history.late(e, f.conn)
	if repeated {
		st.Repeated.Add(1)
		return
	}
	n := f.worker(e, route)
	b := f.batches[n]
	if b == nil {
		b = newBatch(plan)
		f.batches[n] = b
	}
	f.identify(e)
	b.add(e, late, f.grant, route)
	if b.full() {
		f.send(n)
	}
}

// take notes whose lines follow.
func (f *Feed) take(e *receiver.Entry, plan *Plan) {
	s := e.Source
	if f.source == nil || f.source.Name != s.Name {
		f.history = f.p.histories.of(s.Name)
		f.chosen.n = -1
		if f.lossy {
			f.conn = nil
		} else {
			f.conn = f.history.connect(&e.Peer)
		}
	}
	f.source, f.plan, f.grant = s, plan, plan.grants[s.Name]
}

// Broken says that the connection ended without the sender's consent, so that it may repeat lines
// on its next one.
func (f *Feed) Broken() {
	if f.conn != nil {
		f.history.ended(f.conn, broken)
	}
}

// Left says that the sender ended the connection itself: it repeats nothing of it.
func (f *Feed) Left() {
	if f.conn != nil {
		f.history.ended(f.conn, left)
	}
}

// worker says which worker takes the entry.
func (f *Feed) worker(e *receiver.Entry, route filter.Route) int {
	workers := uint64(len(f.batches))
	if !route.Stateful() {
		return int(uint64(f.turn) % workers)
	}
	family, last := route.Family(), &f.chosen
	if last.n >= 0 && last.family == family && string(last.host) == string(e.Hostname) {
		return last.n // of the same source, see take
	}
	var h maphash.Hash
	h.SetSeed(shardSeed)
	_, _ = h.WriteString(e.Source.Name)
	_ = h.WriteByte(0)
	_, _ = h.Write(e.Hostname)
	_ = h.WriteByte(0)
	_, _ = h.WriteString(family)
	last.n, last.family, last.host = int(h.Sum64()%workers), family, append(last.host[:0], e.Hostname...)
	return last.n
}

var shardSeed = maphash.MakeSeed()

// Flush hands on what Put has gathered.
func (f *Feed) Flush() {
	for n, b := range f.batches {
		if b != nil {
			f.send(n)
		}
	}
}

func (f *Feed) send(n int) {
	b := f.batches[n]
	f.batches[n] = nil
	w := f.p.workers[n]
	if f.lossy {
		select {
		case w.lossy <- b:
		default:
			f.drop(b)
		}
		return
	}
	select {
	case w.in <- b:
	case <-f.p.stopped:
		f.drop(b)
	}
}

// drop counts a batch that found no room.
func (f *Feed) drop(b *batch) {
	f.p.stats.Dropped.Add(int64(len(b.items)))
	for i := range b.items {
		it := &b.items[i]
		it.source.Refused.Add("queue_full", it.received, b.text(it.raw))
	}
	b.free()
}
