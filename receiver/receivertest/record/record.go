// Package record has a sink that keeps what it is given, and sources for it. Only tests import it.
package record

import (
	"sync"
	"testing"
	"time"

	"stockade/receiver"
)

// Line is a copy of what a sink was given.
type Line struct {
	Text, Raw, App, ProcID, Host string
	Stamp, Received              time.Time
	Facility, Severity           int8
	Peer                         receiver.Peer
	Origin                       receiver.Origin
	Truncated, Continued         bool
}

// Recorder is a sink that keeps all lines. Its zero value is ready; its methods may be called
// concurrently.
type Recorder struct {
	Hold chan struct{} // when set, each line takes one from it before it is kept

	mu    sync.Mutex
	lines []Line
	lossy bool
}

// Open is a receiver.Opener; every sink is the recorder itself.
func (r *Recorder) Open(lossy bool) receiver.Sink {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.lossy = r.lossy || lossy
	return r
}

// Lossy reports whether any sink was opened as one that may drop lines.
func (r *Recorder) Lossy() bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.lossy
}

// Put keeps a copy of the entry.
func (r *Recorder) Put(e *receiver.Entry) {
	if r.Hold != nil {
		<-r.Hold
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.lines = append(r.lines, Line{
		Text: string(e.Text), Raw: string(e.Raw), App: string(e.App), ProcID: string(e.ProcID), Host: string(e.Hostname),
		Stamp: e.Stamp, Received: e.Received, Facility: e.Facility, Severity: e.Severity,
		Peer: e.Peer, Origin: e.Origin, Truncated: e.Truncated, Continued: e.Continued,
	})
}

// Flush does nothing: lines are kept at once.
func (r *Recorder) Flush() {}

// All returns the lines so far, in the order in which they came.
func (r *Recorder) All() []Line {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.lines[:len(r.lines):len(r.lines)]
}

// Of returns the lines of one app.
func (r *Recorder) Of(app string) []Line {
	var some []Line
	for _, l := range r.All() {
		if l.App == app {
			some = append(some, l)
		}
	}
	return some
}

// Count returns how many lines there are.
func (r *Recorder) Count() int { return len(r.All()) }

// Texts returns the texts of the lines.
func (r *Recorder) Texts() []string {
	var all []string
	for _, l := range r.All() {
		all = append(all, l.Text)
	}
	return all
}

// Registry returns a registry of these sources, each of which may feed all jails.
func Registry(t testing.TB, cfgs ...receiver.SourceConfig) *receiver.Registry {
	t.Helper()
	for i := range cfgs {
		cfgs[i].Jails = []string{"*"}
	}
	ss, err := receiver.NewSources(cfgs, nil)
	if err != nil {
		t.Fatal(err)
	}
	return receiver.NewRegistry(ss)
}
