package main

import (
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"
	"time"

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
	ignoredLines                    []string
	who                             [][]hit // by pattern, with -v
}

func newReport(f *filter.Filter, o *regexOptions) *report {
	patterns := f.Patterns()
	return &report{
		o: o, patterns: patterns, ignores: f.Spec().IgnoreRegex,
		hits: make([]int, len(patterns)), forms: map[string]int{}, who: make([][]hit, len(patterns)),
	}
}

func (r *report) add(v *verdict, line []byte) {
	r.lines++
	r.forms[v.dateForm()]++
	if v.found {
		r.hits[v.match.Pattern]++
		if who := &r.who[v.match.Pattern]; r.o.verbose && len(*who) < maxKept {
			*who = append(*who, hit{v.token("id", nil), v.stamp})
		}
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
		if len(r.ignoredLines) <= maxShown || r.o.allIgnored && len(r.ignoredLines) < maxKept {
			r.ignoredLines = append(r.ignoredLines, string(line))
		}
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
	some := func(what string, lines []string, total int, all, none bool) {
		switch {
		case total == 0 || none:
		case total <= maxShown || all:
			printLines(put, what, lines, total)
		default:
			put("%s line(s): too many to print. Use --print-all-%s to print all %d lines\n", what, strings.ToLower(what), total)
		}
	}
	some("Ignored", r.ignoredLines, r.ignored, r.o.allIgnored, r.o.noIgnored)
	some("Missed", r.missedLines, r.missed, r.o.allMissed, r.o.noMissed)
}

// hit is who failed, and when by the line.
type hit struct {
	id string
	at time.Time
}

// printPatterns lists the patterns of a kind that hit something, numbered from 1. With -v it lists
// all, with the hits below each.
func (r *report) printPatterns(put func(string, ...any), kind filter.Kind) {
	head := "|-  #) [# of hits] pattern\n"
	for i, p := range r.patterns {
		if p.Kind != kind || r.hits[i] == 0 && !r.o.verbose {
			continue
		}
		put("%s", head)
		head = ""
		name := ""
		if p.Name != "" {
			name = p.Name + ": "
		}
		put("|  %2d) [%d] %s\n", i+1, r.hits[i], control.Escape(name+p.Text))
		for _, h := range r.who[i] {
			at := ""
			if !h.at.IsZero() {
				at = "  " + h.at.In(r.o.location).Format("Mon Jan 02 15:04:05 2006")
			}
			put("|      %s%s\n", control.Escape(h.id), at)
		}
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
