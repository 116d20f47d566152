package control

import (
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"sync"
	"syscall"
	"time"
)

const (
	// maxPath is the room in a sockaddr_un, less its final NUL.
	maxPath = 107
	// maxConns bounds the connections of all callers together, maxConnsPerUser those of one user
	// other than root and the daemon's own. More are closed at once.
	maxConns        = 1280
	maxConnsPerUser = 64
)

// listener is the unix socket. It knows each caller before the first byte is read.
type listener struct {
	*net.UnixListener
	path  string
	roles roles
	log   *slog.Logger
	made  os.FileInfo // the socket file we made

	mu     sync.Mutex
	total  int
	byUser map[uint32]int
}

// listen binds path. A socket that nobody listens on is replaced; a live one is refused with an
// error that wraps EADDRINUSE.
func listen(path string, r roles, log *slog.Logger) (*listener, error) {
	if len(path) > maxPath {
		return nil, fmt.Errorf("control socket %q: path of %d bytes, at most %d", path, len(path), maxPath)
	}
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		return nil, fmt.Errorf("control socket %q: make its folder: %w", path, err)
	}
	if err := removeStale(path); err != nil {
		return nil, fmt.Errorf("control socket %q: %w", path, err)
	}
	ul, err := net.ListenUnix("unix", &net.UnixAddr{Name: path, Net: "unix"})
	if err != nil {
		return nil, fmt.Errorf("control socket: %w", err)
	}
	ul.SetUnlinkOnClose(false) // by then the path may be another daemon's
	l := &listener{UnixListener: ul, path: path, roles: r, log: log, byUser: map[uint32]int{}}
	if err := l.own(); err != nil {
		return nil, errors.Join(fmt.Errorf("control socket %q: %w", path, err), ul.Close(), os.Remove(path))
	}
	return l, nil
}

// own sets group and mode. Until then the umask keeps others out, and roles do in any case.
func (l *listener) own() (err error) {
	mode := fs.FileMode(0o600)
	if l.roles.group >= 0 {
		mode = 0o660
		if err = os.Chown(l.path, -1, int(l.roles.group)); err != nil {
			return err
		}
	}
	if l.roles.readGroup >= 0 {
		mode = 0o666
	}
	if err = os.Chmod(l.path, mode); err != nil {
		return err
	}
	l.made, err = os.Lstat(l.path)
	return err
}

func removeStale(path string) error {
	info, err := os.Lstat(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	if info.Mode().Type() != fs.ModeSocket {
		return errors.New("the path exists and is no socket")
	}
	c, err := net.DialTimeout("unix", path, time.Second)
	if err == nil {
		_ = c.Close()
	}
	if errors.Is(err, syscall.ECONNREFUSED) {
		return os.Remove(path)
	}
	if err != nil && !errors.Is(err, syscall.EAGAIN) && !errors.Is(err, os.ErrDeadlineExceeded) {
		return err
	}
	return fmt.Errorf("another daemon listens on it: %w", syscall.EADDRINUSE)
}

// remove takes the socket file away, unless it is no longer the one we made.
func (l *listener) remove() error {
	info, err := os.Lstat(l.path)
	if err != nil || !os.SameFile(info, l.made) {
		return nil
	}
	return os.Remove(l.path)
}

// Accept returns the next connection whose caller the kernel could name.
func (l *listener) Accept() (net.Conn, error) {
	for {
		c, err := l.AcceptUnix()
		if err != nil {
			return nil, err
		}
		who, err := callerOf(c)
		if err != nil {
			l.log.Debug("control caller unknown", "err", err)
			_ = c.Close()
			continue
		}
		if !l.admit(who) {
			_ = c.Close()
			continue
		}
		return &conn{UnixConn: c, caller: who, release: sync.OnceFunc(func() { l.leave(who) })}, nil
	}
}

func (l *listener) admit(who caller) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	trusted := who.uid == 0 || who.uid == l.roles.own
	if l.total >= maxConns || !trusted && l.byUser[who.uid] >= maxConnsPerUser {
		return false
	}
	l.total++
	l.byUser[who.uid]++
	return true
}

func (l *listener) leave(who caller) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.total--
	if l.byUser[who.uid]--; l.byUser[who.uid] == 0 {
		delete(l.byUser, who.uid)
	}
}

// conn is one admitted connection.
type conn struct {
	*net.UnixConn
	caller  caller
	release func()
}

// Close also frees the connection's place.
func (c *conn) Close() error {
	defer c.release()
	return c.UnixConn.Close()
}
