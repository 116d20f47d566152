package daemon

import (
	"cmp"
	"fmt"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"

	"golang.org/x/sys/unix"

	"stockade/cmd/stockade/config"
	"stockade/cmd/stockade/control"
)

// logs is where the daemon's own log goes: its level, form and target may change while loggers made
// from it are in use. Its methods may be called concurrently.
type logs struct {
	stderr io.Writer
	level  slog.LevelVar
	limit  limiter
	base   atomic.Pointer[slog.Handler] // what records go to in the end

	mu     sync.Mutex
	state  control.LogState
	file   *os.File // the target when it is a file
	format string   // as configured: auto, text, json
}

// newLogs opens the log of a configuration. w is standard error.
func newLogs(w io.Writer, c config.LogConfig) (*logs, error) {
	l := &logs{stderr: w}
	return l, l.set(c)
}

// logger returns a logger that follows every later change.
func (l *logs) logger() *slog.Logger { return slog.New(&handler{logs: l}) }

// set puts the log section of a configuration in force; on an error nothing changed.
func (l *logs) set(c config.LogConfig) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	format := l.format
	l.format = c.Format
	if err := l.openLocked(cmp.Or(c.Target, config.LogStderr)); err != nil {
		l.format = format
		return err
	}
	l.setLevelLocked(c.Level)
	return nil
}

// change applies what an operator asks for and returns the outcome. The folder of a file must be one
// of dirs: whoever may only ban must not write elsewhere.
func (l *logs) change(r control.LogRequest, dirs []string) (control.LogState, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if r.Target != "" {
		if err := l.mayOpenLocked(r.Target, dirs); err != nil {
			return l.state, err
		}
		if err := l.openLocked(r.Target); err != nil {
			return l.state, err
		}
	}
	if r.Level != "" {
		l.setLevelLocked(r.Level)
	}
	return l.state, nil
}

func (l *logs) mayOpenLocked(target string, dirs []string) error {
	if target == config.LogStderr || target == l.state.Target {
		return nil
	}
	if !filepath.IsAbs(target) || filepath.Clean(target) != target {
		return fmt.Errorf("the log's target %q must be %s or the absolute path of a file", target, config.LogStderr)
	}
	for _, dir := range dirs {
		if filepath.Dir(target) == dir {
			return nil
		}
	}
	return fmt.Errorf("the log's target %q must be a file in %s; others are for log.target in the configuration", target, strings.Join(dirs, " or "))
}

// openLocked makes target the one that is written to. A file is opened anew even when it is the same,
// so that one that was rotated away is let go.
func (l *logs) openLocked(target string) error {
	w, file := l.stderr, (*os.File)(nil)
	if target != config.LogStderr {
		f, err := os.OpenFile(target, os.O_APPEND|os.O_CREATE|os.O_WRONLY|unix.O_NOFOLLOW|unix.O_NONBLOCK, 0o640)
		if err != nil {
			return fmt.Errorf("open the log's target: %w", err)
		}
		if info, err := f.Stat(); err != nil || !info.Mode().IsRegular() {
			_ = f.Close()
			return fmt.Errorf("open the log's target: %s is not a regular file", target)
		}
		w, file = f, f
	}
	l.state.Target, l.state.Format = target, "json"
	if l.format == "text" || l.format != "json" && isTerminal(w) {
		l.state.Format = "text"
	}
	h := l.handlerLocked(w)
	l.base.Store(&h)
	if l.file != nil {
		_ = l.file.Close() // each record was one write: there is nothing to lose
	}
	l.file = file
	return nil
}

func (l *logs) handlerLocked(w io.Writer) slog.Handler {
	one := func(w io.Writer) slog.Handler {
		o := &slog.HandlerOptions{Level: &l.level}
		if l.state.Format == "text" {
			return slog.NewTextHandler(w, o)
		}
		return slog.NewJSONHandler(printable{w}, o)
	}
	if f, ok := w.(*os.File); ok && isJournal(f, os.Getenv("JOURNAL_STREAM")) {
		return newPriorities(w, one)
	}
	return one(w)
}

func (l *logs) setLevelLocked(level string) {
	var v slog.Level
	if err := v.UnmarshalText([]byte(level)); err != nil {
		v = slog.LevelInfo // Check refused it
	}
	l.level.Set(v)
	l.state.Level = strings.ToLower(v.String())
}

// now is how the daemon logs.
func (l *logs) now() control.LogState {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.state
}

// Close ends the writing to a file; what is logged later goes to standard error.
func (l *logs) Close() error {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.openLocked(config.LogStderr)
}

func isTerminal(w io.Writer) bool {
	f, ok := w.(*os.File)
	if !ok {
		return false
	}
	_, err := unix.IoctlGetTermios(int(f.Fd()), unix.TCGETS)
	return err == nil
}
