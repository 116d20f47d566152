package receiver

import (
	"sync"
	"time"
)

// Refusals counts refusals by reason and keeps the last sample of each. The zero value is ready.
// Reasons are a small fixed vocabulary of this program, never text from a line.
type Refusals struct {
	mu sync.Mutex
	by map[string]*Refusal
}

// Refusal is one reason's count.
type Refusal struct {
	Reason string
	Count  int64
	Last   time.Time
	Sample string // at most 256 bytes of the last line or peer refused, unescaped
}

const maxSample = 256

// Add counts one refusal and keeps the sample, cut to 256 bytes.
func (r *Refusals) Add(reason string, now time.Time, sample []byte) {
	r.AddN(reason, now, sample, 1)
}

// AddN counts n refusals of one reason.
func (r *Refusals) AddN(reason string, now time.Time, sample []byte, n int64) {
	if n <= 0 {
		return
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	x := r.by[reason]
	if x == nil {
		if r.by == nil {
			r.by = make(map[string]*Refusal)
		}
		x = &Refusal{Reason: reason}
		r.by[reason] = x
	}
	x.Count += n
	if now.Sub(x.Last) >= time.Second || x.Sample == "" {
		x.Last, x.Sample = now, string(sample[:min(len(sample), maxSample)])
	}
}

// All returns a copy of every reason's count, in no order.
func (r *Refusals) All() []Refusal {
	r.mu.Lock()
	defer r.mu.Unlock()
	all := make([]Refusal, 0, len(r.by))
	for _, x := range r.by {
		all = append(all, *x)
	}
	return all
}
