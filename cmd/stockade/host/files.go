package host

import (
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"
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

func readUpTo(path string, limit int64) []byte {
	f, err := os.Open(path)
	if err != nil {
		return nil
	}
	defer f.Close()
	data, err := io.ReadAll(io.LimitReader(f, limit))
	if err != nil {
		return nil
	}
	return data
}

// glob returns the files of a pattern as full paths, at most maxFiles.
func (r root) glob(pattern string) []string {
	if !strings.ContainsAny(pattern, "*?[") {
		return []string{r.path(pattern)}
	}
	found, err := filepath.Glob(r.path(pattern))
	if err != nil {
		return nil
	}
	return found[:min(len(found), maxFiles)]
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
	patterns []string
	read     func(path string, data []byte) []Protected
	linger   time.Duration

	stamps []stamp
	found  []Protected
}

func (g *group) look(r root, now time.Time) []Protected {
	var stamps []stamp
	settled := true
	for _, pattern := range g.patterns {
		for _, path := range r.glob(pattern) {
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
