package dates

import (
	"slices"
	"strings"
	"testing"
	"time"
)

// hostile are lines of n bytes that look like dates for as long as they can.
func hostile(n int) map[string][]byte {
	repeat := func(s string) []byte { return []byte(strings.Repeat(s, n/len(s)+1)[:n]) }
	return map[string][]byte{
		"blanks":        repeat(" "),
		"digits":        repeat("2"),
		"years":         repeat("2026-01-"),
		"months":        repeat("jan feb "),
		"almost":        repeat("Jan 14 10:00:6 "),
		"almost ISO":    repeat("2026-01-14T10:00:6"),
		"all of them":   repeat("Jan 14 2026-01-14T10:00 31/Oct/2006:09: audit(138728 @4000000 "),
		"blanks behind": append([]byte("2026-01-14 10:00:00"), repeat(" ")[:n-19]...),
		"brackets":      repeat("[["),
		"letters":       repeat("é"),
		"broken":        repeat("\xff2026"),
	}
}

// TestWorstLines measures lines of 64 KiB (16 in the short form), and lines twice as long.
func TestWorstLines(t *testing.T) {
	size := 64 << 10
	if testing.Short() || raceEnabled {
		size = 16 << 10
	}
	lines, doubled := hostile(size), hostile(2*size)
	for _, pattern := range []string{
		"", "{^LN-BEG}", `^[^\[]*\[({DATE})` + "\n{^LN-BEG}", `%d/%b[^/]*/%Y:%H:%M:%S %z`, `"timestamp":"(%ExY-%m-%dT%H:%M:%S(?:\.%f)?Z?)"`,
	} {
		d := compileIn(t, pattern, time.UTC)
		measure := func(line []byte) time.Duration {
			d.Find(line, wednesday)
			times := make([]time.Duration, 3)
			for i := range times {
				start := time.Now()
				d.Find(line, wednesday)
				times[i] = time.Since(start)
			}
			return slices.Min(times)
		}
		worst, name := time.Duration(0), ""
		for n, line := range lines {
			took := measure(line)
			if took > worst {
				worst, name = took, n
			}
			if twice := measure(doubled[n]); twice > 4*took && twice > 60*time.Millisecond && !raceEnabled {
				t.Errorf("%q on %s: %v, twice as long %v", pattern, n, took, twice)
			}
		}
		t.Logf("%q: worst %v on %s", pattern, worst, name)
		if worst > 50*time.Millisecond && !raceEnabled {
			t.Errorf("%q on %s: %v", pattern, name, worst)
		}
	}
}
