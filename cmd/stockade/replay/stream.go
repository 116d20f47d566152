package replay

import (
	"context"
	"errors"
	"io"
	"sync"

	"stockade/jails/filter"
)

// depth is how many blocks of one file may wait at each station.
const depth = 4

// lanes are the matchers of one file at a time: of each worker one a policy. They know which lines
// belong together, so the next part of a rotated log gets those of the part before it.
type lanes [][]*filter.Matcher

func newLanes(sides []*Policy, workers int) lanes {
	all := make(lanes, workers)
	for i := range all {
		for _, p := range sides {
			all[i] = append(all[i], p.set.NewMatcher())
		}
	}
	return all
}

// stream takes one file apart: its blocks come out of out in order, matched, and out is closed
// behind the last.
type stream struct {
	in      *input
	o       *Options
	lanes   lanes
	out     chan *block // depth blocks
	natives [maxSides]bool
}

// start begins to read. Everything ends with the file or with ctx; work is done when it has.
func (s *stream) start(ctx context.Context, work *sync.WaitGroup, decoders []*decoder) {
	s.out = make(chan *block, depth)
	raw := make(chan *block, depth)     // to whichever decoder is free
	ordered := make(chan *block, depth) // the same blocks, in order
	queues := make([]chan *block, len(s.lanes))
	for i, p := range s.o.sides() {
		s.natives[i] = p.regexes.Route([]byte(s.in.app)).Empty()
	}
	work.Go(func() { s.reader(ctx, decoders[0], raw, ordered) })
	for _, d := range decoders {
		work.Go(func() {
			for b := range raw {
				d.block(b, s.in)
				close(b.decoded)
			}
		})
	}
	for i := range s.lanes {
		queues[i] = make(chan *block, depth)
		work.Go(func() { s.matcher(i, queues[i]) })
	}
	work.Go(func() { s.sequencer(ctx, ordered, queues) })
}

// reader cuts the file into blocks.
func (s *stream) reader(ctx context.Context, spare *decoder, raw, ordered chan<- *block) {
	defer close(ordered)
	defer close(raw)
	lines := cutter{r: s.in.text}
	var records *export
	if s.in.journal {
		own := *spare
		records = newExport(s.in, &own)
	}
	for seq := 0; ; seq++ {
		b := newBlock(len(s.lanes))
		b.seq, b.natives = seq, s.natives
		if records != nil {
			b.err = records.fill(b)
			close(b.decoded)
		} else {
			b.buf, b.err = lines.fill(b.buf)
		}
		end := b.err != nil
		if errors.Is(b.err, io.EOF) {
			b.err = nil
		}
		if records == nil && !send(ctx, raw, b) || !send(ctx, ordered, b) || end {
			return
		}
	}
}

func send(ctx context.Context, to chan<- *block, b *block) bool {
	select {
	case to <- b:
		return true
	case <-ctx.Done():
		return false
	}
}

// sequencer numbers the lines, gives a time to those without, and hands the blocks on in order.
func (s *stream) sequencer(ctx context.Context, ordered <-chan *block, queues []chan *block) {
	defer close(s.out)
	defer func() {
		for _, q := range queues {
			close(q)
		}
	}()
	number, last, peak := int64(1), s.in.first, int64(0)
	if last == 0 {
		last = s.in.clock.UnixNano()
	}
	for b := range ordered {
		<-b.decoded
		b.first = number
		number += int64(b.count)
		for i := range b.lines {
			l := &b.lines[i]
			if l.at != 0 {
				break
			}
			l.at = last
		}
		if b.latest != 0 {
			last = b.latest
		}
		peak = max(peak, b.peak)
		b.matching.Add(len(queues))
		for _, q := range queues {
			if !send(ctx, q, b) {
				return
			}
		}
		if !send(ctx, s.out, b) {
			return
		}
	}
}

// matcher matches its share of each block.
func (s *stream) matcher(i int, queue <-chan *block) {
	var in filter.Line
	for b := range queue {
		found := b.found[i]
		for j := range b.lines {
			l := &b.lines[j]
			for side, m := range s.lanes[i] {
				if l.routes[side].Empty() || int(l.shards[side]) != i {
					continue
				}
				in = filter.Line{App: l.app, Host: l.host, PID: l.pid, Text: l.text, Time: unix(l.at), Facility: l.facility, Source: s.in.source}
				if l.whole {
					in.Whole = l.raw
				}
				if l.cut != nil && !b.natives[side] {
					in.Text = l.cut
				}
				for _, match := range m.Match(&in, l.routes[side]) {
					found = append(found, hit{side: uint8(side), n: l.n, repeat: l.repeat, at: l.at, raw: l.raw, match: match}) //nolint:gosec // maxSides
				}
			}
		}
		b.found[i] = found
		b.matching.Done()
	}
}
