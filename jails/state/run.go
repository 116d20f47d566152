package state

import (
	"context"
	"errors"
	"sync"
	"time"
)

const (
	// commitDelay is how long changes gather before they are committed together.
	commitDelay = 50 * time.Millisecond
	// syncPace is how long after a record was written the journal is fsynced, when nobody waits for it:
	// under a flood of bans many records share one.
	syncPace = 5 * time.Millisecond
	// idleTick bounds the time between two looks at the clocks.
	idleTick = time.Second
	// retrySave is how long after a fault the disk is tried again.
	retrySave = 2 * time.Second
)

// Run commits changes in batches, makes bans durable, ends bans and windows when their time has
// come, and saves snapshots, until ctx is done; then it closes the store. It may be called once.
// Failures may be recorded before, during and after, but what comes after is not on disk: stop it
// after everyone who records.
func (s *Store) Run(ctx context.Context) error {
	close(s.ready)
	var wg sync.WaitGroup
	wg.Go(func() { s.syncLoop(ctx) })
	wg.Go(func() { s.saveLoop(ctx) })
	s.commitLoop(ctx)
	wg.Wait()
	return s.Close()
}

func (s *Store) commitLoop(ctx context.Context) {
	tick := time.NewTimer(0)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		case <-s.wake:
			sleep(ctx, commitDelay)
		}
		s.clockStep()
		s.commitMu.Lock()
		s.flushLocked()
		crowded := s.keep.victim() != nil
		next := s.keep.next(s.clock.mono(s.clock.now()), UntilNext(idleTick))
		s.commitMu.Unlock()
		if s.pending.Load() > 0 || crowded {
			// What came during the commit woke nobody.
			select {
			case s.wake <- struct{}{}:
			default:
			}
		}
		tick.Reset(max(next, time.Millisecond))
	}
}

// syncLoop writes journal records at once, so that they outlive the process, and makes them durable also
// when nobody waits for them.
func (s *Store) syncLoop(ctx context.Context) {
	if s.journal == nil {
		return
	}
	totals := time.NewTimer(UntilNext(idleTick))
	defer totals.Stop()
	var due <-chan time.Time
	for {
		select {
		case <-ctx.Done():
			return
		case <-totals.C:
			totals.Reset(UntilNext(idleTick))
			s.recordTotals()
		case <-s.syncWake:
		case <-due:
			due = nil
			_ = s.journal.Sync() // the error stays in the journal, and saveLoop repairs it
		}
		if s.journal.Flush() && due == nil {
			due = time.After(syncPace)
		}
	}
}

// saveLoop saves a snapshot every SnapshotEvery, and soon after a fault.
func (s *Store) saveLoop(ctx context.Context) {
	if s.journal == nil {
		return
	}
	regular := time.NewTicker(s.opt.SnapshotEvery)
	defer regular.Stop()
	faults := time.NewTimer(UntilNext(retrySave))
	defer faults.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-regular.C:
			if s.Trouble() == nil && !s.unsaved() {
				continue
			}
		case <-faults.C:
			faults.Reset(UntilNext(retrySave))
			if s.Trouble() == nil && s.journal.Size() < maxJournal {
				continue
			}
		}
		before := s.Trouble()
		switch err := s.Save(); {
		case err != nil && before == nil:
			s.opt.Log.Warn("state cannot be saved: bans go on, but are not acknowledged", "err", err)
		case err == nil && before != nil:
			s.opt.Log.Info("state is saved again", "dir", s.opt.Dir)
		}
	}
}

// maxJournal is the size in bytes from which a journal is replaced by a snapshot early.
const maxJournal = 256 << 20

func sleep(ctx context.Context, d time.Duration) {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-ctx.Done():
	case <-t.C:
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

// saveNews saves a snapshot if anything happened since the last one.
func (s *Store) saveNews() error {
	if s.Trouble() == nil && !s.unsaved() {
		return nil
	}
	return s.Save()
}

// Close saves a last snapshot, if anything happened since the last one, and lets go of the folder.
// What is done with the store after that is kept in memory only. A second
// Close does nothing.
func (s *Store) Close() error {
	if s.journal == nil || s.closed.Swap(true) {
		return nil
	}
	return errors.Join(s.saveNews(), s.journal.Close(), s.fs.Close())
}

// UntilNext is how long it is until the wall clock shows a multiple of every, which must be positive.
// Those who look after something again and again do it at such times: together they wake an idle
// processor once, not each for itself.
func UntilNext(every time.Duration) time.Duration {
	return every - time.Duration(time.Now().UnixNano())%every
}
