package receiver

import (
	"net/netip"
	"sync/atomic"
	"time"
)

// Source is a configured identity that peers resolve to. It is made from a SourceConfig and
// immutable but for its counters, which may be used concurrently. Sources of the same name keep
// their counters across a reload.
type Source struct {
	SourceConfig
	*SourceStats

	prefixes []netip.Prefix
	location *time.Location
}

// Location is where the source's stamps without a zone are read: its `timezone`, else the
// local one. It is never nil.
func (s *Source) Location() *time.Location {
	if s.location == nil {
		return time.Local
	}
	return s.location
}

// SourceStats are the counters of a source. All methods of its fields may be called concurrently.
type SourceStats struct {
	Lines    atomic.Int64 // entries decoded
	Failures atomic.Int64 // matches that counted
	Bans     atomic.Int64 // bans begun
	LastSeen atomic.Int64 // Unix nanoseconds of the last entry; 0: never

	Refused Refusals
}

// Seen notes that an entry of the source arrived.
func (s *SourceStats) Seen(now time.Time) {
	s.Lines.Add(1)
	s.LastSeen.Store(now.UnixNano())
}
