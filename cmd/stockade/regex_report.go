package main

import (
	"fmt"
	"io"
	"maps"
	"slices"

	"stockade/cmd/stockade/control"
	"stockade/jails/filter"
)

const (
	// maxShown is how many matched or missed lines are printed unless all are asked for.
	maxShown = 20
	// maxKept bounds the memory for lines to print when all are asked for.
	maxKept = 100000
)

// report counts verdicts.
type report struct {
	o        *regexOptions
	patterns []filter.PatternInfo
	ignores  []string

	lines, matched, ignored, missed int
	logins                          int // lines of successful logins: neither matched nor missed
	attempts                        int
	hits                            []int // by pattern
	forms                           map[string]int
	matchedLines, missedLines       []string
}

func newReport(f *filter.Filter, o *regexOptions) *report {
	patterns := f.Patterns()
	return &report{
		o: o, patterns: patterns, ignores: f.Spec().IgnoreRegex,
		hits: make([]int, len(patterns)), forms: map[string]int{},
	}
}

func (r *report) add(v *verdict, line []byte) {
	r.lines++
	r.forms[v.dateForm()]++
	if v.found {
		r.hits[v.match.Pattern]++
	}
	switch {
	case v.matched:
		r.matched++
		r.attempts += v.match.Attempts
		if r.o.allMatched && len(r.matchedLines) < maxKept {
			r.matchedLines = append(r.matchedLines, string(line))
		}
	case v.found:
		r.logins++
	case v.ignored:
		r.ignored++
	default:
		r.missed++
		if len(r.missedLines) <= maxShown || r.o.allMissed && len(r.missedLines) < maxKept {
			r.missedLines = append(r.missedLines, string(line))
		}
	}
}

// regexSummary is the last object of `regex --json`. Hits are by pattern.
type regexSummary struct {
	Summary  bool              `json:"summary"` // true: tells it from the lines
	Lines    int               `json:"lines"`
	Matched  int               `json:"matched"`
	Ignored  int               `json:"ignored"`
	Missed   int               `json:"missed"`
	Logins   int               `json:"logins"`
	Attempts int               `json:"attempts"`
	Hits     control.List[int] `json:"hits"`
}

func (r *report) summary() regexSummary {
	return regexSummary{
		Summary: true, Lines: r.lines, Matched: r.matched, Ignored: r.ignored, Missed: r.missed,
		Logins: r.logins, Attempts: r.attempts, Hits: r.hits,
	}
}

// print writes the report in the sections that users of fail2ban-regex know. w keeps its error.
func (r *report) print(w io.Writer) {
	put := func(format string, args ...any) { _, _ = fmt.Fprintf(w, format, args...) }
	put("\nResults\n=======\n\n")
	put("Failregex: %d total\n", r.matched)
	r.printPatterns(put, filter.Failure)
	if r.logins > 0 {
		put("\nLogins: %d total\n", r.logins)
		r.printPatterns(put, filter.Success)
	}
	put("\nIgnoreregex: %d total\n", r.ignored)
	for _, text := range r.ignores {
		put("|  %s\n", control.Escape(text))
	}
	put("\nDate template hits:\n|- [# of hits] format\n")
	for _, name := range slices.Sorted(maps.Keys(r.forms)) {
		put("|  [%d] %s\n", r.forms[name], name)
	}
	put("`-\n\nLines: %d lines, %d ignored, %d matched, %d missed\n", r.lines, r.ignored, r.matched, r.missed)
	if r.logins > 0 {
		put("Successful logins: %d\n", r.logins)
	}
	if r.attempts != r.matched {
		put("Attempts: %d\n", r.attempts)
	}
	if r.o.allMatched {
		printLines(put, "Matched", r.matchedLines, r.matched)
	}
	switch {
	case r.missed == 0 || r.o.noMissed:
	case r.missed <= maxShown || r.o.allMissed:
		printLines(put, "Missed", r.missedLines, r.missed)
	default:
		put("Missed line(s): too many to print. Use --print-all-missed to print all %d lines\n", r.missed)
	}
}

// printPatterns lists the patterns of a kind that hit something, numbered from 1.
func (r *report) printPatterns(put func(string, ...any), kind filter.Kind) {
	head := "|-  #) [# of hits] pattern\n"
	for i, p := range r.patterns {
		if p.Kind != kind || r.hits[i] == 0 {
			continue
		}
		put("%s", head)
		head = ""
		name := ""
		if p.Name != "" {
			name = p.Name + ": "
		}
		put("|  %2d) [%d] %s\n", i+1, r.hits[i], control.Escape(name+p.Text))
	}
	if head == "" {
		put("`-\n")
	}
}

func printLines(put func(string, ...any), what string, lines []string, total int) {
	put("|- %s line(s):\n", what)
	for _, line := range lines {
		put("|  %s\n", control.Escape(line))
	}
	if total > len(lines) {
		put("|  … and %d more\n", total-len(lines))
	}
	put("`-\n")
}
