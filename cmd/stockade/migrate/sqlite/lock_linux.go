package sqlite

import (
	"errors"
	"io"
	"os"
	"time"

	"golang.org/x/sys/unix"
)

// The bytes that SQLite locks (os.h: PENDING_BYTE, SHARED_FIRST, SHARED_SIZE). A reader holds a read
// lock of the shared range, and for a moment before one of the pending byte, which a writer that waits
// for readers holds.
const (
	pendingByte = 0x40000000
	sharedFirst = pendingByte + 2
	sharedSize  = 510
)

// lock takes SQLite's shared lock, which goes with the file. It waits for writers.
func lock(f *os.File, wait time.Duration) error {
	deadline := time.Now().Add(wait)
	for {
		err := tryLock(f)
		if !errors.Is(err, unix.EAGAIN) && !errors.Is(err, unix.EACCES) {
			return err
		}
		if time.Now().After(deadline) {
			return errors.New("another program has been writing to it all the time; try again")
		}
		time.Sleep(5 * time.Millisecond)
	}
}

func tryLock(f *os.File) error {
	if err := flock(f, unix.F_RDLCK, pendingByte, 1); err != nil {
		return err
	}
	err := flock(f, unix.F_RDLCK, sharedFirst, sharedSize)
	return errors.Join(err, flock(f, unix.F_UNLCK, pendingByte, 1))
}

func flock(f *os.File, kind int16, start, size int64) error {
	return unix.FcntlFlock(f.Fd(), unix.F_OFD_SETLK, &unix.Flock_t{Type: kind, Whence: io.SeekStart, Start: start, Len: size})
}
