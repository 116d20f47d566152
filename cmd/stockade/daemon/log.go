package daemon

import (
	"io"
	"log/slog"
	"os"

	"golang.org/x/sys/unix"

	"stockade/cmd/stockade/config"
)

// newLogger writes text to a terminal and JSON elsewhere, unless the configuration says which.
func newLogger(w io.Writer, c config.LogConfig) *slog.Logger {
	var level slog.Level
	if err := level.UnmarshalText([]byte(c.Level)); err != nil {
		level = slog.LevelInfo // Check refused it
	}
	o := &slog.HandlerOptions{Level: level}
	if c.Format == "text" || c.Format != "json" && isTerminal(w) {
		return slog.New(slog.NewTextHandler(w, o))
	}
	return slog.New(slog.NewJSONHandler(w, o))
}

func isTerminal(w io.Writer) bool {
	f, ok := w.(*os.File)
	if !ok {
		return false
	}
	_, err := unix.IoctlGetTermios(int(f.Fd()), unix.TCGETS)
	return err == nil
}
