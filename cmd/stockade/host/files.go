package host

import (
	"errors"
	"os"
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
		n, err := unix.Read(fd, data[len(data):min(int64(cap(data)), limit)])
		if errors.Is(err, unix.EINTR) {
			continue
		}
		if err != nil {
			return nil
		}
		if n == 0 {
			break
		}
		data = data[:len(data)+n]
	}
	return data
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
	info, err := os.Stat(p.dir)
	if err != nil || !info.IsDir() {
		p.stamp, p.files = stamp{}, nil
		return nil
	}
	s := stamp{p.dir, info.Size(), info.ModTime(), inode(info)}
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

func stampOf(path string) (stamp, bool) {
	info, err := os.Stat(path)
	if err != nil || !info.Mode().IsRegular() { // opening a fifo would wait
		return stamp{}, false
	}
	return stamp{path, info.Size(), info.ModTime(), inode(info)}, true
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
