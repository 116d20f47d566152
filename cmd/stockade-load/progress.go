package main

import (
	"fmt"
	"io"
	"os"
	"time"

	"golang.org/x/sys/unix"
)

// progress rewrites one line of a terminal ten times a second. Elsewhere it is silent.
type progress struct {
	w     io.Writer
	total int
	next  time.Time
	on    bool
}

func newProgress(w io.Writer, total int, quiet bool) *progress {
	return &progress{w: w, total: total, on: isTerminal(w) && !quiet}
}

func isTerminal(w io.Writer) bool {
	f, ok := w.(*os.File)
	if !ok {
		return false
	}
	_, err := unix.IoctlGetTermios(int(f.Fd()), unix.TCGETS)
	return err == nil
}

// benchProgress returns what shows the steps of a benchmark; nil when w is no terminal.
func benchProgress(w io.Writer) func(what string, done, all int) {
	if !isTerminal(w) {
		return nil
	}
	return func(what string, done, all int) {
		fmt.Fprintf(w, "\r\033[K%3d %%  %s", 100*done/max(all, 1), what)
		if done == all {
			fmt.Fprint(w, "\r\033[K")
		}
	}
}

func (p *progress) at(n int) {
	if !p.on || n%1024 != 0 || time.Now().Before(p.next) {
		return
	}
	p.next = time.Now().Add(100 * time.Millisecond)
	fmt.Fprintf(p.w, "\r%3d %%  %d of %d lines", 100*n/p.total, n, p.total)
}

func (p *progress) done() {
	if p.on {
		fmt.Fprint(p.w, "\r\033[K")
	}
}
