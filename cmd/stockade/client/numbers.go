package client

import (
	"context"
	"fmt"
	"io"
	"slices"
	"strings"

	"stockade/cmd/stockade/control"
)

func (s *session) status(ctx context.Context, d Daemon, args []string) error {
	names, err := jailNames(ctx, d)
	if err != nil {
		return err
	}
	switch {
	case len(args) == 0:
		return s.say("Status\n|- Number of jail:\t%d\n`- Jail list:\t%s", len(names), strings.Join(names, ", "))
	case args[0] == "--all":
		return s.statusOfAll(ctx, d, names)
	case len(args) > 2:
		return s.refuse("Invalid command (no status)")
	}
	if err := s.known(ctx, d, args[0]); err != nil {
		return err
	}
	r, err := d.JailReport(ctx, args[0])
	if err != nil {
		return err
	}
	return s.lines(append([]string{"Status for the jail: " + args[0]}, tree(r, len(args) == 2 && args[1] == "short")...))
}

func (s *session) statusOfAll(ctx context.Context, d Daemon, names []string) error {
	lines := []string{
		"Status", fmt.Sprintf("|- Number of jail:\t%d", len(names)), "`- Jail list:\t" + strings.Join(names, ", "),
	}
	for _, n := range names {
		r, err := d.JailReport(ctx, n)
		if err != nil {
			return err
		}
		lines = append(lines, "Status for the jail: "+n)
		lines = append(lines, tree(r, false)...)
	}
	return s.lines(lines)
}

// tree is the numbers of a jail as fail2ban draws them.
func tree(r control.JailReport, short bool) []string {
	banned := make([]string, len(r.Banned))
	for i, p := range r.Banned {
		banned[i] = address(p)
	}
	lines := []string{
		"|- Filter",
		fmt.Sprintf("|  |- Currently failed:\t%d", r.FailedCurrent),
		fmt.Sprintf("|  |- Total failed:\t%d", r.FailedTotal),
		"|  `- File list:\t" + strings.Join(r.Sources, " "),
		"`- Actions",
		fmt.Sprintf("   |- Currently banned:\t%d", r.BannedCurrent),
	}
	if short {
		return append(lines, fmt.Sprintf("   `- Total banned:\t%d", r.BannedTotal))
	}
	return append(lines, fmt.Sprintf("   |- Total banned:\t%d", r.BannedTotal), "   `- Banned IP list:\t"+strings.Join(banned, " "))
}

// lines prints lines of our own making: numbers, addresses, and names that the configuration allows.
func (s *session) lines(list []string) error {
	_, err := io.WriteString(s.Out, strings.Join(list, "\n")+"\n")
	return err
}

// stats prints the numbers of all jails as a table.
func (s *session) stats(ctx context.Context, d Daemon, _ []string) error {
	st, err := d.Status(ctx)
	if err != nil {
		return err
	}
	slices.SortFunc(st.Jails, func(a, b control.JailStatus) int { return strings.Compare(a.Name, b.Name) })
	rows := [][]string{{"", "", "cur", "tot", "cur", "tot"}}
	for _, j := range st.Jails {
		rows = append(rows, []string{
			j.Name, st.Backend, fmt.Sprint(j.FailedCurrent), fmt.Sprint(j.FailedTotal), fmt.Sprint(j.BannedCurrent), fmt.Sprint(j.BannedTotal),
		})
	}
	width := []int{8, 8, 3, 3, 3, 3}
	for _, r := range rows {
		for i, cell := range r {
			width[i] = max(width[i], len(cell))
		}
	}
	head := []string{"Jail", "Backend", "Filter", "Actions"}
	span := []int{width[0], width[1], max(width[2]+width[3]+3, len(head[2])), max(width[4]+width[5]+3, len(head[3]))}
	var top, rule []string
	for i, w := range span {
		top = append(top, fmt.Sprintf("%-*s", w, head[i]))
		line := strings.Repeat("═", w)
		if i >= 2 {
			line = strings.Repeat("═", width[2*i-2]+1) + "╪" + strings.Repeat("═", width[2*i-1]+1)
		}
		rule = append(rule, line)
	}
	lines := []string{strings.Join(top, " ║ ")}
	for i, r := range rows {
		lines = append(lines, fmt.Sprintf("%-*s ║ %-*s ║ %*s │ %*s ║ %*s │ %*s",
			width[0], r[0], width[1], r[1], width[2], r[2], width[3], r[3], width[4], r[4], width[5], r[5]))
		if i == 0 {
			lines = append(lines, strings.Join(rule, "═╬═"))
		}
	}
	return s.lines(lines)
}
