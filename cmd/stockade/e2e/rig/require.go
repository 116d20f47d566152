package rig

import (
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"
)

// Require skips the test when something is missing; under STOCKADE_REQUIRE=all it fails.
func Require(t testing.TB, ok bool, reason string) {
	t.Helper()
	switch {
	case ok:
	case os.Getenv("STOCKADE_REQUIRE") == "all":
		t.Fatal(reason)
	default:
		t.Skip(reason)
	}
}

// RequireRoot is Require for tests that make network or mount namespaces.
func RequireRoot(t testing.TB) {
	t.Helper()
	Require(t, os.Geteuid() == 0, "needs root: namespaces and nftables")
}

// RequirePrograms is Require for programs: names, looked for by PATH, or absolute paths.
func RequirePrograms(t testing.TB, names ...string) {
	t.Helper()
	for _, name := range names {
		_, err := exec.LookPath(name)
		Require(t, err == nil, "needs the program "+name)
	}
}

// Soon waits until ok says true, and reports whether it did within the limit.
func Soon(limit time.Duration, ok func() bool) bool {
	for end := time.Now().Add(limit); !ok(); time.Sleep(2 * time.Millisecond) {
		if time.Now().After(end) {
			return false
		}
	}
	return true
}

// Eventually waits until ok says true; the test ends when it does not within the limit.
func Eventually(t testing.TB, limit time.Duration, what string, ok func() bool) {
	t.Helper()
	if !Soon(limit, ok) {
		t.Fatalf("not within %s: %s", limit, what)
	}
}

// Last returns the last lines of a text.
func Last(text string, lines int) string {
	all := strings.Split(strings.TrimSpace(text), "\n")
	return strings.Join(all[max(0, len(all)-lines):], "\n")
}
