// Package waltest has a folder in memory for tests: it records every step, fails on demand, and can
// be cut off after any step as a power cut would.
package waltest

import (
	"bytes"
	"io"
	"io/fs"
	"math/rand/v2"
	"slices"
	"sync"

	"stockade/jails/state/wal"
)

// FS is a folder in memory. It may be used concurrently.
type FS struct {
	// Fail, when set, is asked before each step ("create", "write", "sync", "rename", "remove",
	// "syncdir", "open", "list"); an error is returned instead of doing it. For a write it may also
	// say how many bytes are written first.
	Fail func(op, name string) (written int, err error)
	// Done, when set, is called after each step that changed something, without locks held.
	Done func()

	mu    sync.Mutex
	names map[string]*inode
	disk  map[string]*inode   // names as of the last SyncDir
	steps []map[string]*inode // names after each step since then
}

type inode struct {
	data   []byte
	synced int // bytes that a power cut leaves
}

// New returns an empty folder.
func New() *FS { return &FS{names: map[string]*inode{}, disk: map[string]*inode{}} }

func (f *FS) fail(op, name string) (int, error) {
	if f.Fail == nil {
		return 0, nil
	}
	return f.Fail(op, name)
}

// step changes the names.
func (f *FS) step(change func(map[string]*inode)) {
	f.mu.Lock()
	next := make(map[string]*inode, len(f.names)+1)
	for k, v := range f.names {
		next[k] = v
	}
	change(next)
	f.names = next
	f.steps = append(f.steps, next)
	f.mu.Unlock()
	f.done()
}

func (f *FS) done() {
	if f.Done != nil {
		f.Done()
	}
}

// Create implements wal.FS.
func (f *FS) Create(name string) (wal.File, error) {
	if _, err := f.fail("create", name); err != nil {
		return nil, err
	}
	node := &inode{}
	f.step(func(names map[string]*inode) { names[name] = node })
	return &file{f, name, node}, nil
}

// Open implements wal.FS.
func (f *FS) Open(name string) (io.ReadCloser, error) {
	if _, err := f.fail("open", name); err != nil {
		return nil, err
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	node := f.names[name]
	if node == nil {
		return nil, fs.ErrNotExist
	}
	return io.NopCloser(bytes.NewReader(slices.Clone(node.data))), nil
}

// Rename implements wal.FS.
func (f *FS) Rename(from, to string) error {
	if _, err := f.fail("rename", from); err != nil {
		return err
	}
	f.mu.Lock()
	node := f.names[from]
	f.mu.Unlock()
	if node == nil {
		return fs.ErrNotExist
	}
	f.step(func(names map[string]*inode) {
		names[to] = node
		delete(names, from)
	})
	return nil
}

// Remove implements wal.FS.
func (f *FS) Remove(name string) error {
	if _, err := f.fail("remove", name); err != nil {
		return err
	}
	f.step(func(names map[string]*inode) { delete(names, name) })
	return nil
}

// SyncDir implements wal.FS.
func (f *FS) SyncDir() error {
	if _, err := f.fail("syncdir", ""); err != nil {
		return err
	}
	f.mu.Lock()
	f.disk, f.steps = f.names, nil
	f.mu.Unlock()
	f.done()
	return nil
}

// List implements wal.FS.
func (f *FS) List() ([]string, error) {
	if _, err := f.fail("list", ""); err != nil {
		return nil, err
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	var out []string
	for name := range f.names {
		out = append(out, name)
	}
	slices.Sort(out)
	return out, nil
}

// Close implements wal.FS.
func (f *FS) Close() error { return nil }

type file struct {
	fs   *FS
	name string
	node *inode
}

func (w *file) Write(p []byte) (int, error) {
	n, err := w.fs.fail("write", w.name)
	if err == nil {
		n = len(p)
	}
	n = min(n, len(p))
	w.fs.mu.Lock()
	w.node.data = append(w.node.data, p[:n]...)
	w.fs.mu.Unlock()
	w.fs.done()
	return n, err
}

func (w *file) Sync() error {
	if _, err := w.fs.fail("sync", w.name); err != nil {
		return err
	}
	w.fs.mu.Lock()
	w.node.synced = len(w.node.data)
	w.fs.mu.Unlock()
	w.fs.done()
	return nil
}

func (w *file) Close() error { return nil }

// Killed returns the folder as a process that is killed now leaves it.
func (f *FS) Killed() *FS {
	f.mu.Lock()
	defer f.mu.Unlock()
	return copyOf(f.names, func(n *inode) int { return len(n.data) })
}

// Cut returns the folder as a power cut now may leave it: of what was not synced, names change up
// to some step, and files have some part of their bytes. With a nil rnd nothing of it is left.
func (f *FS) Cut(rnd *rand.Rand) *FS {
	f.mu.Lock()
	defer f.mu.Unlock()
	names := f.disk
	if rnd != nil {
		if i := rnd.IntN(len(f.steps) + 1); i > 0 {
			names = f.steps[i-1]
		}
	}
	return copyOf(names, func(n *inode) int {
		if rnd == nil {
			return n.synced
		}
		return n.synced + rnd.IntN(len(n.data)-n.synced+1)
	})
}

func copyOf(names map[string]*inode, size func(*inode) int) *FS {
	out := New()
	for name, n := range names {
		data := slices.Clone(n.data[:size(n)])
		out.names[name] = &inode{data: data, synced: len(data)}
	}
	out.disk = out.names
	return out
}

// Change replaces the bytes of a file.
func (f *FS) Change(name string, change func([]byte) []byte) {
	f.mu.Lock()
	defer f.mu.Unlock()
	data := change(slices.Clone(f.names[name].data))
	f.names[name] = &inode{data: data, synced: len(data)}
}

// Size is the number of bytes of a file.
func (f *FS) Size(name string) int {
	f.mu.Lock()
	defer f.mu.Unlock()
	return len(f.names[name].data)
}
