package pipeline

import (
	"sync/atomic"
	"time"
)

// Stats counts lines by what became of them: each line put in is counted in Lines and in exactly
// one of Ignored, Continued, Refused, Repeated, Dropped, Unmatched and Matched.
type Stats struct {
	Lines     atomic.Int64
	Ignored   atomic.Int64 // no jail listens to the app
	Continued atomic.Int64 // the rest of a record that its carrier cut
	Refused   atomic.Int64 // outside the source's grants
	Repeated  atomic.Int64 // sent again after a connection broke
	Dropped   atomic.Int64 // a queue was full
	Unmatched atomic.Int64
	Matched   atomic.Int64

	Failures   atomic.Int64 // matches that counted
	Successes  atomic.Int64 // logins
	Truncated  atomic.Int64 // matches in lines whose end is missing, which may have cut the address
	Unproven   atomic.Int64 // matches that prove no address, without a witness
	Distrust   atomic.Int64 // matches that did not count: grants, trust, origin
	Protected  atomic.Int64 // matches that named a protected or ignored address
	Weightless atomic.Int64 // matches of patterns with the weight 0
	Alerts     atomic.Int64 // thresholds reached by a user, which ban nobody
	Widened    atomic.Int64 // networks banned for several of their addresses
	Bans       atomic.Int64
	Shadowed   atomic.Int64 // bans that a shadow jail would have made

	Repaired atomic.Int64 // elements that were missing in the kernel and were set again

	Match    Histogram // of a line, with judging and counting; those of a batch have its mean
	ToKernel Histogram // from the arrival of the deciding line to the read-back
}

// Histogram counts durations in buckets that double from 2 µs to 2 s.
type Histogram struct {
	counts [22]atomic.Int64
	sum    atomic.Int64
}

const firstBucket = 2 * time.Microsecond

// Observe adds one duration.
func (h *Histogram) Observe(d time.Duration) { h.ObserveN(d, 1) }

// ObserveN adds n times the same duration.
func (h *Histogram) ObserveN(d time.Duration, n int) {
	i, limit := 0, firstBucket
	for i < len(h.counts)-1 && d > limit {
		i, limit = i+1, limit*2
	}
	h.counts[i].Add(int64(n))
	h.sum.Add(int64(d) * int64(n))
}

// Snapshot returns the cumulative counts by upper limit (the last has none and is the total) and
// the sum of all durations.
func (h *Histogram) Snapshot() (limits []time.Duration, cumulative []int64, sum time.Duration) {
	var n int64
	limit := firstBucket
	for i := range h.counts {
		n += h.counts[i].Load()
		cumulative = append(cumulative, n)
		if i < len(h.counts)-1 {
			limits = append(limits, limit)
			limit *= 2
		}
	}
	return limits, cumulative, time.Duration(h.sum.Load())
}
