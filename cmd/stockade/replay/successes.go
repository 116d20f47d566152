package replay

import (
	"net/netip"
	"time"

	"stockade/jails/state"
)

const (
	successKept = 7 * 24 * time.Hour
	maxSuccess  = 65536           // addresses remembered; the oldest makes room
	gentleBan   = 5 * time.Minute // the first ban of an address that logged in lately
)

// successes remembers who logged in lately, in the lines' time, as the pipeline does in its own.
type successes struct {
	by4, by6 map[netip.Addr]time.Time
}

func newSuccesses() *successes {
	return &successes{make(map[netip.Addr]time.Time), make(map[netip.Addr]time.Time)}
}

func (s *successes) of(a netip.Addr) map[netip.Addr]time.Time {
	if a.Is4() {
		return s.by4
	}
	return s.by6
}

func (s *successes) note(a netip.Addr, now time.Time) {
	last := s.of(a)
	if _, known := last[a]; !known && len(last) >= maxSuccess {
		evict(last, now)
	}
	last[a] = now
}

// evict forgets what is too old, or else the oldest.
func evict(last map[netip.Addr]time.Time, now time.Time) {
	var oldest netip.Addr
	at := now
	for a, t := range last {
		if now.Sub(t) > successKept {
			delete(last, a)
		} else if !t.After(at) {
			oldest, at = a, t
		}
	}
	if len(last) >= maxSuccess {
		delete(last, oldest)
	}
}

func (s *successes) recent(a netip.Addr, now time.Time) bool {
	t, known := s.of(a)[a]
	return known && now.Sub(t) <= successKept
}

// inside reports whether an address of the prefix other than addr logged in lately.
func (s *successes) inside(prefix netip.Prefix, addr netip.Addr, now time.Time) bool {
	if prefix.IsSingleIP() {
		return false
	}
	for a, t := range s.of(addr) {
		if a != addr && prefix.Contains(a) && now.Sub(t) <= successKept {
			return true
		}
	}
	return false
}

// soften shortens the first ban of an address that logged in lately.
func (s *successes) soften(f state.Failure, b *state.Ban) {
	if short := b.Start.Add(gentleBan); b.Count == 1 && s.recent(f.Addr, b.Start) && (b.End.IsZero() || b.End.After(short)) {
		b.End = short
		b.Reason += "; short, because the address logged in lately"
	}
}
