package main

import (
	"fmt"
	"io"
	"strings"
	"sync"
)

// bar is a line on a terminal that says how far a long task is. Elsewhere it is silent. Its
// methods may be called concurrently.
type bar struct {
	w  io.Writer
	on bool

	mu    sync.Mutex
	shown bool
}

func newBar(w io.Writer) *bar {
	_, on := terminal(w)
	return &bar{w: w, on: on}
}

// show draws the bar anew: done of total bytes; total is 0 when it is unknown.
func (b *bar) show(done, total int64) {
	if !b.on {
		return
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	b.shown = true
	fmt.Fprint(b.w, "\r\x1b[K"+barText(done, total))
}

// clear takes the bar off its line.
func (b *bar) clear() {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.shown {
		b.shown = false
		fmt.Fprint(b.w, "\r\x1b[K")
	}
}

const barWidth = 30

func barText(done, total int64) string {
	if total <= 0 {
		return fmt.Sprintf("%.1f MB read", float64(done)/1e6)
	}
	part := min(float64(done)/float64(total), 1)
	full := int(part * barWidth)
	return fmt.Sprintf("[%s%s] %3.0f %% of %.1f MB", strings.Repeat("#", full), strings.Repeat(" ", barWidth-full), part*100, float64(total)/1e6)
}
