package state

import (
	"context"
	"errors"
	"fmt"
	"io"
	"sync"

	"stockade/jails/state/wal"
)

// saving is the state of the snapshots.
type saving struct {
	mu       sync.Mutex // held while a snapshot is written
	newest   uint64     // generation of the newest snapshot, 0 for none
	previous uint64
	version  int64 // of the store, as the newest snapshot has it
}

// Save writes a snapshot and lets go of what only older ones need. Without Options.Dir, and
// after Close, it does nothing. On an error what was on disk still is; the bans in memory stay as they are.
func (s *Store) Save() error {
	if s.journal == nil {
		return nil
	}
	s.saved.mu.Lock()
	defer s.saved.mu.Unlock()
	if errors.Is(s.journal.Err(), wal.ErrClosed) {
		return nil
	}
	err := s.saveLocked()
	if err != nil {
		err = fmt.Errorf("save state in %q: %w", s.opt.Dir, err)
	}
	s.setTrouble(err)
	return err
}

func (s *Store) saveLocked() error {
	// Totals that no ban carries go into the snapshot; the journal's end may lack them.
	gen, last, err := s.journal.Rotate()
	if err != nil {
		return err
	}
	v, version := s.view(), s.version()
	txn := s.db.Txn(false)
	err = wal.WriteFile(s.fs, snapshotName(gen), func(w io.Writer) error { return s.writeSnapshot(w, txn, v) })
	if err != nil {
		return err
	}
	s.journal.Covered(last)
	s.saved.previous, s.saved.newest, s.saved.version = s.saved.newest, gen, version
	return s.tidy()
}

// version changes whenever there is something new to save.
func (s *Store) version() int64 {
	n := 1 + s.commits.Load()
	for _, j := range *s.jails.Load() {
		n += j.failed.Load()
	}
	return n
}

// unsaved reports whether a snapshot would differ from the newest one.
func (s *Store) unsaved() bool {
	s.flush()
	s.saved.mu.Lock()
	defer s.saved.mu.Unlock()
	return s.saved.version != s.version()
}

// tidy removes what neither of the two newest snapshots needs.
func (s *Store) tidy() error {
	names, err := s.fs.List()
	if err != nil {
		return err
	}
	var errs []error
	for _, prefix := range []string{snapshotPrefix, journalPrefix} {
		for _, gen := range generations(names, prefix) {
			if gen < s.saved.previous {
				errs = append(errs, s.fs.Remove(fmt.Sprint(prefix, gen)))
			}
		}
	}
	return errors.Join(errs...)
}

// Trouble is why the state on disk falls behind, nil while it does not. Bans go on meanwhile; what
// is not on disk is not acknowledged.
func (s *Store) Trouble() error {
	if s.journal == nil {
		return nil
	}
	if err := s.journal.Err(); err != nil && !errors.Is(err, wal.ErrClosed) {
		return err
	}
	s.troubleMu.Lock()
	defer s.troubleMu.Unlock()
	return s.trouble
}

func (s *Store) setTrouble(err error) {
	s.troubleMu.Lock()
	defer s.troubleMu.Unlock()
	s.trouble = err
}

// WaitDurable waits until the bans and unbans with journal numbers up to seq would survive a power
// cut. Without a journal it returns at once. It ends with ctx's error when ctx is done.
func (s *Store) WaitDurable(ctx context.Context, seq uint64) error {
	if s.journal == nil || seq == 0 {
		return nil
	}
	return s.journal.Wait(ctx, seq)
}

// Durable is the number up to which WaitDurable would not wait.
func (s *Store) Durable() uint64 {
	if s.journal == nil {
		return 0
	}
	return s.journal.Durable()
}

// Logged is the number of the newest journal record: after an Unban, what to wait for.
func (s *Store) Logged() uint64 {
	if s.journal == nil {
		return 0
	}
	return s.journal.Last()
}

// records lends memory in which records are put together.
var records = sync.Pool{New: func() any { return new([]byte) }}

// record writes to the journal what became of a prefix in a jail. b is nil for an unban; until is when it ends.
func (s *Store) record(k *pkey, jr *jailRow, b *heldBan, until int64, v view) uint64 {
	if s.journal == nil {
		return 0
	}
	room := records.Get().(*[]byte)
	defer records.Put(room)
	data := v.appendRecord((*room)[:0], k, jr, b, until)
	if len(data) > wal.MaxRecord && b != nil {
		bare := *b
		bare.ev = ""
		data = v.appendRecord(data[:0], k, jr, &bare, until)
	}
	*room = data
	return s.log(data)
}

func (s *Store) log(data []byte) uint64 {
	seq := s.journal.Append(data)
	select {
	case s.syncWake <- struct{}{}:
	default:
	}
	return seq
}

// recordTotals writes the totals of the jails that counted since they were last written.
func (s *Store) recordTotals() {
	if s.journal == nil {
		return
	}
	for _, jr := range *s.jails.Load() {
		failed := jr.failed.Load()
		if jr.logged.Swap(failed) == failed {
			continue
		}
		s.log(jr.appendCount(nil))
	}
}
