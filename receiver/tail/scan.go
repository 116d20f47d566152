package tail

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"time"

	"github.com/bmatcuk/doublestar/v4"
	"golang.org/x/sys/unix"

	"stockade/receiver"
)

// scan looks which files the paths name now.
func (t *Tail) scan() {
	t.refresh()
	names := t.again
	t.before, t.lastScan, t.again = t.lastScan, time.Now(), false
	folders := make(map[string]bool)
	named := make(map[*file]bool)
	matched := make(map[fileID]bool)
	for _, pattern := range t.o.Config.Paths {
		base, rest := doublestar.SplitPattern(filepath.ToSlash(pattern))
		folders[base] = true
		matches, err := doublestar.FilepathGlob(pattern, doublestar.WithNoFollow())
		if err != nil || rest == "" {
			continue
		}
		for _, path := range matches {
			if compressed(path) {
				continue
			}
			real, info, err := resolve(path)
			if err != nil {
				t.unreadable(path, err)
				continue
			}
			folders[filepath.Dir(real)] = true
			matched[idOf(info)] = true
			if f := t.match(path, real, info); f != nil {
				named[f] = true
			}
		}
	}
	for _, f := range t.order {
		switch {
		case named[f] && f.held() && !f.finite:
			f.left = time.Time{}
		case !named[f] && !f.held():
			f.left, f.dirty = t.lastScan, true
		}
	}
	for _, f := range slices.Clone(t.order) {
		if names && !f.held() && f.at == 0 {
			t.unseen(f)
		}
	}
	for id := range t.ignored {
		if !matched[id] {
			delete(t.ignored, id)
		}
	}
	for id := range t.waiting {
		if !matched[id] {
			delete(t.waiting, id)
		}
	}
	t.notify.watchFolders(folders)
	t.judge()
	t.show()
	t.scanned = true
	t.following.Store(int64(len(t.order)))
}

// view is what others see of the files, as of the last look.
type view struct {
	worth Worth
	idle  time.Time
	why   string
}

// unjudged is the worth of no file at all.
var unjudged = Worth{receiver.LevelSpoofable, -1, "no file is there"}

// show keeps what others see of the files.
func (t *Tail) show() {
	next := view{worth: unjudged}
	named := false
	for i, f := range t.order {
		named = named || !f.held()
		if next.worth = least(next.worth, f.worth); i == 0 {
			next.worth = f.worth
		}
	}
	last := t.view.Load()
	if !named {
		if next.idle = last.idle; next.idle.IsZero() {
			next.idle = t.lastScan
		}
		next.why = t.whyNone()
	}
	if next != *last {
		t.view.Store(&next)
	}
}

// whyNone says why no path names a file.
func (t *Tail) whyNone() string {
	for _, pattern := range t.o.Config.Paths {
		folder, _ := doublestar.SplitPattern(filepath.ToSlash(pattern))
		if info, err := os.Stat(folder); err != nil || !info.IsDir() {
			return fmt.Sprintf("there is no folder %q", clip(folder))
		}
	}
	return fmt.Sprintf("nothing that can be read matches %q", clip(t.o.Config.Paths[0]))
}

// match returns the open file that a path names, which it opens when it is new.
func (t *Tail) match(path, real string, info os.FileInfo) *file {
	id := idOf(info)
	if f := t.files[id]; f != nil {
		if f.finite {
			return nil // a copy that is being read
		}
		t.paths[path] = f
		return f
	}
	if t.isIgnored(id, real) || t.isCopy(real, info) {
		return nil
	}
	if len(t.files) >= maxFiles {
		t.refuse(path, ReasonFiles, nil)
		return nil
	}
	f, err := t.open(path, real)
	if err != nil {
		t.unreadable(path, err)
		return nil
	}
	if f.id != id { // replaced meanwhile: the next look finds out
		t.closeFile(f)
		t.again = true
		return nil
	}
	prev := t.paths[path]
	switch {
	case prev != nil:
		t.rotation.Add(1)
		old := prev.content
		old.path, old.real = path, real
		t.catchUp(f, prev, old, false)
	case t.old(f, info):
		if err := f.place(lastLine(f.fd, info.Size())); err != nil {
			t.unreadable(path, err)
		}
		f.size = info.Size()
	default: // it was not there at the last look, but may have been rotated since
		none := &file{fd: -1}
		none.path, none.real, none.touch = path, real, t.before
		if !t.scanned {
			none.touch = t.since
		}
		if !none.touch.IsZero() {
			t.catchUp(f, none, none.content, false)
		}
	}
	t.paths[path] = f
	return f
}

