package tail

import (
	"bytes"
	"os"
	"slices"
	"time"

	"golang.org/x/sys/unix"
)

// clockGrain is how far the times of files lag behind the clock: the kernel takes them from its
// last tick.
const clockGrain = 20 * time.Millisecond

// truncate begins a file again whose content was replaced in place, after what its copy has kept.
func (t *Tail) truncate(f *file) {
	t.rotation.Add(1)
	old := f.content
	f.at, f.size, f.head, f.before = 0, 0, print{}, nil
	f.skip, f.maimed, f.prefix, f.checked = false, false, nil, false
	f.touch, t.changed = time.Now(), true
	t.catchUp(f, f, old, true)
}

// catchUp opens what lies between the content that was read last under a path and the one that is
// there now, in the order in which it was written: the rest of the old content, if it is not open,
// and rotations that came and went unseen. now is the file that the path names; was is the one
// whose content old is, or was. In place, both are the same file, copied and truncated; otherwise
// it was renamed or removed.
func (t *Tail) catchUp(now, was *file, old content, inPlace bool) {
	all := siblings(old.real)
	defer release(all)
	anchor, rest := -1, false
	open := was.fd >= 0 && !inPlace // what remains of old is read where it is
	for i := range all {
		if inPlace || all[i].id != old.id {
			continue
		}
		if begins, _ := old.same(all[i].fd); begins { // else its number is another file's by now
			anchor = i
		}
	}
	if anchor < 0 && !open {
		anchor, rest = t.find(all, &old, now, inPlace)
	}
	chain := was
	if rest {
		if c := t.adopt(&all[anchor], &old, inPlace); c != nil {
			c.at, c.head, c.before, c.skip = old.at, old.head, old.before, old.skip
			c.maimed, c.prefix, c.syslog = old.maimed, old.prefix, old.syslog
			chain = c
		}
	} else if anchor >= 0 && inPlace && t.files[all[anchor].id] != nil {
		chain = t.files[all[anchor].id]
	}
	if old.at > 0 {
		t.noteHead(old.head)
	}
	for i := range all {
		if i <= anchor || anchor < 0 && !all[i].changed.After(old.touch.Add(-clockGrain)) {
			continue
		}
		if t.files[all[i].id] != nil || t.knownHead(all[i].fd).N > 0 {
			continue
		}
		if alike(now.fd, &all[i]) { // it counts again if the original is truncated before it is read
			if all[i].changed.Before(now.touch) {
				now.touch = all[i].changed
			}
			continue
		}
		if c := t.adopt(&all[i], &old, inPlace); c != nil {
			if chain.finite {
				chain.heir = c
			}
			chain = c
		}
	}
	if chain.finite && inPlace {
		chain.heir = now
	}
	if anchor < 0 && !open && old.size > old.at && (old.at > 0 || chain == was) {
		now.maimed = inPlace
		t.lose(&old, "a rotation left no copy of the file's last bytes")
	}
}

// unseen opens what was written into a file and truncated away while it seemed to be empty.
func (t *Tail) unseen(f *file) (found bool) {
	old, open := f.content, len(t.order)
	old.size = old.at // nothing of it is lost
	f.touch = time.Now()
	t.catchUp(f, f, old, true)
	return len(t.order) > open
}

// alike reports whether a sibling is a copy of what an open file holds now, or becomes one. A copy
// is never longer than its original.
func alike(fd int, s *sibling) bool {
	var a, b [headSize]byte
	m, _ := pread(s.fd, b[:], 0) // the copy first: the original may grow meanwhile
	n, _ := pread(fd, a[:], 0)   // what cannot be read is empty
	return m <= n && bytes.Equal(a[:m], b[:m])
}

// find returns which sibling has the old content, and whether there is more in it than was read. In
// place, what is a copy of what the file holds now will be read there.
func (t *Tail) find(all []sibling, old *content, now *file, inPlace bool) (anchor int, rest bool) {
	anchor = -1
	if old.head.N == 0 {
		return anchor, false
	}
	for i := len(all) - 1; i >= 0; i-- {
		s := &all[i]
		if c := t.files[s.id]; c != nil && !c.finite || inPlace && alike(now.fd, s) {
			continue
		}
		begins, whole := old.same(s.fd)
		if !begins {
			continue
		}
		unread := t.files[s.id] == nil && t.knownHead(s.fd).N == 0
		switch {
		case old.at > 0:
			return i, whole && unread && s.size > old.at
		case unread && s.changed.After(old.touch.Add(-clockGrain)):
			anchor, rest = i, s.size > 0 // the bytes of an unfinished line may begin later contents, too
		case anchor < 0:
			anchor = i
		}
	}
	return anchor, rest
}

// adopt opens a rotation under the path that it came from.
func (t *Tail) adopt(s *sibling, home *content, finite bool) *file {
	fd, err := unix.FcntlInt(uintptr(s.fd), unix.F_DUPFD_CLOEXEC, 0) //nolint:gosec // a descriptor
	if err != nil {
		t.unreadable(s.path, err)
		return nil
	}
	f := t.enter(&file{content: content{path: home.path, id: s.id}, fd: fd}, s.path)
	f.real, f.finite, f.left = home.real, finite, time.Now()
	return f
}

