package pipeline

import (
	"net/netip"
	"sync"
	"time"

	"stockade/jails"
	"stockade/jails/state"
)

const (
	successKept = 7 * 24 * time.Hour
	maxSuccess  = 65536           // addresses remembered; the oldest make room
	gentleBan   = 5 * time.Minute // the first ban of an address that logged in lately
)

// Successes remembers the addresses that lately logged in: somebody who knows the password and
// mistypes it gets a short first ban. Its methods may be called concurrently.
type Successes struct {
	now func() time.Time

	mu      sync.Mutex
	last    map[netip.Addr]time.Time
	unsaved bool      // last has what the file has not
	saved   time.Time // when the file was written last
}

// NewSuccesses returns an empty memory.
func NewSuccesses() *Successes {
	return &Successes{now: time.Now, last: make(map[netip.Addr]time.Time)}
}

func (s *Successes) note(addr netip.Addr) {
	now := s.now()
	s.mu.Lock()
	defer s.mu.Unlock()
	if _, known := s.last[addr]; !known && len(s.last) >= maxSuccess {
		s.evict(now)
	}
	s.last[addr], s.unsaved = now, true
}

// evict forgets what is too old, or else the oldest.
func (s *Successes) evict(now time.Time) {
	var oldest netip.Addr
	at := now
	for a, t := range s.last {
		if now.Sub(t) > successKept {
			delete(s.last, a)
		} else if !t.After(at) {
			oldest, at = a, t
		}
	}
	if len(s.last) >= maxSuccess {
		delete(s.last, oldest)
	}
}

// recent reports whether the address logged in during the last seven days.
func (s *Successes) recent(addr netip.Addr) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	t, known := s.last[addr]
	return known && s.now().Sub(t) <= successKept
}

// inside reports whether an address of the prefix other than addr logged in lately.
func (s *Successes) inside(prefix netip.Prefix, addr netip.Addr) bool {
	if prefix.IsSingleIP() {
		return false
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	for a, t := range s.last {
		if a != addr && prefix.Contains(a) && s.now().Sub(t) <= successKept {
			return true
		}
	}
	return false
}

// Admission decides whether, and for how long, a ban may begin; see state.Options.Admit.
type Admission struct {
	Quotas    *Quotas
	Successes *Successes
}

// Admit shortens the first ban of an address that logged in lately and any of a network that the
// jail counts as one, and asks the source's quota.
func (a Admission) Admit(j *jails.Jail, f state.Failure, b *state.Ban) bool {
	if short := b.Start.Add(gentleBan); b.Count == 1 && a.Successes.recent(f.Addr) && (b.End.IsZero() || b.End.After(short)) {
		b.End = short
		b.Reason += "; short, because the address logged in lately"
	}
	if j.Key == jails.KeyPrefix && b.Prefix.Bits() < f.Addr.BitLen() {
		if most := b.Start.Add(jails.MaxWideBan); b.End.IsZero() || b.End.After(most) {
			b.End = most
		}
	}
	return a.Quotas.Admit(j, f, b)
}
