package state

import (
	"bufio"
	"errors"
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"
	"time"

	"stockade/jails/state/wal"
)

// Snapshot g holds everything of the journals before g; journal g goes on from there. Two good
// snapshots are kept, and every journal since the older one.
const (
	snapshotPrefix = "snapshot-"
	journalPrefix  = "journal-"
	badSuffix      = ".bad" // of the one damaged file of each sort that is kept
)

func snapshotName(gen uint64) string { return snapshotPrefix + strconv.FormatUint(gen, 10) }

func journalName(gen uint64) string { return journalPrefix + strconv.FormatUint(gen, 10) }

// Recovery says what Open found.
type Recovery struct {
	Missing   bool   // there was nothing: a first start, or the folder was lost
	FellBack  bool   // the newest snapshot was damaged
	Damaged   int    // journal records and files that were damaged and left out
	Torn      int64  // bytes of a last record that was never finished; normal after a crash
	Problem   string // what was wrong, "" when nothing was
	Bans      int    // active bans
	Enforced  bool   // they are marked as enforced; see Options.Enforced
	Windows   int
	Offenders int
	Expired   int      // bans whose time had passed
	Ended     []*Ban   // the first of those in the snapshot, at most maxEnded, for whoever tells of them
	Lifted    []Change // what the journal takes out of the firewall: the kernel may hold it still
	Records   int      // journal records after the snapshot
	Took      time.Duration
}

// maxEnded bounds Recovery.Ended.
const maxEnded = 4096

// endedMeanwhile keeps a ban that ends while Open works.
func (s *Store) endedMeanwhile(b *Ban) {
	if len(s.recovery.Ended) < maxEnded {
		s.recovery.Ended = append(s.recovery.Ended, b)
	}
}

// Adopt reports whether elements that the firewall holds and the store lacks may be bans that were
// lost, so that they are to be adopted instead of removed.
func (r Recovery) Adopt() bool { return r.Missing || r.FellBack || r.Damaged > 0 }

// generations returns the numbers in the names with that prefix, ascending.
func generations(names []string, prefix string) []uint64 {
	var out []uint64
	for _, name := range names {
		if rest, ok := strings.CutPrefix(name, prefix); ok {
			if gen, err := strconv.ParseUint(rest, 10, 64); err == nil {
				out = append(out, gen)
			}
		}
	}
	slices.Sort(out)
	return out
}

// recover loads the folder and begins a new journal.
func (s *Store) recover() error {
	began := time.Now()
	names, err := s.fs.List()
	if err != nil {
		return err
	}
	for _, name := range names {
		if strings.HasSuffix(name, ".tmp") {
			if err := s.fs.Remove(name); err != nil {
				s.opt.Log.Warn("left-over state file cannot be removed", "file", name, "err", err)
			}
		}
	}
	snapshots, journals := generations(names, snapshotPrefix), generations(names, journalPrefix)
	rec := &s.recovery
	rec.Missing = len(snapshots) == 0 && len(journals) == 0
	rec.Enforced = s.opt.Enforced
	v := s.moment()
	base := s.loadNewest(snapshots, v)
	for _, gen := range journals {
		if gen >= base {
			s.replay(gen, v)
		}
	}
	newest := uint64(0)
	for _, gen := range slices.Concat(snapshots, journals) {
		newest = max(newest, gen)
	}
	if s.journal, err = wal.Create(s.fs, newest+1, journalName); err != nil {
		err = fmt.Errorf("begin journal: %w", err)
		s.opt.Log.Warn("state cannot be saved: bans go on, but are not acknowledged", "err", err)
		s.journal = wal.Broken(s.fs, newest+1, journalName, err)
	}
	s.saved.previous, s.saved.newest = base, base
	s.commitMu.Lock()
	s.commitLocked()
	s.settleLocked(math.MaxInt) // nobody waits yet
	s.commitMu.Unlock()
	s.changes.take(0)
	for _, jr := range *s.jails.Load() {
		rec.Bans += int(jr.bannedNow.Load())
	}
	rec.Windows, rec.Offenders = s.keep.windows.count, s.keep.offenders.count
	rec.Took = time.Since(began)
	return nil
}

