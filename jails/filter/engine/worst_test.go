package engine

import (
	"cmp"
	"errors"
	"flag"
	"slices"
	"strings"
	"testing"
	"time"
	"unicode/utf8"
)

var long = flag.Bool("long", false, "run the long forms of tests")

// hostile returns lines of n bytes made to make matchers work.
func hostile(n int) map[string]string {
	repeat := func(s string) string { return strings.Repeat(s, n/len(s)+1)[:n] }
	noise := func(letters string) string {
		b, x := make([]byte, n), uint32(7)
		for i := range b {
			x = x*1664525 + 1013904223
			b[i] = letters[int(x>>16)%len(letters)]
		}
		return string(b)
	}
	return map[string]string{
		"one letter":         repeat("a"),
		"blanks":             repeat(" "),
		"open brackets":      repeat("["),
		"bracket groups":     repeat(`[a "b"] `),
		"colons":             noise("a:"),
		"hexadecimal":        noise("0123456789abcdef::::.. "),
		"all signs":          noise("a1 :[]()\"'<>=,.;-_/x"),
		"digits and dots":    noise("0123456789."),
		"addresses":          repeat(" from 1.2.3.4"),
		"addresses and port": repeat(" from 10.0.0.1 port 1 on x"),
		"json":               repeat(`"a":"b",`),
		"newlines":           repeat("abc\n"),
		"connections":        repeat("[conn1] Failed to authenticate x\n"),
		"two-byte letters":   repeat("é"),
		"invalid bytes":      repeat("\xff"),
	}
}

// ownPatterns hold the constructs that are dear in other engines.
var ownPatterns = []string{
	failedPassword,
	`^(?:\[(?:\w+ "[^"]*"|[^\]]*)\]\s*)*end`,
	`(?:(?:a*)*)*b`,
	`(a|aa)+$`,
	`^(?:(?! from ).)* from (?P<ip6>(?:[0-9a-fA-F]{1,4}::?|:){1,7}(?:[0-9a-fA-F]{1,4}|(?<=:)))$`,
	`(?P<q>")?[^"]*(?(q)"|') x`,
	`^\s+\[conn(?P<id>\d+)\] Failed [^\n]+\n(?P<skip>(?:(?:.*\n)*?))\s+\[conn(?P=id)\] end`,
	`(\w+) \1 \1`,
	`^(?:\s*\S+)*\s*end$`,
}

// TestWorstLines measures lines of 64 KiB. The number of automaton states that a line builds is
// what can grow without bound; time follows from it and from the length.
func TestWorstLines(t *testing.T) {
	t.Run("own", func(t *testing.T) { measureWorst(t, ownPatterns) })
	t.Run("fail2ban's", func(t *testing.T) {
		var patterns []string
		for _, in := range instances(t) {
			for _, p := range append([]string{in.Py.Prefregex}, in.Py.Failregex...) {
				if p != "" && !slices.Contains(patterns, p) {
					patterns = append(patterns, p)
				}
			}
		}
		slices.Sort(patterns)
		every := 20
		switch {
		case *long:
			every = 1
		case testing.Short():
			every = 40
		}
		var some []string
		for i := 0; i < len(patterns); i += every {
			some = append(some, patterns[i])
		}
		measureWorst(t, some)
	})
}

func measureWorst(t *testing.T, patterns []string) {
	size := 64 << 10
	if testing.Short() {
		size = 16 << 10
	}
	half, full := hostile(size/2), hostile(size)
	type result struct {
		first, again  time.Duration
		built, spent  int
		pattern, line string
	}
	var all []result
	for _, p := range patterns {
		re := compile(t, p, Options{Multiline: true})
		caps := make([]int, 2*(re.Groups()+1))
		for name, line := range full {
			m := NewMachine()
			search := func(line string) time.Duration {
				subject := []byte(re.prefix + line)
				start := time.Now()
				if _, err := m.Search(re, subject, caps); err != nil && (!re.Budgeted() || !errors.Is(err, ErrBudget)) {
					t.Fatal(err)
				}
				return time.Since(start)
			}
			search(half[name])
			built, spent := m.built, m.spent
			first := search(line)
			spent = max(spent, m.spent)
			if more := m.built - built; more > built+500 {
				t.Errorf("%s on %s: %d states for half the line, %d more for all", p, name, built, more)
			}
			again := first
			for range 2 {
				again = min(again, search(line))
			}
			if re.Budgeted() {
				// Bounded by its steps; what a step costs under the race detector says nothing.
				if m.back.steps > maxSteps+size {
					t.Errorf("%s on %s: %d steps", p, name, m.back.steps)
				}
				t.Logf("%v and %d steps on %s: %.60s", again, m.back.steps, name, p)
				continue
			}
			all = append(all, result{first, again, m.built, spent, p, name})
		}
	}
	slices.SortFunc(all, func(a, b result) int { return cmp.Compare(b.again, a.again) })
	for i, r := range all[:3] {
		t.Logf("%d: %v (first %v, %d states) on %s: %.100s", i, r.again, r.first, r.built, r.line, r.pattern)
	}
	t.Logf("median of %d: %v", len(all), all[len(all)/2].again)
	// The limit of 50 ms grows with what the machine and the race detector make of plain work.
	limit := max(50*time.Millisecond, 100*plainWork(full["invalid bytes"]))
	if worst := all[0]; worst.again > limit {
		t.Errorf("%v on %s, above %v: %s", worst.again, worst.line, limit, worst.pattern)
	}
	slices.SortFunc(all, func(a, b result) int { return cmp.Compare(b.built, a.built) })
	t.Logf("most states: %d on %s: %.100s", all[0].built, all[0].line, all[0].pattern)
	slices.SortFunc(all, func(a, b result) int { return cmp.Compare(b.spent, a.spent) })
	t.Logf("most instructions: %d on %s: %.100s", all[0].spent, all[0].line, all[0].pattern)
	if all[0].spent > maxWork/4 {
		t.Errorf("%d instructions are too near to the limit %d", all[0].spent, maxWork)
	}
}

// plainWork times one reading of text.
func plainWork(text string) time.Duration {
	best := time.Hour
	for range 3 {
		start := time.Now()
		n := 0
		for rest := text; rest != ""; {
			_, w := utf8.DecodeLastRuneInString(rest)
			rest = rest[:len(rest)-w]
			n++
		}
		if n > 0 {
			best = min(best, time.Since(start))
		}
	}
	return best
}
