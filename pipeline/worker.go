package pipeline

import (
	"context"
	"time"

	"stockade/jails/filter"
	"stockade/jails/state"
	"stockade/receiver"
)

// worker matches and judges the lines of its queue. A matcher keeps state between lines, so each
// worker has one, made anew when the plan changes.
type worker struct {
	p       *Pipeline
	in      chan *batch // streamQueue deep; whoever sends waits when it is full
	lossy   chan *batch // datagramQueue deep; what finds it full is dropped
	plan    *Plan
	matcher *filter.Matcher
	line    filter.Line
	recent  *state.Recent

	// Counts of the batch at hand: a shared counter that two processors write by turns costs more
	// than matching a line.
	matched, unmatched int64
	failures           failures
}

// failures counts those of banned addresses.
type failures struct {
	source *receiver.Source
	n, all int64 // of source, of all
}

func (f *failures) add(s *receiver.Source) {
	if s != f.source {
		f.flush()
		f.source = s
	}
	f.n++
	f.all++
}

func (f *failures) flush() {
	if f.n > 0 {
		f.source.Failures.Add(f.n)
	}
	f.source, f.n = nil, 0
}

// flush adds the counts of a batch: that of lines last, for whoever waits for it.
func (w *worker) flush() {
	w.recent.Flush()
	w.failures.flush()
	st := &w.p.stats
	st.Failures.Add(w.failures.all)
	st.Unmatched.Add(w.unmatched)
	st.Matched.Add(w.matched)
	w.failures.all, w.unmatched, w.matched = 0, 0, 0
}

func newWorker(p *Pipeline) *worker {
	return &worker{
		p: p, recent: p.store.NewRecent(),
		in: make(chan *batch, streamQueue), lossy: make(chan *batch, datagramQueue),
	}
}

// run works until ctx is done and the queues are empty.
func (w *worker) run(ctx context.Context) {
	for {
		select {
		case b := <-w.in:
			w.work(b)
		case b := <-w.lossy:
			w.work(b)
		case <-ctx.Done():
			for {
				select {
				case b := <-w.in:
					w.work(b)
				case b := <-w.lossy:
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
		stall(b.text(it.text))
		w.line = filter.Line{
			App:      b.text(it.app),
			Host:     b.text(it.host),
			PID:      b.text(it.pid),
			Text:     b.text(it.text),
			Time:     it.at(),
			Facility: it.facility,
			Cut:      it.cut,
			Source:   it.source.Name,
		}
		if it.file {
			w.line.Whole = b.text(it.raw)
		}
		matches := w.matcher.Match(&w.line, it.route)
		if len(matches) == 0 {
			w.unmatched++
			continue
		}
		w.matched++
		for j := range matches {
			w.judge(b, it, &matches[j])
		}
	}
	if n := len(b.items); n > 0 {
		w.p.stats.Match.ObserveN(time.Since(begin)/time.Duration(n), n)
	}
	w.flush()
	b.free()
}
