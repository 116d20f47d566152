package wal

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"
)

// Journal appends records to the file of its generation. After a failed write it is broken: it
// still numbers records, but nothing more becomes durable until Rotate began a new file and Covered
// said that a snapshot holds what the old one lacks.
type Journal struct {
	fs   FS
	name func(gen uint64) string

	syncMu sync.Mutex          // held while the file is written
	file   File                // guarded by syncMu; nil when there is none
	gen    uint64              // guarded by syncMu and mu: read with either
	took   func(time.Duration) // guarded by syncMu; nil: nobody asks

	mu      sync.Mutex
	buf     []byte // frames that are not written yet
	spare   []byte
	last    uint64        // number of the newest record
	durable uint64        // every record up to this one is on disk
	written uint64        // the newest record that is in the file
	synced  uint64        // the newest record that is on disk
	hole    bool          // records after durable were lost: only a snapshot can cover them
	err     error         // why the journal is broken; nil when it is not
	moved   chan struct{} // closed and replaced when durable or err changes
	size    int64         // bytes in the file and in buf
}

// maxBuffer is how many bytes may wait to be written. Beyond it the journal is broken: the disk is too
// slow or stuck.
const maxBuffer = 64 << 20

var (
	errBuffer = fmt.Errorf("journal: more than %d bytes wait for the disk", maxBuffer)
	// ErrClosed is what breaks a journal that was closed.
	ErrClosed = errors.New("journal is closed")
)

// Create begins the journal's file of that generation. name gives the files' names.
func Create(fsys FS, gen uint64, name func(gen uint64) string) (*Journal, error) {
	j := &Journal{fs: fsys, name: name, moved: make(chan struct{})}
	f, err := j.begin(gen)
	if err != nil {
		return nil, err
	}
	j.file, j.gen, j.size = f, gen, int64(headSize)
	return j, nil
}

// Broken is a journal whose file could not be created, because of err: Rotate, and a snapshot, repair
// it.
func Broken(fsys FS, gen uint64, name func(gen uint64) string, err error) *Journal {
	return &Journal{fs: fsys, name: name, gen: gen, err: err, moved: make(chan struct{})}
}

// begin makes a file that holds only its head, durable under its name.
func (j *Journal) begin(gen uint64) (File, error) {
	f, err := j.fs.Create(j.name(gen))
	if err != nil {
		return nil, err
	}
	_, err = f.Write(fileHead(gen))
	if err == nil {
		err = f.Sync()
	}
	if err == nil {
		err = j.fs.SyncDir()
	}
	if err != nil {
		return nil, errors.Join(err, f.Close(), j.fs.Remove(j.name(gen)))
	}
	return f, nil
}

// Append adds a record of at most MaxRecord bytes and returns its number. The payload is copied.
// It never waits for the disk.
func (j *Journal) Append(payload []byte) uint64 {
	if len(payload) > MaxRecord {
		panic(fmt.Sprintf("wal: record of %d bytes", len(payload)))
	}
	j.mu.Lock()
	defer j.mu.Unlock()
	j.last++
	if j.err != nil {
		j.hole = true
		return j.last
	}
	before := len(j.buf)
	j.buf = appendFrame(j.buf, j.gen, payload)
	j.size += int64(len(j.buf) - before)
	if len(j.buf) > maxBuffer {
		j.breakLocked(errBuffer)
	}
	return j.last
}

func (j *Journal) breakLocked(err error) {
	j.err, j.buf = err, nil
	j.hole = j.hole || j.durable < j.last
	j.wakeLocked()
}

func (j *Journal) wakeLocked() {
	close(j.moved)
	j.moved = make(chan struct{})
}

// Observe has took told how long each write with its fsync takes, from now on. It is called by
// whoever syncs and must be quick.
func (j *Journal) Observe(took func(time.Duration)) {
	j.syncMu.Lock()
	defer j.syncMu.Unlock()
	j.took = took
}

// Sync makes what was appended before durable. The error stays until a Rotate.
func (j *Journal) Sync() error {
	j.syncMu.Lock()
	defer j.syncMu.Unlock()
	return j.syncLocked()
}

// syncTo is Sync unless someone else has made the record durable in the meantime.
func (j *Journal) syncTo(seq uint64) error {
	j.syncMu.Lock()
	defer j.syncMu.Unlock()
	if j.Durable() >= seq {
		return nil
	}
	return j.syncLocked()
}

// Flush gives what was appended to the kernel, where it survives the end of the process, but no power
// cut. It reports whether anything waits for a Sync, and waits for one that runs.
func (j *Journal) Flush() (unsynced bool) {
	j.syncMu.Lock()
	defer j.syncMu.Unlock()
	if j.writeLocked() != nil {
		return false // it stays until a Rotate
	}
	j.mu.Lock()
	defer j.mu.Unlock()
	return j.written > j.synced
}

