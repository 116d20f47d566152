package main

import (
	"fmt"
	"io"
	"net/netip"
	"strconv"
	"strings"
	"text/tabwriter"
	"time"
	"unicode/utf8"

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

// table prints rows in columns, the first row being the heads. Empty cells are shown as "-". On a
// terminal that is too narrow for that, each row becomes a block of lines, one a column.
type table [][]string

func (t table) print(w io.Writer) error {
	rows := make(table, len(t))
	for i, row := range t {
		rows[i] = make([]string, len(row))
		for j, cell := range row {
			if cell == "" {
				cell = "-"
			}
			rows[i][j] = control.Escape(cell)
		}
	}
	if width := terminalWidth(w); width > 0 && rows.width() > width {
		return rows.blocks(w, width)
	}
	tw := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	for _, row := range rows {
		_, _ = io.WriteString(tw, strings.Join(row, "\t")+"\n") // tabwriter tells its error at Flush
	}
	return tw.Flush()
}

// width is how many characters the longest line has.
func (t table) width() int {
	var widest []int
	for _, row := range t {
		for j, cell := range row {
			if j == len(widest) {
				widest = append(widest, 0)
			}
			widest[j] = max(widest[j], utf8.RuneCountInString(cell))
		}
	}
	sum := 2 * (len(widest) - 1)
	for _, n := range widest {
		sum += n
	}
	return sum
}

// blocks prints each row as lines of a head and its cell, which goes on below itself when it is long.
func (t table) blocks(w io.Writer, width int) error {
	head := 0
	for _, h := range t[0] {
		head = max(head, utf8.RuneCountInString(h))
	}
	room := max(width-head-2, 20)
	var out strings.Builder
	for i, row := range t[1:] {
		if i > 0 {
			out.WriteString("\n")
		}
		for j, cell := range row {
			fmt.Fprintf(&out, "%-*s  ", head, t[0][j])
			for rest := []rune(cell); ; {
				n := fit(rest, room)
				out.WriteString(string(rest[:n]) + "\n")
				if rest = rest[n:]; len(rest) == 0 {
					break
				}
				if rest[0] == ' ' {
					rest = rest[1:]
				}
				fmt.Fprintf(&out, "%-*s  ", head, "")
			}
		}
	}
	_, err := io.WriteString(w, out.String())
	return err
}

// fit is how many characters of a text stand on a line of room, broken at a space where there is one.
func fit(text []rune, room int) int {
	if len(text) <= room {
		return len(text)
	}
	for n := room; n > room/2; n-- {
		if text[n] == ' ' {
			return n
		}
	}
	return room
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
