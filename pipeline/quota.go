package pipeline

import (
	"fmt"
	"net/netip"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/time/rate"

	"stockade/jails"
	"stockade/jails/state"
	"stockade/receiver"
)

// Defaults of a source that proves less than the kernel does, and the bound of what waits.
const (
	defaultBansPerMinute = 60
	defaultBurst         = 120
	maxHeld              = 10_000           // bans that wait for one source's quota; one more is given up and counted
	quarantineFor        = 15 * time.Minute // below its quota, until a source is believed again
	forgeriesPerMinute   = 10               // lines outside its grants and protected addresses accused; more lead to quarantine
)

// Reasons for which a failure of a source over its quota does not count, or a ban was given up.
const (
	refusedQuarantine = "quarantined"
	refusedHeldFull   = "quota_queue_full"
)

// Quotas limits the new bans of each source. A ban over the quota waits: it begins when the quota
// allows it or the operator approves, the most active offenders first; of an address that the kernel
// saw complete a handshake it begins at once. A source with `over: quarantine` is not believed at all
// once it went over, or forged: until it is released or was below its quota for 15 minutes. Its
// methods may be called concurrently.
type Quotas struct {
	now func() time.Time

	doubted atomic.Int32  // sources in quarantine: while there is none, no line asks for the lock
	waits   chan struct{} // holds one: a source has its first ban that waits, and who releases them has not heard

	mu sync.Mutex
	by map[string]*quota
}

// quota is one source's.
type quota struct {
	config      receiver.QuotaConfig
	limiter     *rate.Limiter
	forgeries   *rate.Limiter // evidence of forgery that is taken for mistakes
	held        map[heldKey]held
	quarantined time.Time // since when; zero: believed
	why         string    // it was quarantined
	over        time.Time // the last time it wanted more than its quota, or forged
}

type heldKey struct {
	jail   string
	prefix netip.Prefix
}

// held is a ban that waits, and how many failures asked for it.
type held struct {
	*state.Ban
	addr  netip.Addr // of the last failure
	asked int
	seen  time.Time // when the kernel was last asked for a witness; zero: never
}

// NewQuotas returns quotas that limit nobody until Set.
func NewQuotas() *Quotas {
	return &Quotas{now: time.Now, by: make(map[string]*quota), waits: make(chan struct{}, 1)}
}

// Set takes the quotas of the sources. kernel says whether a source's level is kernel, where the
// default is none. A source whose quota did not change keeps what it has used and what waits.
func (q *Quotas) Set(sources []*receiver.Source, kernel func(*receiver.Source) bool) {
	q.mu.Lock()
	defer q.mu.Unlock()
	next := make(map[string]*quota)
	for _, s := range sources {
		c := s.Quota
		if c == (receiver.QuotaConfig{}) && kernel(s) || c.Word == "none" {
			continue
		}
		if c.BansPerMinute == 0 {
			c.BansPerMinute = defaultBansPerMinute
		}
		if c.Burst == 0 {
			c.Burst = defaultBurst
		}
		if old := q.by[s.Name]; old != nil && old.config == c {
			next[s.Name] = old
			continue
		}
		next[s.Name] = &quota{
			config:    c,
			limiter:   rate.NewLimiter(rate.Limit(float64(c.BansPerMinute)/60), c.Burst),
			forgeries: rate.NewLimiter(forgeriesPerMinute/60., forgeriesPerMinute),
			held:      make(map[heldKey]held),
		}
	}
	q.by = next
	q.countLocked()
}

// countLocked counts the sources in quarantine, after one entered or left it.
func (q *Quotas) countLocked() {
	var n int32
	for _, s := range q.by {
		if !s.quarantined.IsZero() {
			n++
		}
	}
	q.doubted.Store(n)
}

// Admit reports whether a source may begin one more ban now.
func (q *Quotas) Admit(_ *jails.Jail, f state.Failure, b *state.Ban) bool {
	if b.Shadow {
		return true
	}
	q.mu.Lock()
	defer q.mu.Unlock()
	s := q.by[f.Evidence.Source]
	if s == nil {
		return true
	}
	now := q.now()
	if len(s.held) == 0 && s.limiter.AllowN(now, 1) {
		return true
	}
	q.exceedLocked(s, now, "went over its quota")
	return false
}

// exceedLocked notes that a source went too far, and begins its quarantine where it is half trusted.
func (q *Quotas) exceedLocked(s *quota, now time.Time, why string) {
	s.over = now
	if s.config.Over == "quarantine" && s.quarantined.IsZero() {
		s.quarantined, s.why = now, why
		q.countLocked()
	}
}

// accuse notes evidence that a source forges: a line outside its grants, or a protected address
// accused. A few of them are mistakes of honest hosts.
func (q *Quotas) accuse(source string) {
	q.mu.Lock()
	defer q.mu.Unlock()
	s := q.by[source]
	if s == nil || s.config.Over != "quarantine" {
		return
	}
	if now := q.now(); !s.forgeries.AllowN(now, 1) {
		q.exceedLocked(s, now, "sent lines outside its grants or accused protected addresses, again and again")
	}
}

// believed reports whether a source is not in quarantine, and ends a quarantine that is over.
func (q *Quotas) believed(source string) bool {
	if q.doubted.Load() == 0 {
		return true
	}
	q.mu.Lock()
	defer q.mu.Unlock()
	s := q.by[source]
	if s == nil || s.quarantined.IsZero() {
		return true
	}
	now := q.now()
	if !s.limiter.AllowN(now, 1) {
		s.over = now
	}
	if now.Sub(s.over) < quarantineFor {
		return false
	}
	s.quarantined = time.Time{}
	q.countLocked()
	return true
}