// old reports whether a file of a path without history is begun at its end: at the first start
// all that there is, later what is older than the last run.
func (t *Tail) old(f *file, info os.FileInfo) bool {
	if t.scanned || t.o.Config.From == "start" {
		return false
	}
	if t.since.IsZero() {
		return true
	}
	if f.born == 0 {
		return info.ModTime().Before(t.since)
	}
	return f.born < t.since.UnixNano()
}

// open opens a file at its beginning and enters it.
func (t *Tail) open(path, real string) (*file, error) {
	fd, err := openFile(real)
	if err != nil {
		return nil, err
	}
	var st unix.Stat_t
	if err := unix.Fstat(fd, &st); err != nil {
		closeFD(fd)
		return nil, err
	}
	if st.Mode&unix.S_IFMT != unix.S_IFREG {
		closeFD(fd)
		return nil, errNoFile
	}
	id := fileID{uint64(st.Dev), st.Ino} //nolint:unconvert // 32 bits on some platforms
	if t.files[id] != nil {
		closeFD(fd)
		return nil, errOpen
	}
	return t.enter(&file{content: content{path: path, id: id}, fd: fd}, real), nil
}

// enter makes an open file one that is followed.
func (t *Tail) enter(f *file, real string) *file {
	f.real, f.touch, f.judged, f.dirty = real, time.Now(), time.Now(), true
	f.born = born(f.fd)
	var err error
	if f.worth, err = Judge(f.path); err != nil {
		if f.worth, err = Judge(real); err != nil {
			f.worth = Worth{receiver.LevelSpoofable, -1, "its owner is not known"}
		}
	}
	t.notify.watchFile(f)
	t.files[f.id] = f
	t.order = append(t.order, f)
	t.changed = true
	return f
}

// judge looks again who may write the files that have a path.
func (t *Tail) judge() {
	for _, f := range t.order {
		if f.held() || t.lastScan.Sub(f.judged) < judgeEvery {
			continue
		}
		f.judged = t.lastScan
		real, err := os.Readlink(fmt.Sprintf("/proc/self/fd/%d", f.fd))
		if err != nil {
			continue
		}
		w, err := Judge(real)
		if err != nil {
			continue
		}
		if w != f.worth {
			t.log.Info("a file is worth something else now", "path", f.path, "level", w.Level.String(), "why", w.Why)
		}
		f.worth = w
	}
}

// unreadable counts a match that is not read; a file that is gone again or a folder is none.
func (t *Tail) unreadable(path string, err error) {
	switch {
	case errors.Is(err, errOpen):
		t.again = true
	case errors.Is(err, errFolder) || errors.Is(err, fs.ErrNotExist):
	case errors.Is(err, errOutside) || errors.Is(err, unix.ELOOP):
		t.refuse(path, ReasonSymlink, err)
	case errors.Is(err, errNoFile):
		t.refuse(path, ReasonFile, err)
	default:
		t.refuse(path, ReasonOpen, err)
	}
}

// refuse counts and logs a file that is not read, at most once a minute.
func (t *Tail) refuse(path, reason string, err error) {
	now := time.Now()
	key := reason + path
	if at, ok := t.warned[key]; ok && now.Sub(at) < warnEvery {
		return
	}
	if len(t.warned) >= maxWarnings {
		clear(t.warned)
	}
	t.warned[key] = now
	t.refused.Add(reason, now, []byte(path))
	if t.source != nil {
		t.source.Refused.Add(reason, now, []byte(path))
	}
	t.log.Warn("a file is not read", "path", clip(path), "reason", reason, "err", err)
}

func closeFD(fd int) {
	if fd >= 0 {
		_ = unix.Close(fd)
	}
}
