package tail

import (
	"os"
	"path/filepath"
	"time"
)

// resume opens the files of the last run where it left them.
func (t *Tail) resume(m *memory) {
	t.since = time.Unix(0, m.Saved)
	for _, h := range m.Heads[:min(len(m.Heads), maxHeads)] {
		if h.sound() {
			t.noteHead(h)
		}
	}
	for _, id := range m.Ignored[:min(len(m.Ignored), maxIgnored)] {
		if id.Head.sound() {
			t.ignored[fileID{id.Dev, id.Ino}] = id.Head
		}
	}
	// Whatever is still there is open before anything is looked for: else a rotation that was read
	// already looks like one that was not.
	var changed []*memorized
	for i := range m.Files {
		if x := &m.Files[i]; x.sound() && len(t.files) < maxFiles && t.files[fileID{x.Dev, x.Ino}] == nil && !t.reopen(x) {
			changed = append(changed, x)
		}
	}
	t.inherit()
	for _, x := range changed {
		t.replace(x)
	}
}

// where returns the path under which a file is now that was open in the last run, "" when it is
// nowhere. named says that it is the path's own file, not one beside it.
func (c *content) where() (at string, named bool) {
	if real, info, err := resolve(c.path); err == nil && idOf(info) == c.id {
		return real, true
	}
	if info, err := os.Lstat(c.real); err == nil && idOf(info) == c.id {
		return c.real, false
	}
	for _, s := range list(filepath.Split(c.real)) {
		if s.id == c.id {
			at = s.path
		}
	}
	return at, false
}

// reopen opens a file of the last run, if it still holds what was read.
func (t *Tail) reopen(x *memorized) bool {
	c := x.content()
	at, _ := c.where()
	if at == "" {
		return false
	}
	f, err := t.open(c.path, at)
	if err != nil {
		t.unreadable(c.path, err)
		return false
	}
	if begins, whole := c.same(f.fd); f.id != c.id || !begins || !whole {
		t.closeFile(f)
		return false
	}
	c.born = f.born
	f.content = c
	f.finite = x.Finite
	if x.Held || at != c.real || x.Finite {
		f.left = time.Now()
	}
	if !x.Held || t.paths[c.path] == nil {
		t.paths[c.path] = f
	}
	return true
}

// inherit finds who gets the unfinished line of each copy that was being read: the next copy of the
// same file, or the file.
func (t *Tail) inherit() {
	last := make(map[string]*file)
	for _, f := range t.order {
		if !f.finite {
			continue
		}
		if before := last[f.path]; before != nil {
			before.heir = f
		}
		last[f.path] = f
	}
	for path, f := range last {
		if now := t.paths[path]; now != nil && now != f && !now.held() {
			f.heir = now
		}
	}
}

// replace finds what became of a file of the last run that does not hold any more what was read.
func (t *Tail) replace(x *memorized) {
	c := x.content()
	gone := &file{content: c, fd: -1, left: t.since}
	if x.Held || x.Finite {
		if c.size > c.at {
			t.lose(&c, "a rotated file is gone")
		}
		if t.paths[c.path] == nil {
			gone.size = gone.at // its loss is counted
			t.paths[c.path] = gone
		}
		return
	}
	t.paths[c.path] = gone // what is there now is found by the first look
	at, named := c.where()
	if !named || t.files[c.id] != nil {
		return
	}
	f, err := t.open(c.path, at)
	if err != nil {
		t.unreadable(c.path, err)
		return
	}
	if f.id != c.id || c.born != 0 && f.born != 0 && f.born != c.born { // its number is another file's by now
		t.closeFile(f)
		return
	}
	t.rotation.Add(1) // truncated while nobody looked
	t.paths[c.path] = f
	t.catchUp(f, f, c, true)
}
