package state

import "time"

// ObserveSync has took told how long each write of the journal with its fsync takes, from now on. took
// must be quick and may be called by several goroutines. A store in memory has no journal.
func (s *Store) ObserveSync(took func(time.Duration)) {
	if s.journal != nil {
		s.journal.Observe(took)
	}
}
