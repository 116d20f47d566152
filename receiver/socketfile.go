package receiver

import (
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"time"

	"golang.org/x/sys/unix"
)

// socketFile is the file of a unix socket that we made.
type socketFile struct {
	path string
	info fs.FileInfo
}

// listenFile makes room for the socket file, opens the socket and gives the file its mode.
func (l *Listener) listenFile(open func() error) error {
	mode, err := parseMode(l.cfg.Mode)
	if err != nil {
		return err
	}
	if err := clearStale(l.cfg.Path); err != nil {
		return err
	}
	if err := open(); err != nil {
		return err
	}
	err = os.Chmod(l.cfg.Path, fs.FileMode(mode))
	if err == nil {
		l.file, err = newSocketFile(l.cfg.Path)
	}
	if err != nil {
		return errors.Join(err, l.server.close(), os.Remove(l.cfg.Path))
	}
	return nil
}

func newSocketFile(path string) (*socketFile, error) {
	info, err := os.Lstat(path)
	if err != nil {
		return nil, err
	}
	return &socketFile{path, info}, nil
}

// remove deletes the file, unless somebody put another one in its place.
func (f *socketFile) remove() error {
	info, err := os.Lstat(f.path)
	if errors.Is(err, fs.ErrNotExist) || err == nil && !os.SameFile(info, f.info) {
		return nil
	}
	if err != nil {
		return err
	}
	return os.Remove(f.path)
}

// clearStale removes a socket file that nobody listens on. A file that is no socket, and a
// socket that somebody listens on, are errors.
func clearStale(path string) error {
	info, err := os.Lstat(path)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return nil
	case err != nil:
		return err
	case info.Mode().Type() != fs.ModeSocket:
		return fmt.Errorf("path %q exists and is not a socket", path)
	}
	for _, network := range []string{"unix", "unixgram"} {
		c, err := net.DialTimeout(network, path, time.Second)
		switch {
		case err == nil:
			err = c.Close()
			return errors.Join(fmt.Errorf("path %q: %w", path, unix.EADDRINUSE), err)
		case errors.Is(err, unix.EPROTOTYPE): // a socket of the other type
		case errors.Is(err, unix.ECONNREFUSED):
			return os.Remove(path)
		case errors.Is(err, unix.EAGAIN):
			return fmt.Errorf("path %q: %w", path, unix.EADDRINUSE)
		default:
			return fmt.Errorf("path %q: %w", path, err)
		}
	}
	return fmt.Errorf("path %q: %w", path, unix.EADDRINUSE)
}
