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
	f, ok := w.(*os.File)
	if ok {
		_, err := unix.IoctlGetTermios(int(f.Fd()), unix.TCGETS)
		ok = err == nil
	}
	return &progress{w: w, total: total, on: ok && !quiet}
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