// hold keeps a ban that was not admitted. addr is the address of the failure that asked for it. It
// reports false when there is no room for one more.
func (q *Quotas) hold(b *state.Ban, addr netip.Addr) bool {
	q.mu.Lock()
	defer q.mu.Unlock()
	s := q.by[b.Source]
	if s == nil {
		return false
	}
	key := heldKey{b.Jail, b.Prefix}
	h, again := s.held[key]
	if !again && len(s.held) >= maxHeld {
		return false
	}
	s.held[key] = held{b, addr, h.asked + 1, h.seen}
	if len(s.held) == 1 {
		select {
		case q.waits <- struct{}{}:
		default:
		}
	}
	return true
}

// pace is how often to look for bans that may begin.
func (q *Quotas) pace() time.Duration {
	q.mu.Lock()
	defer q.mu.Unlock()
	for _, s := range q.by {
		if len(s.held) > 0 {
			return releaseEvery
		}
	}
	return houseEvery
}

const (
	witnessEvery = 5 * time.Second // how often the kernel is asked again about a ban that waits
	witnessBatch = 1000            // bans asked about at a time
)

// unseen returns bans that wait and whose addresses the kernel has not been asked about lately.
// Those of sources that one half trusts wait for the operator.
func (q *Quotas) unseen() (keys []heldKey, addrs []netip.Addr) {
	q.mu.Lock()
	defer q.mu.Unlock()
	now := q.now()
	for _, s := range q.by {
		if s.config.Over == "quarantine" {
			continue
		}
		for k, h := range s.held {
			if len(keys) < witnessBatch && now.Sub(h.seen) >= witnessEvery {
				h.seen = now
				s.held[k] = h
				keys, addrs = append(keys, k), append(addrs, h.addr)
			}
		}
	}
	return keys, addrs
}

// take takes held bans.
func (q *Quotas) take(keys []heldKey) (out []*state.Ban) {
	q.mu.Lock()
	defer q.mu.Unlock()
	for _, k := range keys {
		for _, s := range q.by {
			if h, waits := s.held[k]; waits {
				out = append(out, h.Ban)
				delete(s.held, k)
			}
		}
	}
	return out
}

// takeWorst takes the held ban that was asked for most often, the earliest of equals.
func (s *quota) takeWorst() *state.Ban {
	var key heldKey
	var worst held
	for k, h := range s.held {
		if worst.Ban == nil || h.asked > worst.asked || h.asked == worst.asked && h.Start.Before(worst.Start) {
			key, worst = k, h
		}
	}
	delete(s.held, key)
	return worst.Ban
}

// release takes the held bans that may begin now, the worst offenders first.
func (q *Quotas) release() []*state.Ban {
	q.mu.Lock()
	defer q.mu.Unlock()
	now := q.now()
	var out []*state.Ban
	for _, s := range q.by {
		for len(s.held) > 0 && s.limiter.AllowN(now, 1) {
			out = append(out, s.takeWorst())
		}
	}
	return out
}

// approve takes everything that waits for a source's quota and ends its quarantine.
func (q *Quotas) approve(source string) []*state.Ban {
	q.mu.Lock()
	defer q.mu.Unlock()
	s := q.by[source]
	if s == nil {
		return nil
	}
	s.quarantined = time.Time{}
	q.countLocked()
	out := make([]*state.Ban, 0, len(s.held))
	for key, b := range s.held {
		out = append(out, b.Ban)
		delete(s.held, key)
	}
	return out
}

// Release ends the quarantine of a source and reports whether it was in one. What waits goes on
// waiting.
func (q *Quotas) Release(source string) bool {
	q.mu.Lock()
	defer q.mu.Unlock()
	s := q.by[source]
	if s == nil || s.quarantined.IsZero() {
		return false
	}
	s.quarantined = time.Time{}
	q.countLocked()
	return true
}

// forget drops what waits and for which lift returns true: an unban also takes back what was to come.
func (q *Quotas) forget(lift func(*state.Ban) bool) (n int) {
	q.mu.Lock()
	defer q.mu.Unlock()
	for _, s := range q.by {
		for key, b := range s.held {
			if lift(b.Ban) {
				delete(s.held, key)
				n++
			}
		}
	}
	return n
}

// QuotaState is how much of its quota a source has left.
type QuotaState struct {
	Left        int64 // new bans that would be admitted now
	Pending     int64 // bans that wait
	Quarantined time.Time
}

// State returns the state of a source's quota; false for a source without one.
func (q *Quotas) State(source string) (QuotaState, bool) {
	q.mu.Lock()
	defer q.mu.Unlock()
	s := q.by[source]
	if s == nil {
		return QuotaState{}, false
	}
	return QuotaState{Left: int64(max(0, s.limiter.TokensAt(q.now()))), Pending: int64(len(s.held)), Quarantined: s.quarantined}, true
}

// faults are the sources that are over their quota.
func (q *Quotas) faults() []Fault {
	q.mu.Lock()
	defer q.mu.Unlock()
	var list []Fault
	for name, s := range q.by {
		switch {
		case !s.quarantined.IsZero():
			list = append(list, Fault{"quarantine", fmt.Sprintf("source %s %s and is not believed: look at it, then `stockade sources release %s`", name, s.why, name), s.quarantined})
		case len(s.held) > 0:
			list = append(list, Fault{"quota", fmt.Sprintf("source %s is over its quota: %d bans wait; `stockade approve --source %s` begins them", name, len(s.held), name), s.over})
		}
	}
	return list
}
