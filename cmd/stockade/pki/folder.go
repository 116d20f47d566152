package pki

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"
)

// DefaultDir is where the certificates of this host are kept.
const DefaultDir = "/etc/stockade/tls"

// ErrExists is wrapped by the errors about a certificate that would be replaced.
var ErrExists = errors.New("it exists already")

// folder is a locked folder of certificates.
type folder struct {
	dir  string
	lock *os.File
}

// open creates the folder if it is not there, and locks it.
func open(dir string) (*folder, error) {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, err
	}
	lock, err := os.OpenFile(filepath.Join(dir, ".lock"), os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return nil, err
	}
	if err := syscall.Flock(int(lock.Fd()), syscall.LOCK_EX); err != nil { //nolint:gosec // a descriptor fits
		lock.Close()
		return nil, fmt.Errorf("lock %q: %w", lock.Name(), err)
	}
	return &folder{dir, lock}, nil
}

func (f *folder) close() { f.lock.Close() }

func (f *folder) path(name string) string { return filepath.Join(f.dir, name) }

// free reports whether no certificate is in the way.
func (f *folder) free(name string) error {
	_, err := os.Lstat(f.path(name))
	switch {
	case err == nil:
		return fmt.Errorf("certificate %q: %w", f.path(name), ErrExists)
	case !errors.Is(err, fs.ErrNotExist):
		return err
	}
	return nil
}

// WriteFile writes a file so that it is there whole or not at all, also after a power cut. An
// existing file is replaced only with force; else the error wraps ErrExists.
func WriteFile(path string, data []byte, mode fs.FileMode, force bool) (err error) {
	dir := filepath.Dir(path)
	tmp, err := os.CreateTemp(dir, ".new-*")
	if err != nil {
		return err
	}
	defer func() {
		tmp.Close()
		_ = os.Remove(tmp.Name())
	}()
	if err := tmp.Chmod(mode); err != nil {
		return err
	}
	if _, err := tmp.Write(data); err != nil {
		return err
	}
	if err := tmp.Sync(); err != nil {
		return err
	}
	if force {
		err = os.Rename(tmp.Name(), path)
	} else if err = os.Link(tmp.Name(), path); errors.Is(err, fs.ErrExist) {
		return fmt.Errorf("write %q: %w", path, ErrExists)
	}
	if err != nil {
		return err
	}
	return syncDir(dir)
}

func syncDir(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	defer d.Close()
	return d.Sync()
}
