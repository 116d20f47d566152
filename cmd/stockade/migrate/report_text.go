package migrate

import (
	"fmt"
	"strings"
)

// Text is the report for people, in lines. Its values come from fail2ban's files and are not escaped.
func (r *Report) Text() string {
	var b strings.Builder
	for i := range r.Jails {
		j := &r.Jails[i]
		name := j.Fail2ban
		if name != j.Name {
			name += " → " + j.Name
		}
		fmt.Fprintf(&b, "%s  (%s:%d)\n", name, j.File, j.Line)
		for _, part := range []struct {
			title string
			items []Item
		}{{"moved", j.Moved}, {"replaced", j.Replaced}, {"different", j.Different}, {"COULD NOT MOVE", j.Left}} {
			writeItems(&b, part.title, part.items)
		}
		b.WriteString("\n")
	}
	writeItems(&b, "for all jails", r.Notes)
	if len(r.Disabled) > 0 {
		fmt.Fprintf(&b, "  off in fail2ban, not moved: %s\n", strings.Join(r.Disabled, ", "))
	}
	moved, left := 0, 0
	for i := range r.Jails {
		if len(r.Jails[i].Left) == 0 {
			moved++
		} else {
			left++
		}
	}
	fmt.Fprintf(&b, "%d jails: %d moved whole, %d with something left to do\n", len(r.Jails), moved, left)
	return b.String()
}

func writeItems(b *strings.Builder, title string, items []Item) {
	if len(items) == 0 {
		return
	}
	fmt.Fprintf(b, "  %s:\n", title)
	for _, it := range items {
		fmt.Fprintf(b, "    %s", indent(it.What))
		if it.Now != "" {
			fmt.Fprintf(b, " → %s", indent(it.Now))
		}
		if it.Why != "" {
			fmt.Fprintf(b, " (%s)", indent(it.Why))
		}
		b.WriteString("\n")
	}
}

// indent keeps the lines of a text below its first one.
func indent(s string) string {
	return strings.ReplaceAll(strings.TrimRight(s, "\n"), "\n", "\n      ")
}
