package main

import (
	"fmt"
	"io"
	"net/netip"
	"strconv"
	"strings"
	"text/tabwriter"
	"time"

	"stockade/cmd/stockade/control"
)

// printJSON writes v as one line.
func (a *app) printJSON(v any) error {
	doc, err := control.Marshal(v, "")
	if err != nil {
		return err
	}
	_, err = a.stdout.Write(append(doc, '\n'))
	return err
}

// printf writes text for people. Arguments that are strings are escaped.
func (a *app) printf(format string, args ...any) error {
	for i, arg := range args {
		switch s := arg.(type) {
		case string:
			args[i] = control.Escape(s)
		case control.Text:
			args[i] = control.Escape(string(s))
		}
	}
	_, err := fmt.Fprintf(a.stdout, format, args...)
	return err
}

// table prints rows in columns, the first row being the heads. Empty cells are shown as "-".
type table [][]string

func (t table) print(w io.Writer) error {
	tw := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	for _, row := range t {
		for i, cell := range row {
			if cell == "" {
				cell = "-"
			}
			if i > 0 {
				_, _ = io.WriteString(tw, "\t") // tabwriter tells its error at Flush
			}
			_, _ = io.WriteString(tw, control.Escape(cell))
		}
		_, _ = io.WriteString(tw, "\n")
	}
	return tw.Flush()
}

func shortTime(t time.Time) string { return t.Local().Format("2006-01-02 15:04:05") }

func shortMoment(t *time.Time, never string) string {
	if t == nil {
		return never
	}
	return shortTime(*t)
}

// shortSeconds writes a duration as the configuration could: 1w, 1d12h, 10m; -1 is permanent.
func shortSeconds(s control.Seconds) string {
	if s < 0 {
		return "permanent"
	}
	var b strings.Builder
	for _, u := range []struct {
		name string
		len  control.Seconds
	}{{"w", 604800}, {"d", 86400}, {"h", 3600}, {"m", 60}, {"s", 1}} {
		if n := s / u.len; n > 0 {
			b.WriteString(strconv.FormatInt(int64(n), 10) + u.name)
			s %= u.len
		}
	}
	if b.Len() == 0 {
		return "0s"
	}
	return b.String()
}

// shortPrefix writes a single address without its length, as fail2ban does.
func shortPrefix(p netip.Prefix) string {
	if p.IsSingleIP() {
		return p.Addr().String()
	}
	return p.String()
}

func yes(b bool) string {
	if b {
		return "yes"
	}
	return "no"
}

func number(n int64) string { return strconv.FormatInt(n, 10) }

// problemLine is a problem in the form that editors jump to.
func problemLine(p control.Problem) string {
	var b strings.Builder
	b.WriteString(p.File)
	if p.Line > 0 {
		fmt.Fprintf(&b, ":%d:%d", p.Line, p.Column)
	}
	b.WriteString(": ")
	if p.Severity == "warning" {
		b.WriteString("warning: ")
	}
	if p.Path != "" {
		b.WriteString(string(p.Path) + ": ")
	}
	b.WriteString(p.Message)
	return b.String()
}

// plural writes a number with its noun: 1 error, 2 errors.
func plural(n int, noun string) string {
	if n == 1 {
		return "1 " + noun
	}
	return strconv.Itoa(n) + " " + noun + "s"
}
