// Package receivertest has what the tests of package receiver and of those below it share. Only
// tests import it; it imports none of them, so that package receiver's own tests can use it.
package receivertest

import (
	"log/slog"
	"os"
	"os/exec"
	"strings"
	"sync"
	"testing"
	"time"
)

// Need skips the test when something is missing; under STOCKADE_REQUIRE=all it fails.
func Need(t testing.TB, ok bool, what string) {
	t.Helper()
	if ok {
		return
	}
	if os.Getenv("STOCKADE_REQUIRE") == "all" {
		t.Fatalf("needs %s", what)
	}
	t.Skipf("needs %s", what)
}

// NeedProgram is Need for a program, by name or absolute path, of a Debian package. It returns its
// path.
func NeedProgram(t testing.TB, name, deb string) string {
	t.Helper()
	p, err := exec.LookPath(name)
	Need(t, err == nil, name+" (package "+deb+")")
	return p
}

// Eventually waits until ok says true, and reports whether it did within the limit.
func Eventually(limit time.Duration, ok func() bool) bool {
	for end := time.Now().Add(limit); ; time.Sleep(time.Millisecond) {
		if ok() {
			return true
		}
		if time.Now().After(end) {
			return false
		}
	}
}

// Log keeps the log of a test. It may be read while it is written.
type Log struct {
	mu sync.Mutex
	b  strings.Builder
}

// Write appends p; it never fails.
func (l *Log) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

// String returns all that was written so far.
func (l *Log) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}

// Logger returns a logger that writes text into l.
func (l *Log) Logger() *slog.Logger { return slog.New(slog.NewTextHandler(l, nil)) }
