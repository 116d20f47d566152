package host

import (
	"errors"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// maxFile is how much of one of the host's files is read, in bytes.
const maxFile = 1 << 20

// maxFiles is how many files of one pattern are looked at.
const maxFiles = 2048

// root is the folder that stands for /.
type root string

func (r root) path(name string) string { return filepath.Join("/", string(r), name) }

// read returns the beginning of a file, nil when it cannot be read. Names are paths below r.
func (r root) read(name string) []byte { return readUpTo(r.path(name), maxFile) }

// readUpTo reads the file by system calls alone: in package os a file costs twice as many, and there
// are hundreds under /proc.
func readUpTo(path string, limit int64) []byte {
	fd, err := unix.Open(path, unix.O_RDONLY|unix.O_CLOEXEC, 0)
	if err != nil {
		return nil
	}
	defer func() { _ = unix.Close(fd) }()
	data := make([]byte, 0, 512)
	for int64(len(data)) < limit {
		data = slices.Grow(data, 512)
		n := read(fd, data[len(data):min(int64(cap(data)), limit)], int64(len(data)))
		if n < 0 {
			return nil
		}
		if n == 0 {
			break
		}
		data = data[:len(data)+n]
	}
	return data
}

// readLine reads a file of the kernel that is shorter than buf: one read returns all of it.
func readLine(path string, buf []byte) []byte {
	fd, err := unix.Open(path, unix.O_RDONLY|unix.O_CLOEXEC, 0)
	if err != nil {
		return nil
	}
	defer func() { _ = unix.Close(fd) }()
	return buf[:max(0, read(fd, buf, 0))]
}

// read reads once, at an offset; -1: it cannot be read.
func read(fd int, buf []byte, at int64) int {
	n, err := unix.Pread(fd, buf, at)
	for errors.Is(err, unix.EINTR) {
		n, err = unix.Pread(fd, buf, at)
	}
	if err != nil {
		return -1
	}
	return n
}

// pattern names a file, or files of one folder with wildcards in the last part.
type pattern struct {
	path  string
	dir   string // with wildcards: the folder
	stamp stamp  // of the folder when files was read; zero: read it again
	files []string
}

func (r root) pattern(name string) *pattern {
	p := &pattern{path: r.path(name)}
	if strings.ContainsAny(name, "*?[") {
		p.dir = filepath.Dir(p.path)
	} else {
		p.files = []string{p.path}
	}
	return p
}

// list returns the files as full paths, at most maxFiles. The folder is read when it has changed.
func (p *pattern) list(now time.Time) []string {
	if p.dir == "" {
		return p.files
	}
	s, kind := inspect(p.dir)
	if kind != unix.S_IFDIR {
		p.stamp, p.files = stamp{}, nil
		return nil
	}
	if s == p.stamp {
		return p.files
	}
	found, err := filepath.Glob(p.path)
	if err != nil {
		return nil
	}
	p.files, p.stamp = found[:min(len(found), maxFiles)], stamp{}
	if s.settled(now) {
		p.stamp = s
	}
	return p.files
}

// stamp tells whether a file was written or replaced.
type stamp struct {
	path  string
	size  int64
	mtime time.Time
	inode uint64
}

// inspect returns the stamp of a file and its kind: unix.S_IFREG and such, 0 when there is none. Most
// that are looked at are absent, and package os makes an error of each.
func inspect(path string) (stamp, uint32) {
	var st unix.Stat_t
	err := unix.Stat(path, &st)
	for errors.Is(err, unix.EINTR) {
		err = unix.Stat(path, &st)
	}
	if err != nil {
		return stamp{}, 0
	}
	return stamp{path, st.Size, time.Unix(st.Mtim.Unix()), st.Ino}, uint32(st.Mode) & unix.S_IFMT //nolint:unconvert // narrower on some systems
}

func stampOf(path string) (stamp, bool) {
	s, kind := inspect(path)
	return s, kind == unix.S_IFREG // opening a fifo would wait
}

// settled reports whether a later write would show in the stamp: a file that was written just
// now can be written again within the clock's step.
func (s stamp) settled(now time.Time) bool {
	age := now.Sub(s.mtime)
	return age > 2*time.Second || age < -2*time.Second
}

// group is a set of files that are read by one function, again when one has changed.
type group struct {
	patterns []*pattern
	read     func(path string, data []byte) []Protected
	linger   time.Duration

	stamps []stamp
	found  []Protected
}

func newGroup(r root, names []string, linger time.Duration, read func(path string, data []byte) []Protected) *group {
	g := &group{read: read, linger: linger}
	for _, name := range names {
		g.patterns = append(g.patterns, r.pattern(name))
	}
	return g
}

func (g *group) look(now time.Time) []Protected {
	stamps := make([]stamp, 0, len(g.stamps))
	settled := true
	for _, pattern := range g.patterns {
		for _, path := range pattern.list(now) {
			if s, ok := stampOf(path); ok {
				stamps = append(stamps, s)
				settled = settled && s.settled(now)
			}
		}
	}
	if slices.Equal(stamps, g.stamps) && g.stamps != nil {
		return g.found
	}
	g.found = nil
	for _, s := range stamps {
		g.found = append(g.found, g.read(s.path, readUpTo(s.path, maxFile))...)
	}
	g.stamps = stamps
	if !settled {
		g.stamps = nil
	}
	return g.found
}
