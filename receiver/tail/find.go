package tail

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// The reasons under which a tail counts what it does not read, beside those of package receiver.
const (
	ReasonSymlink = "symlink_outside" // a symbolic link leads out of its folder
	ReasonFile    = "not_a_file"      // a match is a pipe, a socket or a device
	ReasonFiles   = "too_many_files"  // more files match than are followed at once
	ReasonOpen    = "open_failed"     // no permission, or no descriptor
	ReasonRotated = "rotated_away"    // lines were gone before they were read; one a rotation, however many lines
)

var (
	errOutside = errors.New("the symbolic link leads out of its folder")
	errNoFile  = errors.New("it is not a regular file")
	errFolder  = errors.New("it is a folder")
	errOpen    = errors.New("it is open already: names changed meanwhile")
)

// fileID is what a file is, whatever its name.
type fileID struct{ dev, ino uint64 }

// sibling is a file beside a followed one.
type sibling struct {
	path    string
	mark    string // what a rotation added to the name
	id      fileID
	size    int64
	changed time.Time
	fd      int // -1 when it could not be opened
}

const (
	maxSiblings = 256
	maxTries    = 10
)

func idOf(info os.FileInfo) fileID {
	st, ok := info.Sys().(*syscall.Stat_t)
	if !ok {
		return fileID{}
	}
	return fileID{uint64(st.Dev), st.Ino} //nolint:unconvert // 32 bits on some platforms
}

// resolve returns the file that a path names: itself, or the target of a symbolic link in its own
// folder.
func resolve(path string) (real string, info os.FileInfo, err error) {
	dir, err := filepath.EvalSymlinks(filepath.Dir(path))
	if err != nil {
		return "", nil, err
	}
	real = filepath.Join(dir, filepath.Base(path))
	if info, err = os.Lstat(real); err != nil {
		return "", nil, err
	}
	if info.Mode()&fs.ModeSymlink != 0 {
		target, err := filepath.EvalSymlinks(real)
		if err != nil {
			return "", nil, err
		}
		if filepath.Dir(target) != dir {
			return "", nil, errOutside
		}
		real = target
		if info, err = os.Lstat(real); err != nil {
			return "", nil, err
		}
	}
	switch {
	case info.IsDir():
		return "", nil, errFolder
	case !info.Mode().IsRegular():
		return "", nil, errNoFile
	}
	return real, info, nil
}

// openFile opens a resolved path, on which no symbolic link may have come since.
func openFile(real string) (int, error) {
	const flags = unix.O_RDONLY | unix.O_CLOEXEC | unix.O_NOFOLLOW | unix.O_NONBLOCK | unix.O_NOCTTY
	fd, err := unix.Openat2(unix.AT_FDCWD, real, &unix.OpenHow{Flags: flags, Resolve: unix.RESOLVE_NO_SYMLINKS})
	if errors.Is(err, unix.ENOSYS) || errors.Is(err, unix.EPERM) { // before Linux 5.6, or a filter that does not know it
		fd, err = unix.Open(real, flags, 0)
	}
	if err != nil {
		return -1, fmt.Errorf("open %q: %w", real, err)
	}
	return fd, nil
}

// siblings opens the rotations of a file beside it, oldest first; release closes them. While names
// change, it looks again: what it returns was there under these names at one moment, unless they
// change without end.
func siblings(real string) []sibling {
	dir, base := filepath.Split(real)
	for try := 0; ; try++ {
		all := list(dir, base)
		for i := range all {
			s := &all[i]
			fd, err := openFile(s.path)
			if err != nil {
				continue
			}
			var st unix.Stat_t
			if unix.Fstat(fd, &st) != nil || (fileID{uint64(st.Dev), st.Ino}) != s.id { //nolint:unconvert // 32 bits on some platforms
				closeFD(fd)
				continue
			}
			s.fd = fd
		}
		again := list(dir, base)
		same := slices.EqualFunc(all, again, func(a, b sibling) bool { return a.path == b.path && a.id == b.id })
		if same || try == maxTries {
			all = slices.DeleteFunc(all, func(s sibling) bool { return s.fd < 0 })
			oldestFirst(all)
			return all
		}
		release(all)
	}
}

func release(all []sibling) {
	for i := range all {
		closeFD(all[i].fd)
	}
}

// list returns the rotations of base in dir by name.
func list(dir, base string) []sibling {
	entries, err := os.ReadDir(dir)
	if err != nil {
		return nil
	}
	var all []sibling
	for _, e := range entries {
		mark := rotated(base, e.Name())
		if mark == "" || !e.Type().IsRegular() || len(all) == maxSiblings {
			continue
		}
		info, err := e.Info()
		if err != nil {
			continue
		}
		all = append(all, sibling{filepath.Join(dir, e.Name()), mark, idOf(info), info.Size(), info.ModTime(), -1})
	}
	return all
}

// born returns when a file was made in Unix nanoseconds, 0 where the file system does not say.
func born(fd int) int64 {
	var st unix.Statx_t
	if err := unix.Statx(fd, "", unix.AT_EMPTY_PATH, unix.STATX_BTIME, &st); err != nil || st.Mask&unix.STATX_BTIME == 0 {
		return 0
	}
	return st.Btime.Sec*int64(time.Second) + int64(st.Btime.Nsec)
}
