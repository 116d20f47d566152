package tail

import (
	"bytes"
	"crypto/sha256"
	"time"

	"golang.org/x/sys/unix"
)

const (
	// MaxLine is the longest line in bytes, without its LF, that is handed on whole.
	MaxLine = 64 << 10

	bufferSize = 256 << 10 // of what is read at once; more than MaxLine + beforeSize
	beforeSize = 256       // bytes in front of the position that tell whether the content is still the same
	headSize   = 1024      // bytes at the beginning that tell one content from another
)

// print is a content's beginning. Two contents whose prints differ are not the same.
type print struct {
	N   int
	Sum [16]byte
}

func printOf(b []byte) print {
	sum := sha256.Sum256(b)
	return print{len(b), [16]byte(sum[:16])}
}

// content is what is known of one file's content, also when it is open no more.
type content struct {
	id     fileID
	born   int64  // Unix nanoseconds; 0 where the file system does not say
	path   string // as it was found
	real   string // without symbolic links
	at     int64  // the beginning of the next line; inside an over-long one, what is read next
	size   int64  // as last seen
	head   print
	before []byte    // the bytes in front of at, at most beforeSize
	touch  time.Time // when it last grew, or was opened
	skip   bool      // at is inside a line too long, of which the beginning was handed on
	maimed bool      // the line at `at` continues one whose beginning is lost
	prefix []byte    // the beginning of the line at 0, left behind by a truncation
	syslog bool      // it holds lines with syslog headers: a log carrier writes it
}

// file is a content that is open, or was.
type file struct {
	content
	fd      int // -1 when closed
	wd      int32
	worth   Worth
	judged  time.Time
	dirty   bool      // there may be something to read
	checked bool      // nothing came and went unseen before the first bytes
	left    time.Time // when no path named it any more; zero while one does
	finite  bool      // a copy: nothing will be added
	heir    *file     // gets the unfinished line of a finite file
	cut     bool      // a carrier may have cut the last line
}

func (f *file) held() bool { return !f.left.IsZero() }

// pread reads at an offset, up to len(b) bytes in one call.
func pread(fd int, b []byte, at int64) (int, error) {
	for {
		n, err := unix.Pread(fd, b, at)
		if err != unix.EINTR {
			return max(n, 0), err
		}
	}
}

// same reports whether an open file begins as c did, and whether what stood before c's position
// still stands there.
func (c *content) same(fd int) (begins, whole bool) {
	if c.head.N > 0 {
		b := make([]byte, c.head.N)
		if n, err := pread(fd, b, 0); err != nil || n < len(b) || printOf(b) != c.head {
			return false, false
		}
	}
	b := make([]byte, len(c.before))
	n, err := pread(fd, b, c.at-int64(len(b)))
	return true, err == nil && n == len(b) && bytes.Equal(b, c.before)
}

// place puts the position of a newly opened file at an offset.
func (f *file) place(at int64) error {
	f.at = at
	b := make([]byte, min(at, headSize))
	n, err := pread(f.fd, b, 0)
	if err != nil {
		return err
	}
	f.head = printOf(b[:n])
	if n == 0 {
		f.head = print{}
	}
	b = make([]byte, min(at, beforeSize))
	if n, err = pread(f.fd, b, at-int64(len(b))); err != nil {
		return err
	}
	f.before = b[:n]
	return nil
}

// lastLine returns where the last line of a file begins that has no LF yet, or its size.
func lastLine(fd int, size int64) int64 {
	b := make([]byte, min(size, MaxLine))
	n, err := pread(fd, b, size-int64(len(b)))
	if err != nil || n < len(b) {
		return size
	}
	return size - int64(len(b)-1-bytes.LastIndexByte(b, '\n'))
}
