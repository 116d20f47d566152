package tail

import (
	"encoding/hex"
	"errors"
	"fmt"
	"path/filepath"
	"time"

	"stockade/receiver/statefile"
)

const (
	stateKind  = "tail"
	saveEvery  = 2 * time.Second
	maxHeads   = 128
	maxIgnored = maxFiles
)

// memory is what is kept across a restart.
type memory struct {
	Saved   int64 // Unix nanoseconds
	Files   []memorized
	Heads   []print // of contents that were read to their end
	Ignored []memorizedID
}

type memorizedID struct {
	Dev, Ino uint64
	Head     print
}

// memorized is one file, in the order in which they are to be read.
type memorized struct {
	Path, Real   string
	Dev, Ino     uint64
	Born         int64
	At, Size     int64
	Head         print
	Before       []byte
	Prefix       []byte
	Touch        int64
	Skip, Maimed bool
	Syslog       bool
	Finite       bool
	Held         bool
}

func (p *print) sound() bool { return p.N >= 0 && p.N <= headSize }

// sound reports whether a file's numbers can be true: they come from a disk.
func (m *memorized) sound() bool {
	return m.At >= 0 && m.Size >= 0 && len(m.Before) <= beforeSize && int64(len(m.Before)) <= m.At &&
		len(m.Prefix) <= MaxLine && m.Head.sound() &&
		filepath.IsAbs(m.Path) && filepath.IsAbs(m.Real)
}

func (m *memorized) content() content {
	return content{
		id: fileID{m.Dev, m.Ino}, born: m.Born, path: m.Path, real: m.Real, at: m.At, size: m.Size, head: m.Head,
		before: m.Before, touch: time.Unix(0, m.Touch), skip: m.Skip, maimed: m.Maimed, prefix: m.Prefix, syslog: m.Syslog,
	}
}

func (t *Tail) statePath() string {
	if t.o.StateDir == "" {
		return ""
	}
	name := t.o.Config.Name
	if !nameShape.MatchString(name) {
		name = hex.EncodeToString([]byte(name))
	}
	return filepath.Join(t.o.StateDir, "tail-"+name+".state")
}

// remember reads the state; nil when there is none that can be used.
func (t *Tail) remember() (*memory, error) {
	path := t.statePath()
	if path == "" {
		return nil, nil //nolint:nilnil // nothing is remembered
	}
	m := new(memory)
	ok, err := statefile.Load(path, stateKind, m)
	switch {
	case errors.Is(err, statefile.ErrCorrupt):
		t.log.Warn("the kept positions are damaged: files are begun as at the first start", "err", err)
		return nil, nil //nolint:nilnil // as above
	case err != nil:
		return nil, fmt.Errorf("tail %q: %w", t.o.Config.Name, err)
	case !ok:
		return nil, nil //nolint:nilnil // as above
	}
	return m, nil
}

// save keeps the positions when they changed, at most every two seconds unless now.
func (t *Tail) save(now bool) {
	path := t.statePath()
	if path == "" || !t.changed || !now && time.Since(t.savedAt) < saveEvery {
		return
	}
	t.sink.Flush() // what is remembered as read must be handed on
	t.savedAt = time.Now()
	m := memory{Saved: t.savedAt.UnixNano(), Heads: t.heads}
	for id, h := range t.ignored {
		if len(m.Ignored) < maxIgnored {
			m.Ignored = append(m.Ignored, memorizedID{id.dev, id.ino, h})
		}
	}
	for _, f := range t.order {
		m.Files = append(m.Files, memorized{
			Path: f.path, Real: f.real, Dev: f.id.dev, Ino: f.id.ino, Born: f.born, At: f.at, Size: f.size, Head: f.head,
			Before: f.before, Prefix: f.prefix, Touch: f.touch.UnixNano(), Skip: f.skip, Maimed: f.maimed,
			Syslog: f.syslog, Finite: f.finite, Held: f.held(),
		})
	}
	if err := statefile.Save(path, stateKind, &m); err != nil {
		t.log.Warn("cannot keep the positions in the files", "err", err)
		return
	}
	t.changed = false
}
