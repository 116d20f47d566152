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
	for i := range m.Files {
		if x := &m.Files[i]; x.sound() && len(t.files) < maxFiles && t.files[fileID{x.Dev, x.Ino}] == nil {
			t.resumeFile(x)
		}
	}
}

func (t *Tail) resumeFile(x *memorized) {
	c := x.content()
	gone := &file{content: c, fd: -1, left: t.since}
	at, named := "", ""
	inPlace := false
	if real, info, err := resolve(c.path); err == nil && idOf(info) == c.id {
		at, named = real, real
	} else if info, err := os.Lstat(c.real); err == nil && idOf(info) == c.id {
		at = c.real
	} else {
		for _, s := range list(filepath.Split(c.real)) {
			if s.id == c.id {
				at = s.path
			}
		}
	}
	if at != "" {
		f, err := t.open(c.path, at)
		switch {
		case err != nil:
			t.unreadable(c.path, err)
		case f.id == c.id:
			if begins, whole := c.same(f.fd); begins && whole {
				f.content = c
				f.finite = x.Finite
				if x.Held || at != c.real || x.Finite {
					f.left = time.Now()
				}
				if !x.Held || t.paths[c.path] == nil {
					t.paths[c.path] = f
				}
				return
			}
			inPlace = at == named // beside it, it is another file that got the number of a removed one
			t.closeFile(f)
		default:
			t.closeFile(f)
		}
	}
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
	if !inPlace {
		t.paths[c.path] = gone // what is there now is found by the first look
		return
	}
	// Truncated while nobody looked, or another file under a used number.
	t.rotation.Add(1)
	f, err := t.open(c.path, at)
	if err != nil {
		t.unreadable(c.path, err)
		return
	}
	t.paths[c.path] = f
	t.catchUp(f, f, c, true)
}
