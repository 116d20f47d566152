package fail2ban

import (
	"cmp"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"stockade/jails/filter"
)

// hostile are messages of n bytes that give patterns and date templates something to do.
func hostile(n int) map[string]string {
	repeat := func(s string) string { return strings.Repeat(s, n/len(s)+1)[:n] }
	return map[string]string{
		"brackets":    repeat(`[a "b"] `),
		"open":        repeat("[("),
		"addresses":   repeat(" from 192.0.2.1 port 1"),
		"dates":       repeat("2026-01-14T10:00:6 Jan 14 10:0 "),
		"fields":      repeat(`user=<a>, rip=1.2.3.4, "x":"y",`),
		"blanks":      repeat(" "),
		"failed":      "Failed password for invalid user " + repeat("a from 1.2.3.4 "),
		"client":      "[error] [client 192.0.2.1] " + repeat("AH01: user x: "),
		"colons":      repeat("::ffff:a:"),
		"empty lines": repeat("\n"),
	}
}

// TestWorstLines gives lines of 64 KiB to whole filters, with the building of the line.
func TestWorstLines(t *testing.T) {
	dir := dataFolder(t)
	if dir == "" {
		return
	}
	names, err := filepath.Glob(filepath.Join(dir, "filter.d", "*.conf"))
	if err != nil {
		t.Fatal(err)
	}
	if testing.Short() || raceEnabled {
		names = names[:min(len(names), 4)]
	}
	type result struct {
		took         time.Duration
		filter, line string
	}
	var all []result
	lines := hostile(64 << 10)
	for _, name := range names {
		f, err := Read(name, "")
		if err != nil {
			continue // a file for others to include
		}
		compiled, err := filter.Compile(f.Spec)
		if err != nil {
			t.Fatal(err)
		}
		set := filter.NewSet([]*filter.Filter{compiled}, nil)
		for kind, text := range lines {
			m := set.NewMatcher()
			l := entry(strings.TrimSuffix(f.Spec.Name, "-auth"), "7", text)
			m.Match(l, set.All())
			best := time.Hour
			for range 3 {
				start := time.Now()
				m.Match(l, set.All())
				best = min(best, time.Since(start))
			}
			all = append(all, result{best, f.Spec.Name, kind})
		}
	}
	slices.SortFunc(all, func(a, b result) int { return cmp.Compare(b.took, a.took) })
	for _, r := range all[:min(5, len(all))] {
		t.Logf("%v: %s on %s", r.took, r.filter, r.line)
	}
	if len(all) > 0 && all[0].took > 50*time.Millisecond && !raceEnabled {
		t.Errorf("%v: %s on %s", all[0].took, all[0].filter, all[0].line)
	}
}
