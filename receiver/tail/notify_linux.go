package tail

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"os"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"
)

const (
	folderEvents = unix.IN_CREATE | unix.IN_MOVED_TO | unix.IN_MOVED_FROM | unix.IN_DELETE | unix.IN_ONLYDIR | unix.IN_DONT_FOLLOW
	fileEvents   = unix.IN_MODIFY | unix.IN_ATTRIB
)

// notifier tells of changes by inotify. Without it, or deaf, time alone passes. It belongs to one
// goroutine.
type notifier struct {
	f       *os.File // nil without inotify
	fd      int
	buf     []byte
	files   map[int32]*file
	folders map[int32]string
	wds     map[string]int32 // of folders
	failed  error            // why something is not watched
}

func newNotifier(deaf bool) *notifier {
	n := &notifier{files: map[int32]*file{}, folders: map[int32]string{}, wds: map[string]int32{}}
	if deaf {
		return n
	}
	fd, err := unix.InotifyInit1(unix.IN_CLOEXEC | unix.IN_NONBLOCK)
	if err != nil {
		n.failed = fmt.Errorf("inotify: %w", err)
		return n
	}
	n.fd, n.f, n.buf = fd, os.NewFile(uintptr(fd), "inotify"), make([]byte, 16<<10) //nolint:gosec // a descriptor
	return n
}

func (n *notifier) close() {
	if n.f != nil {
		_ = n.f.Close()
	}
}

// watchFile watches the open file itself, whatever it is called.
func (n *notifier) watchFile(f *file) {
	f.wd = -1
	if n.f == nil {
		return
	}
	wd, err := unix.InotifyAddWatch(n.fd, fmt.Sprintf("/proc/self/fd/%d", f.fd), fileEvents)
	if err != nil {
		n.failed = fmt.Errorf("inotify of %q: %w", f.path, err)
		return
	}
	f.wd = int32(wd) //nolint:gosec // the kernel's watch descriptors are 32 bits
	n.files[f.wd] = f
}

func (n *notifier) forgetFile(f *file) {
	if n.f == nil || f.wd < 0 || n.files[f.wd] != f {
		return
	}
	delete(n.files, f.wd)
	_, _ = unix.InotifyRmWatch(n.fd, uint32(f.wd)) //nolint:gosec // not negative; gone with a deleted file
}

// watchFolders makes the watched folders those of the set.
func (n *notifier) watchFolders(want map[string]bool) {
	if n.f == nil {
		return
	}
	for dir, wd := range n.wds {
		if !want[dir] {
			_, _ = unix.InotifyRmWatch(n.fd, uint32(wd)) //nolint:gosec // not negative
			delete(n.wds, dir)
			delete(n.folders, wd)
		}
	}
	for dir := range want {
		if _, ok := n.wds[dir]; ok {
			continue
		}
		wd, err := unix.InotifyAddWatch(n.fd, dir, folderEvents)
		switch {
		case err == nil:
			n.wds[dir], n.folders[int32(wd)] = int32(wd), dir //nolint:gosec // 32 bits
		case !errors.Is(err, unix.ENOENT):
			n.failed = fmt.Errorf("inotify of %q: %w", dir, err)
		}
	}
}

// wait returns when something changed, at the deadline, or when ctx is done. Changed files are
// marked; folders reports whether names changed.
func (n *notifier) wait(ctx context.Context, until time.Time) (folders bool) {
	if n.f == nil {
		timer := time.NewTimer(time.Until(until))
		defer timer.Stop()
		select {
		case <-ctx.Done():
		case <-timer.C:
		}
		return false
	}
	if n.f.SetReadDeadline(until) != nil {
		return false
	}
	stop := context.AfterFunc(ctx, func() { _ = n.f.SetReadDeadline(time.Unix(1, 0)) })
	defer stop()
	got, err := n.f.Read(n.buf)
	if err != nil {
		return false
	}
	return n.events(n.buf[:got])
}

// events marks what the events are about.
func (n *notifier) events(b []byte) (folders bool) {
	const head = int(unsafe.Sizeof(unix.InotifyEvent{}))
	for len(b) >= head {
		wd := int32(binary.NativeEndian.Uint32(b)) //nolint:gosec // a signed field
		mask := binary.NativeEndian.Uint32(b[4:])
		size := head + int(binary.NativeEndian.Uint32(b[12:]))
		if size > len(b) {
			return true
		}
		switch {
		case mask&unix.IN_Q_OVERFLOW != 0:
			for _, f := range n.files {
				f.dirty = true
			}
			folders = true
		case mask&unix.IN_IGNORED != 0:
			n.ignored(wd)
		case n.files[wd] != nil:
			n.files[wd].dirty = true
			folders = folders || mask&unix.IN_ATTRIB != 0
		default:
			folders = folders || !bytes.HasPrefix(b[head:size], []byte("."))
		}
		b = b[size:]
	}
	return folders
}

// ignored forgets a watch that the kernel ended.
func (n *notifier) ignored(wd int32) {
	if f := n.files[wd]; f != nil {
		f.wd = -1
		delete(n.files, wd)
	}
	if dir, ok := n.folders[wd]; ok {
		delete(n.wds, dir)
		delete(n.folders, wd)
	}
}
