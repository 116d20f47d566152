package wal

import (
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"
)

// FS is the folder that a state lives in. Names have no path.
type FS interface {
	// Create makes an empty file, in place of one of that name.
	Create(name string) (File, error)
	// Open opens a file for reading; errors.Is(err, fs.ErrNotExist) when there is none.
	Open(name string) (io.ReadCloser, error)
	// Rename replaces the file to by the file from, at once.
	Rename(from, to string) error
	// Remove removes a file; removing an absent one is no error.
	Remove(name string) error
	// SyncDir makes the names of the folder durable.
	SyncDir() error
	// List returns the names of all files.
	List() ([]string, error)
	// Close lets another process use the folder.
	Close() error
}

// File is a file being written.
type File interface {
	io.WriteCloser
	// Sync makes what was written durable.
	Sync() error
}

// lockName is the file whose lock keeps other processes out. It stays behind, empty.
const lockName = "lock"

// ErrInUse says that another process has the folder.
var ErrInUse = errors.New("another process uses the folder")

// Dir is the folder at path, made with mode 0700 when it is missing. It is locked until Close or
// the end of the process; errors.Is(err, ErrInUse) when someone else has it.
func Dir(path string) (FS, error) {
	if err := os.MkdirAll(path, 0o700); err != nil {
		return nil, err
	}
	f, err := os.OpenFile(filepath.Join(path, lockName), os.O_WRONLY|os.O_CREATE, 0o600)
	if err != nil {
		return nil, err
	}
	if err := lock(f); err != nil {
		return nil, errors.Join(err, f.Close())
	}
	return &dir{root: path, lock: f}, nil
}

type dir struct {
	root string
	lock *os.File
}

func (d *dir) path(name string) string { return filepath.Join(d.root, name) }

func (d *dir) Close() error { return d.lock.Close() }

func (d *dir) Create(name string) (File, error) {
	return os.OpenFile(d.path(name), os.O_WRONLY|os.O_CREATE|os.O_TRUNC, 0o600)
}

func (d *dir) Open(name string) (io.ReadCloser, error) { return os.Open(d.path(name)) }

func (d *dir) Rename(from, to string) error { return os.Rename(d.path(from), d.path(to)) }

func (d *dir) Remove(name string) error {
	if err := os.Remove(d.path(name)); !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return nil
}

func (d *dir) SyncDir() error {
	f, err := os.Open(d.root)
	if err != nil {
		return err
	}
	return errors.Join(f.Sync(), f.Close())
}

func (d *dir) List() ([]string, error) {
	entries, err := os.ReadDir(d.root)
	if err != nil {
		return nil, err
	}
	var out []string
	for _, e := range entries {
		if e.Type().IsRegular() {
			out = append(out, e.Name())
		}
	}
	return out, nil
}

// WriteFile writes a file as a whole: into a temporary file that is fsynced and renamed, after
// which the folder is fsynced. On an error the temporary file is removed and what stood under the
// name before still does, or, when only the last fsync failed, may.
func WriteFile(fsys FS, name string, write func(io.Writer) error) error {
	temp := name + ".tmp"
	f, err := fsys.Create(temp)
	if err != nil {
		return err
	}
	err = write(f)
	if err == nil {
		err = f.Sync()
	}
	if closeErr := f.Close(); err == nil {
		err = closeErr
	}
	if err == nil {
		err = fsys.Rename(temp, name)
	}
	if err != nil {
		return errors.Join(err, fsys.Remove(temp))
	}
	return fsys.SyncDir()
}