// writeLocked writes what waits; syncMu is held.
func (j *Journal) writeLocked() error {
	j.mu.Lock()
	if j.err != nil || len(j.buf) == 0 {
		err := j.err
		j.mu.Unlock()
		return err
	}
	data, upTo := j.buf, j.last
	j.buf, j.spare = j.spare[:0], nil
	j.mu.Unlock()

	_, err := j.file.Write(data)

	j.mu.Lock()
	defer j.mu.Unlock()
	if cap(data) <= 1<<20 {
		j.spare = data[:0]
	}
	if err != nil {
		j.breakLocked(fmt.Errorf("write journal: %w", err))
		return j.err
	}
	j.written = upTo
	return j.err
}

// syncLocked writes what waits, and makes all that was written durable; syncMu is held.
func (j *Journal) syncLocked() error {
	begin := time.Now()
	if err := j.writeLocked(); err != nil {
		return err
	}
	j.mu.Lock()
	upTo, done := j.written, j.written <= j.synced
	j.mu.Unlock()
	if done {
		return nil
	}
	err := j.file.Sync()
	if j.took != nil {
		j.took(time.Since(begin))
	}
	j.mu.Lock()
	defer j.mu.Unlock()
	if err != nil {
		// Whether the kernel still has the pages of a failed fsync is unknown: never try again.
		j.breakLocked(fmt.Errorf("write journal: %w", err))
		return j.err
	}
	j.syncedLocked(upTo)
	return j.err
}

// syncedLocked notes that the records up to upTo are in a file, save for those lost before.
func (j *Journal) syncedLocked(upTo uint64) {
	j.synced, j.written = upTo, upTo
	if !j.hole {
		j.durable = max(j.durable, upTo)
		j.wakeLocked()
	}
}

// Wait waits until the record of that number is durable. Who waits does the fsync for all, when
// nobody does it already. It ends with ctx's error when ctx is done; a broken journal makes it wait
// for the snapshot that covers the record.
func (j *Journal) Wait(ctx context.Context, seq uint64) error {
	for {
		j.mu.Lock()
		seq = min(seq, j.last) // what was never appended is not waited for
		done, broken, moved := j.durable >= seq, j.err != nil || j.hole, j.moved
		j.mu.Unlock()
		if done {
			return nil
		}
		if !broken && j.syncTo(seq) == nil {
			continue
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-moved:
		}
	}
}

// Rotate begins the file of the next generation and writes later records to it. It returns the
// generation and the number of the last record of the older files; when a snapshot holds
// everything up to it, the caller says so with Covered. On an error nothing changed.
func (j *Journal) Rotate() (gen, last uint64, err error) {
	j.syncMu.Lock()
	defer j.syncMu.Unlock()
	_ = j.syncLocked() // a broken journal is what a rotation repairs
	f, err := j.begin(j.gen + 1)
	if err != nil {
		return 0, 0, fmt.Errorf("begin journal: %w", err)
	}
	j.mu.Lock()
	old, rest := j.file, j.buf // rest came since the sync, framed for the old file
	j.file, j.gen = f, j.gen+1
	j.err, j.buf = nil, nil
	j.written = j.synced // of what the old file has, nothing is written any more
	j.size = int64(headSize)
	gen, last = j.gen, j.last
	j.mu.Unlock()
	if len(rest) > 0 {
		_, err = old.Write(rest)
		if err == nil {
			err = old.Sync()
		}
	}
	if old != nil {
		_ = old.Close() // fsynced, or broken already
	}
	j.mu.Lock()
	defer j.mu.Unlock()
	if err != nil {
		j.hole = true
	} else {
		j.syncedLocked(last)
	}
	j.wakeLocked()
	return gen, last, nil
}

// Covered says that a durable snapshot holds every record up to last.
func (j *Journal) Covered(last uint64) {
	j.mu.Lock()
	defer j.mu.Unlock()
	j.durable = max(j.durable, last)
	if j.err == nil {
		j.hole = false
		j.durable = max(j.durable, j.synced)
	}
	j.wakeLocked()
}

// Durable is the number of the last record that, with all before it, is on disk.
func (j *Journal) Durable() uint64 {
	j.mu.Lock()
	defer j.mu.Unlock()
	return j.durable
}

// Last is the number of the newest record.
func (j *Journal) Last() uint64 {
	j.mu.Lock()
	defer j.mu.Unlock()
	return j.last
}

// Err is why the journal is broken, or nil.
func (j *Journal) Err() error {
	j.mu.Lock()
	defer j.mu.Unlock()
	return j.err
}

// Size is how many bytes the current file has, with what waits.
func (j *Journal) Size() int64 {
	j.mu.Lock()
	defer j.mu.Unlock()
	return j.size
}

// Close syncs and closes the file. A closed journal is broken.
func (j *Journal) Close() error {
	j.syncMu.Lock()
	defer j.syncMu.Unlock()
	err := j.syncLocked()
	j.mu.Lock()
	if errors.Is(j.err, ErrClosed) {
		j.mu.Unlock()
		return nil
	}
	j.breakLocked(ErrClosed)
	j.mu.Unlock()
	if j.file == nil {
		return err
	}
	return errors.Join(err, j.file.Close())
}
