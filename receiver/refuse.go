package receiver

import (
	"sync"
	"time"
)

// Refusals counts refusals by reason and keeps the last samples of each. The zero value is ready.
// Reasons are a small fixed vocabulary of this program, never text from a line.
type Refusals struct {
	mu sync.Mutex
	by map[string]*refused
}

// refused is one reason's count, with its last samples.
type refused struct {
	Refusal
	ring [keptSamples]sample
	next int // where the next one goes
}

// sample is the beginning of a line that was refused.
type sample struct {
	at   time.Time
	text []byte // at most maxSample; its room is used again
}

// Refusal is one reason's count.
type Refusal struct {
	Reason string
	Count  int64
	Last   time.Time
	Sample string // at most 256 bytes of the last line or peer refused, unescaped
}

const (
	maxSample   = 256
	keptSamples = 32 // of each reason
)

// Add counts one refusal and keeps the text as a sample, cut to 256 bytes. It copies what it keeps, and
// allocates for the first samples and once a second.
func (r *Refusals) Add(reason string, now time.Time, text []byte) {
	r.AddN(reason, now, text, 1)
}

// AddN counts n refusals of one reason.
func (r *Refusals) AddN(reason string, now time.Time, text []byte, n int64) {
	if n <= 0 {
		return
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	x := r.by[reason]
	if x == nil {
		if r.by == nil {
			r.by = make(map[string]*refused)
		}
		x = &refused{Refusal: Refusal{Reason: reason}}
		r.by[reason] = x
	}
	x.Count += n
	s := &x.ring[x.next]
	if s.text == nil {
		s.text = make([]byte, 0, maxSample)
	}
	s.at, s.text = now, append(s.text[:0], text[:min(len(text), maxSample)]...)
	x.next = (x.next + 1) % keptSamples
	if now.Sub(x.Last) >= time.Second || x.Sample == "" {
		x.Last, x.Sample = now, string(text[:min(len(text), maxSample)])
	}
}

// All returns a copy of every reason's count, in no order.
func (r *Refusals) All() []Refusal {
	r.mu.Lock()
	defer r.mu.Unlock()
	all := make([]Refusal, 0, len(r.by))
	for _, x := range r.by {
		all = append(all, x.Refusal)
	}
	return all
}

// Find returns, for each reason with a kept sample that match accepts, its count with the newest such
// sample and when that was refused, in no order. The last 32 samples of each reason are kept. match must
// not keep its argument, and is called under a lock: it must be quick.
func (r *Refusals) Find(match func(text []byte) bool) []Refusal {
	r.mu.Lock()
	defer r.mu.Unlock()
	var found []Refusal
	for _, x := range r.by {
		for i := range keptSamples {
			s := &x.ring[(x.next+2*keptSamples-1-i)%keptSamples]
			if s.text != nil && match(s.text) {
				found = append(found, Refusal{Reason: x.Reason, Count: x.Count, Last: s.at, Sample: string(s.text)})
				break
			}
		}
	}
	return found
}