// loadNewest loads the newest good snapshot and returns its generation, 0 when there is none.
func (s *Store) loadNewest(gens []uint64, v view) uint64 {
	for _, gen := range slices.Backward(gens) {
		err := s.loadSnapshot(gen, v)
		if err == nil {
			return gen
		}
		s.recovery.FellBack = true
		s.problem(snapshotName(gen), err)
		s.setAside(snapshotName(gen), snapshotPrefix+"damaged"+badSuffix)
	}
	return 0
}

func (s *Store) loadSnapshot(gen uint64, v view) error {
	f, err := s.fs.Open(snapshotName(gen))
	if err != nil {
		return err
	}
	err = errors.Join(checkSnapshot(f), f.Close())
	if err != nil {
		return err
	}
	if f, err = s.fs.Open(snapshotName(gen)); err != nil {
		return err
	}
	defer f.Close()
	return s.readSnapshot(f, v, &s.recovery)
}

func (s *Store) problem(name string, err error) {
	s.recovery.Problem = strings.TrimPrefix(s.recovery.Problem+"; "+name+": "+err.Error(), "; ")
	s.opt.Log.Warn("state file is damaged", "file", name, "err", err)
}

// setAside keeps a damaged file under one name, in place of an older one.
func (s *Store) setAside(name, bad string) {
	if err := s.fs.Rename(name, bad); err != nil {
		s.opt.Log.Warn("damaged state file cannot be set aside", "file", name, "err", err)
	}
}

func (s *Store) replay(gen uint64, v view) {
	rep, err := s.replayFile(gen, v)
	s.recovery.Records += rep.Records
	s.recovery.Damaged += rep.Damaged
	s.recovery.Torn += max(rep.Torn, 0)
	if err == nil && rep.Damaged > 0 {
		err = fmt.Errorf("%d damaged records after %d good bytes", rep.Damaged, rep.Good)
	}
	if err != nil {
		s.recovery.Damaged = max(s.recovery.Damaged, 1)
		s.problem(journalName(gen), err)
	}
}

func (s *Store) replayFile(gen uint64, v view) (rep wal.Report, err error) {
	f, err := s.fs.Open(journalName(gen))
	if err != nil {
		return rep, err
	}
	defer f.Close()
	return wal.Read(bufio.NewReaderSize(f, 1<<18), gen, func(payload []byte) error {
		var r savedRecord
		if err := decoding.Unmarshal(payload, &r); err != nil {
			return err
		}
		err := s.apply(&r, v)
		s.relieve()
		return err
	})
}

// Recovery returns what Open found.
func (s *Store) Recovery() Recovery { return s.recovery }

// apply brings one journal record into the store. It may have been applied before.
func (s *Store) apply(r *savedRecord, v view) error {
	jr := s.jail(r.Jail)
	defer func() {
		jr.failed.Store(max(jr.failed.Load(), r.Failed))
		jr.banned.Store(max(jr.banned.Load(), r.Banned))
	}()
	if r.Kind == recordCount {
		return nil
	}
	if len(r.Key) != len(pkey{}) {
		return fmt.Errorf("a key of %d bytes", len(r.Key))
	}
	k := pkey(r.Key)
	if p := k.prefix(); !p.IsValid() || p != p.Masked() {
		return errors.New("a key that is no prefix")
	}
	sh := s.shard(&k)
	sh.mu.Lock()
	defer sh.mu.Unlock()
	c := s.cellLocked(sh, &k)
	old := s.endBanLocked(sh, c, jr)
	if old != nil && (r.Ban == nil || r.Ban.Scope != old.scope()) {
		s.recovery.Lifted = append(s.recovery.Lifted, Change{k.prefix(), old.scope()})
	}
	it := itemOf(s.writeLocked(sh, c), jr)
	s.dropWindow(it)
	if r.Kind == recordUnban || r.Ban == nil {
		return nil
	}
	last := v.at(r.Ban.Start)
	if r.Ban.Count > 0 && (it.past == nil || it.past.count <= r.Ban.Count) {
		it.past = &past{count: r.Ban.Count, last: last}
	}
	if b := v.loadBan(r.Ban); b != nil {
		s.addBanLocked(c, it, b, v.until(b.end))
	}
	return nil
}
