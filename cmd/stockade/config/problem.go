package config

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
)

// Severity says whether a problem stops the daemon.
type Severity string

// The severities, with the words of check --json.
const (
	SeverityError   Severity = "error"   // serve refuses to start
	SeverityWarning Severity = "warning" // serve starts and logs it
)

// maxProblems bounds what one load collects: noise of 1 MiB must not become a report of 100 MiB.
const maxProblems = 1000

// Problem is one fault of the configuration and the place where it was written.
type Problem struct {
	File     string   `json:"file"`   // a path, "$NAME" of a variable, or "built-in default"
	Line     int      `json:"line"`   // from 1; 0: unknown, or the file as a whole
	Column   int      `json:"column"` // in characters, from 1; 0 as for Line
	Path     string   `json:"path"`   // such as jails[2].findtime; empty: the file as a whole
	Severity Severity `json:"severity"`
	Message  string   `json:"message"`
}

// String returns the problem as one line: file:line:column: path: message.
func (p Problem) String() string {
	var b strings.Builder
	b.WriteString(position{p.File, p.Line, p.Column}.String())
	b.WriteString(": ")
	if p.Severity == SeverityWarning {
		b.WriteString("warning: ")
	}
	if p.Path != "" {
		b.WriteString(p.Path)
		b.WriteString(": ")
	}
	b.WriteString(p.Message)
	return b.String()
}

// Errors is every fault that makes a configuration unusable, sorted by place. It holds no
// warnings and is never empty.
type Errors struct {
	Problems []Problem
}

// Error returns the problems, one a line.
func (e *Errors) Error() string {
	lines := make([]string, len(e.Problems))
	for i, p := range e.Problems {
		lines[i] = p.String()
	}
	return strings.Join(lines, "\n")
}

// position is where something was written. Line 0 means the file as a whole.
type position struct {
	file         string
	line, column int
}

// fromEnv reports whether a variable holds it.
func (p position) fromEnv() bool { return strings.HasPrefix(p.file, "$") }

// String returns file:line:column, or the file alone.
func (p position) String() string {
	if p.line == 0 {
		return p.file
	}
	return fmt.Sprintf("%s:%d:%d", p.file, p.line, p.column)
}

// problems collects faults; the zero value is ready.
type problems struct {
	list []Problem
	seen map[Problem]bool
	lost int // not kept, above maxProblems
}

// add keeps a problem once: the same text at the same place may be found in a file and again in
// the merged tree, where the path can have another index.
func (c *problems) add(at position, path string, severity Severity, message string) {
	p := Problem{at.file, at.line, at.column, path, severity, message}
	key := p
	key.Path = ""
	if at.line == 0 {
		key.Path = path
	}
	if c.seen[key] {
		return
	}
	if c.seen == nil {
		c.seen = map[Problem]bool{}
	}
	c.seen[key] = true
	if len(c.list) >= maxProblems {
		c.lost++
		return
	}
	c.list = append(c.list, p)
}

// fault adds an error with a formatted message.
func (c *problems) fault(at position, path, format string, args ...any) {
	c.add(at, path, SeverityError, fmt.Sprintf(format, args...))
}

// sorted returns the problems in the order of their places.
func (c *problems) sorted() []Problem {
	out := slices.Clone(c.list)
	slices.SortStableFunc(out, func(a, b Problem) int {
		return cmp.Or(cmp.Compare(a.File, b.File), cmp.Compare(a.Line, b.Line), cmp.Compare(a.Column, b.Column),
			cmp.Compare(a.Path, b.Path))
	})
	if c.lost > 0 {
		out = append(out, Problem{File: out[len(out)-1].File, Severity: SeverityError,
			Message: fmt.Sprintf("and %d more problems; the first %d are shown", c.lost, maxProblems)})
	}
	return out
}

// err returns the errors among the problems, or nil.
func (c *problems) err() error {
	var e Errors
	for _, p := range c.sorted() {
		if p.Severity == SeverityError {
			e.Problems = append(e.Problems, p)
		}
	}
	if len(e.Problems) == 0 {
		return nil
	}
	return &e
}