// finish closes a copy that was read to its end. A line that it ends in goes on in its heir.
func (t *Tail) finish(f *file) {
	if h := f.heir; h != nil && h.at == 0 && len(h.prefix) == 0 {
		if b := t.leftover(f); len(b) > 0 {
			h.prefix = b
		}
		h.skip = h.skip || f.skip
	} else {
		t.last(f)
	}
	if f.head.N > 0 {
		t.ignored[f.id] = f.head
		t.noteHead(f.head)
	}
	t.closeFile(f)
}

// leftover returns a copy of the bytes behind the last LF.
func (t *Tail) leftover(f *file) []byte {
	if f.skip {
		return nil
	}
	n, err := pread(f.fd, t.buf[:MaxLine], f.at)
	if err != nil || n <= 0 {
		return nil
	}
	return slices.Clone(append(f.prefix, t.buf[:n]...)[:min(len(f.prefix)+n, MaxLine)])
}

// last hands on a last line that never got its LF.
func (t *Tail) last(f *file) {
	if b := t.leftover(f); len(b) > 0 && t.source != nil {
		f.at, f.prefix = f.at+int64(len(b)), nil
		t.now = time.Now()
		t.put(f, b)
		t.settle()
	}
}

// expire closes files that no path names any more, when they have been quiet for long or there are
// too many of them.
func (t *Tail) expire() {
	held := 0
	for _, f := range t.order {
		if f.held() {
			held++
		}
	}
	if held == 0 {
		return
	}
	now := time.Now()
	for _, f := range slices.Clone(t.order) {
		if !f.held() || f.dirty || f.finite {
			continue
		}
		if quiet := now.Sub(latest(f.touch, f.left)); held <= maxHeld && quiet < t.keep {
			continue
		}
		t.last(f)
		if f.at > 0 {
			t.noteHead(f.head)
		}
		t.closeFile(f)
		held--
	}
	t.sink.Flush()
}

func latest(a, b time.Time) time.Time {
	if a.After(b) {
		return a
	}
	return b
}

// closeFile closes a file and forgets that it is open; what is known of its content stays with its
// path.
func (t *Tail) closeFile(f *file) {
	t.shutFile(f)
	f.dirty, t.changed = false, true
	delete(t.files, f.id)
	if i := slices.Index(t.order, f); i >= 0 {
		t.order = slices.Delete(t.order, i, i+1)
	}
	if len(t.paths) > 2*maxFiles {
		for path, other := range t.paths {
			if other.fd < 0 {
				delete(t.paths, path)
			}
		}
	}
}

// noteHead remembers how a content began that was read.
func (t *Tail) noteHead(h print) {
	if h.N == 0 || slices.Contains(t.heads, h) {
		return
	}
	if len(t.heads) >= maxHeads {
		t.heads = slices.Delete(t.heads, 0, 1)
	}
	t.heads = append(t.heads, h)
}

// knownHead returns the beginning by which an open file is known as a content that was read, or is
// being read; the zero print when it is not.
func (t *Tail) knownHead(fd int) print {
	var b [headSize]byte
	n, err := pread(fd, b[:], 0)
	if err != nil {
		return print{}
	}
	is := func(h print) bool { return h.N > 0 && h.N <= n && printOf(b[:h.N]) == h }
	for _, f := range t.order {
		if f.at > 0 && is(f.head) {
			return f.head
		}
	}
	if i := slices.IndexFunc(t.heads, is); i >= 0 {
		return t.heads[i]
	}
	return print{}
}

// isCopy reports whether a new match is a copy of a file that is followed, or was: a rotation
// that the paths name too. While it may still be growing to be one, it has to wait.
func (t *Tail) isCopy(real string, info os.FileInfo) bool {
	beside := t.besides(real)
	if beside == nil {
		return false
	}
	id := idOf(info)
	if info.Size() < int64(beside.head.N) && t.scanned {
		first, ok := t.waiting[id]
		if !ok {
			first = t.lastScan
			t.waiting[id] = first
		}
		if t.lastScan.Sub(first) < settleFor {
			t.again = true
			return true
		}
		return false
	}
	fd, err := openFile(real)
	if err != nil {
		return false
	}
	defer closeFD(fd)
	h := t.knownHead(fd)
	if h.N == 0 {
		return false
	}
	t.ignored[id] = h
	t.changed = true
	return true
}

// isIgnored reports whether a match is a copy that was read, and still is that copy: its number
// may be another file's by now.
func (t *Tail) isIgnored(id fileID, real string) bool {
	h, ok := t.ignored[id]
	if !ok {
		return false
	}
	if fd, err := openFile(real); err == nil {
		defer closeFD(fd)
		if begins, _ := (&content{head: h}).same(fd); begins {
			return true
		}
	}
	delete(t.ignored, id)
	return false
}

// besides returns an open file with a path that real is a rotation of, by its name.
func (t *Tail) besides(real string) *file {
	for _, f := range t.order {
		if !f.finite && isRotationOf(f.real, real) {
			return f
		}
	}
	return nil
}
