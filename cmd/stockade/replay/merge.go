package replay

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"sync"
	"time"

	"stockade/jails/filter/dates"
)

// merger runs the streams of all files and takes their hits in the order of time.
type merger struct {
	o       *Options
	work    sync.WaitGroup
	spare   []lanes
	dates   *dates.Detector
	waiting []*stream // by their first line
	running []*head
	sum     *counts
}

// counts are what the lines themselves say, whatever the policy.
type counts struct {
	lines, undated, unheard int64
	first, last             int64
}

// head is a stream at its next hit.
type head struct {
	s    *stream
	b    *block
	at   int // of the hit in b
	peak int64
}

// run gives every hit of all inputs to take, in order. Hits are valid during the call.
func (m *merger) run(ctx context.Context, inputs []*input, take func(in *input, b *block, h *hit)) error {
	ctx, cancel := context.WithCancel(ctx)
	defer m.work.Wait()
	defer cancel()
	peeking := newDecoder(m.o, m.dates)
	for _, in := range inputs {
		if !in.journal {
			text, _ := in.text.Peek(maxLine) // a short log is as good
			in.first = peeking.firstTime(text, in)
		}
		m.waiting = append(m.waiting, &stream{in: in, o: m.o})
	}
	slices.SortStableFunc(m.waiting, func(a, b *stream) int { return cmp.Compare(a.in.first, b.in.first) })
	for {
		next := m.next()
		for len(m.waiting) > 0 && (next == nil || m.waiting[0].in.first <= next.hit().ordered) {
			if err := m.begin(ctx); err != nil {
				return err
			}
			next = m.next()
		}
		if next == nil {
			return ctx.Err()
		}
		take(next.s.in, next.b, next.hit())
		next.at++
		if err := m.settle(ctx, next); err != nil {
			return err
		}
	}
}

// next is the head with the earliest hit, or nil.
func (m *merger) next() *head {
	var first *head
	for _, h := range m.running {
		if first == nil || h.hit().ordered < first.hit().ordered {
			first = h
		}
	}
	return first
}

func (h *head) hit() *hit { return &h.b.hits[h.at] }

// begin starts the first stream that waits.
func (m *merger) begin(ctx context.Context) error {
	s := m.waiting[0]
	m.waiting = m.waiting[1:]
	if n := len(m.spare); n > 0 {
		s.lanes, m.spare = m.spare[n-1], m.spare[:n-1]
	} else {
		s.lanes = newLanes(m.o.sides(), m.o.Workers)
	}
	decoders := make([]*decoder, m.o.Workers)
	for i := range decoders {
		decoders[i] = newDecoder(m.o, m.dates)
	}
	s.start(ctx, &m.work, decoders)
	h := &head{s: s}
	m.running = append(m.running, h)
	return m.settle(ctx, h)
}

// settle moves a head to its next hit, if need be in a later block; at the end it leaves.
func (m *merger) settle(ctx context.Context, h *head) error {
	for h.b == nil || h.at >= len(h.b.hits) {
		if h.b != nil {
			if h.b.err != nil {
				return fmt.Errorf("read %q: %w", h.s.in.name, h.b.err)
			}
			h.b.free()
			h.b = nil
		}
		b, ok := <-h.s.out
		if !ok {
			m.running = slices.DeleteFunc(m.running, func(x *head) bool { return x == h })
			m.spare = append(m.spare, h.s.lanes)
			return ctx.Err()
		}
		b.matching.Wait()
		b.gather(&h.peak)
		m.sum.add(b)
		h.b, h.at = b, 0
	}
	return nil
}

// gather puts the hits of all matchers in the order of their lines, and notes how far the time had
// come at each.
func (b *block) gather(peak *int64) {
	busy := 0
	for _, found := range b.found {
		if len(found) > 0 {
			busy++
		}
		b.hits = append(b.hits, found...)
	}
	if busy > 1 {
		slices.SortStableFunc(b.hits, func(x, y hit) int { return cmp.Compare(x.n, y.n) })
	}
	for i := range b.hits {
		*peak = max(*peak, b.hits[i].at)
		b.hits[i].ordered = *peak
	}
}

func (c *counts) add(b *block) {
	c.lines += int64(b.count)
	c.undated += int64(b.undated)
	c.unheard += int64(b.skipped)
	if b.peak != 0 {
		c.last = max(c.last, b.peak)
	}
	if c.first == 0 {
		c.first = b.earliest
	} else if b.earliest != 0 {
		c.first = min(c.first, b.earliest)
	}
}

func unix(ns int64) time.Time { return time.Unix(0, ns) }
