package pipeline

import (
	"context"
	"time"

	"stockade/jails/filter"
)

// worker matches and judges the lines of its queue. A matcher keeps state between lines, so each
// worker has one, made anew when the plan changes.
type worker struct {
	p       *Pipeline
	in      chan *batch // batchQueue deep; see the package comment for what happens when full
	plan    *Plan
	matcher *filter.Matcher
	line    filter.Line
}

func newWorker(p *Pipeline) *worker {
	return &worker{p: p, in: make(chan *batch, batchQueue)}
}

// run works until ctx is done and the queue is empty.
func (w *worker) run(ctx context.Context) {
	for {
		select {
		case b := <-w.in:
			w.work(b)
		case <-ctx.Done():
			for {
				select {
				case b := <-w.in:
					w.work(b)
				default:
					return
				}
			}
		}
	}
}

func (w *worker) work(b *batch) {
	if b.pong != nil {
		b.pong <- struct{}{}
		return
	}
	if b.plan != w.plan {
		w.plan, w.matcher = b.plan, b.plan.set.NewMatcher()
	}
	begin := time.Now()
	for i := range b.items {
		it := &b.items[i]
		w.line = filter.Line{
			App:      b.text(it.app),
			Host:     b.text(it.host),
			PID:      b.text(it.pid),
			Text:     b.text(it.text),
			Time:     it.at,
			Facility: it.facility,
			Cut:      it.cut,
			Source:   it.source.Name,
		}
		if it.file {
			w.line.Whole = b.text(it.raw)
		}
		matches := w.matcher.Match(&w.line, it.route)
		if len(matches) == 0 {
			w.p.stats.Unmatched.Add(1)
			continue
		}
		w.p.stats.Matched.Add(1)
		for j := range matches {
			w.judge(b, it, &matches[j])
		}
	}
	if n := len(b.items); n > 0 {
		w.p.stats.Match.ObserveN(time.Since(begin)/time.Duration(n), n)
	}
	b.free()
}
