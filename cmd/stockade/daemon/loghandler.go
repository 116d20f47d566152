package daemon

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"os"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/sys/unix"
	"golang.org/x/time/rate"

	"stockade/cmd/stockade/control"
)

// handler hands records to what logs has now. Attributes and groups given to it are given again to
// each successor.
type handler struct {
	logs  *logs
	given []func(slog.Handler) slog.Handler
	ready atomic.Pointer[derived]
}

// derived is a base with what was given to it.
type derived struct {
	base *slog.Handler
	slog.Handler
}

func (h *handler) inner() slog.Handler {
	base := h.logs.base.Load()
	if d := h.ready.Load(); d != nil && d.base == base {
		return d.Handler
	}
	d := &derived{base, *base}
	for _, give := range h.given {
		d.Handler = give(d.Handler)
	}
	h.ready.Store(d)
	return d.Handler
}

// Enabled reports whether the level is logged now.
func (h *handler) Enabled(_ context.Context, level slog.Level) bool {
	return level >= h.logs.level.Level()
}

// Handle writes a record, unless too many of its message came lately.
func (h *handler) Handle(ctx context.Context, r slog.Record) error {
	if !h.logs.limit.allow(r.Message, r.Time) {
		return nil
	}
	return h.inner().Handle(ctx, r)
}

// WithAttrs returns a handler that adds the attributes.
func (h *handler) WithAttrs(attrs []slog.Attr) slog.Handler {
	return h.with(func(in slog.Handler) slog.Handler { return in.WithAttrs(attrs) })
}

// WithGroup returns a handler that opens the group.
func (h *handler) WithGroup(name string) slog.Handler {
	return h.with(func(in slog.Handler) slog.Handler { return in.WithGroup(name) })
}

func (h *handler) with(give func(slog.Handler) slog.Handler) slog.Handler {
	return &handler{logs: h.logs, given: append(slices.Clip(h.given), give)}
}

// A message is logged so many times at once and then so often a second; what is more is counted.
const (
	logBurst = 5000
	logRate  = 500
)

// maxMessages is how many messages are told apart; all others share one allowance.
const maxMessages = 512

// limiter bounds how often each message is logged: under attack a line each ban would fill the disk.
// Messages are constants of this program, save those of net/http, which name the peer of a failed
// handshake. The zero value is ready.
type limiter struct {
	mu sync.Mutex
	by map[string]*allowance
}

type allowance struct {
	limit *rate.Limiter
	left  int64 // out, and not told yet
}

func (l *limiter) allow(message string, now time.Time) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.by[message] == nil && len(l.by) >= maxMessages {
		message = "other messages"
	}
	a := l.by[message]
	if a == nil {
		if l.by == nil {
			l.by = make(map[string]*allowance)
		}
		a = &allowance{limit: rate.NewLimiter(logRate, logBurst)}
		l.by[message] = a
	}
	if a.limit.AllowN(now, 1) {
		return true
	}
	a.left++
	return false
}

// take returns how many records were left out since the last call, by message.
func (l *limiter) take() map[string]int64 {
	l.mu.Lock()
	defer l.mu.Unlock()
	var out map[string]int64
	for message, a := range l.by {
		if a.left > 0 {
			if out == nil {
				out = make(map[string]int64)
			}
			out[message], a.left = a.left, 0
		}
	}
	return out
}

// sayLeftOut logs what the limiter left out.
func (d *daemon) sayLeftOut() {
	for message, n := range d.logs.limit.take() {
		d.log.Warn("log lines left out: too many at once", "of", message, "count", n)
	}
}

// priorities writes each record with its syslog priority in front, as journald reads it; see
// sd-daemon(3).
type priorities struct {
	debug, info, warn, err slog.Handler
}

func newPriorities(w io.Writer, make func(io.Writer) slog.Handler) priorities {
	at := func(priority string) slog.Handler { return make(prefixed{w, priority}) }
	return priorities{at("<7>"), at("<6>"), at("<4>"), at("<3>")}
}

func (p priorities) of(level slog.Level) slog.Handler {
	switch {
	case level >= slog.LevelError:
		return p.err
	case level >= slog.LevelWarn:
		return p.warn
	case level >= slog.LevelInfo:
		return p.info
	}
	return p.debug
}

// Enabled asks the handler of the level.
func (p priorities) Enabled(ctx context.Context, level slog.Level) bool {
	return p.of(level).Enabled(ctx, level)
}

// Handle writes the record with the handler of its level.
func (p priorities) Handle(ctx context.Context, r slog.Record) error {
	return p.of(r.Level).Handle(ctx, r)
}

// WithAttrs gives the attributes to every level.
func (p priorities) WithAttrs(attrs []slog.Attr) slog.Handler {
	return priorities{p.debug.WithAttrs(attrs), p.info.WithAttrs(attrs), p.warn.WithAttrs(attrs), p.err.WithAttrs(attrs)}
}

// WithGroup opens the group at every level.
func (p priorities) WithGroup(name string) slog.Handler {
	return priorities{p.debug.WithGroup(name), p.info.WithGroup(name), p.warn.WithGroup(name), p.err.WithGroup(name)}
}

// prefixed writes a prefix and a line at once.
type prefixed struct {
	w      io.Writer
	prefix string
}

// Write writes one line.
func (p prefixed) Write(line []byte) (int, error) {
	n, err := p.w.Write(append([]byte(p.prefix), line...))
	return max(0, n-len(p.prefix)), err
}

// printable writes records in JSON without characters that a terminal could act on: encoding/json
// leaves those above ASCII as they are.
type printable struct{ w io.Writer }

// Write writes one record.
func (p printable) Write(record []byte) (int, error) {
	if _, err := p.w.Write(control.EscapeJSON(record)); err != nil {
		return 0, err
	}
	return len(record), nil
}

// isJournal reports whether f is the stream of the journal that JOURNAL_STREAM names, DEVICE:INODE.
func isJournal(f *os.File, stream string) bool {
	var st unix.Stat_t
	return stream != "" && unix.Fstat(int(f.Fd()), &st) == nil && stream == fmt.Sprintf("%d:%d", st.Dev, st.Ino)
}
