package main

import (
	"context"
	"fmt"
	"slices"

	"github.com/spf13/cobra"

	"stockade/cmd/stockade/control"
)

func (a *app) explain() *cobra.Command {
	return a.reading(&cobra.Command{
		Use:   "explain ADDR",
		Short: "Tell whether an address is banned, and why or why not",
		Args:  cobra.ExactArgs(1),
	}, func(ctx context.Context, args []string) error {
		t, err := control.ParseTarget(args[0])
		if err != nil {
			return &usageError{err}
		}
		e, err := ask(ctx, a, func(c *control.Client) (control.Explain, error) { return c.Explain(ctx, t) })
		if err != nil {
			return err
		}
		if a.json {
			err = a.printJSON(e)
		} else {
			err = a.printExplain(e)
		}
		if err == nil && !e.Banned {
			err = errNegative
		}
		return err
	})
}

// printExplain prints the answer in one sentence, then what it rests on.
func (a *app) printExplain(e control.Explain) error {
	if err := a.printf("%s is %s\n", e.Address, e.Verdict); err != nil {
		return err
	}
	var tables []table
	add := func(t table) {
		if len(t) > 1 {
			tables = append(tables, t)
		}
	}
	add(bansTable(e))
	add(windowsTable(e))
	add(evidenceTable("EVIDENCE", e.Evidence))
	waiting := table{{"WAITING", "JAIL", "FAILURES", "SINCE", "FOR THE QUOTA OF"}}
	for _, w := range e.Waiting {
		waiting = append(waiting, []string{shortPrefix(w.Address), w.Jail, number(w.Failures), shortTime(w.Since), "source " + w.Source})
	}
	add(waiting)
	earlier := table{{"EARLIER", "JAIL", "BANS", "LAST"}}
	for _, x := range e.Earlier {
		earlier = append(earlier, []string{shortPrefix(x.Address), x.Jail, number(x.Count), shortTime(x.Last)})
	}
	add(earlier)
	for _, x := range e.Earlier {
		add(evidenceTable("EARLIER EVIDENCE", x.Evidence))
	}
	add(patternsTable(e))
	refused := table{{"REFUSED", "BY", "REASON", "TIMES", "LINE"}}
	for _, r := range e.Refused {
		by := "source " + string(r.Source)
		if r.Source == "" {
			by = "listener " + string(r.Listener)
		}
		refused = append(refused, []string{shortTime(r.Last), by, r.Reason, number(r.Count), r.Sample})
	}
	add(refused)
	foreign := table{{"OTHER TABLE", "CHAIN", "HANDLE", "VERDICT", "MATCH", "ALWAYS"}}
	for _, f := range e.Foreign {
		foreign = append(foreign, []string{f.Table, f.Chain, number(f.Handle), f.Verdict, f.Match, yes(!f.Conditional)})
	}
	add(foreign)
	for _, t := range tables {
		if err := a.section(t); err != nil {
			return err
		}
	}
	return a.explainNotes(e)
}

func bansTable(e control.Explain) table {
	t := table{{"BAN", "JAIL", "START", "END", "FAILURES", "SOURCE", "TRUST", "ENFORCED", "PACKETS", "REASON"}}
	for _, b := range e.Bans {
		packets := ""
		for _, k := range e.Kernel {
			if k.Address == b.Address && slices.Equal(k.Ports, b.Ports) {
				packets = number(k.Packets)
			}
		}
		t = append(t, []string{
			shortPrefix(b.Address), b.Jail, shortTime(b.Start), shortMoment(b.End, "permanent"), number(b.Failures),
			string(b.Source), string(b.Trust), yes(b.Enforced), packets, string(b.Reason),
		})
	}
	return t
}

func windowsTable(e control.Explain) table {
	t := table{{"WINDOW", "JAIL", "FAILURES", "OF", "WITHIN", "FIRST", "LAST", "LEFT", "UNTIL"}}
	for _, w := range e.Windows {
		t = append(t, []string{
			shortPrefix(w.Address), w.Jail, number(w.Failures), number(w.MaxRetry), shortSeconds(w.FindTime),
			shortTime(w.First), shortTime(w.Last), number(w.Left), shortMoment(w.Until, ""),
		})
	}
	return t
}

func evidenceTable(head string, list []control.Evidence) table {
	t := table{{head, "JAIL", "SOURCE", "TRUST", "ORIGIN", "PATTERN", "LINE"}}
	for _, v := range list {
		t = append(t, []string{
			shortTime(v.Time), v.Jail, v.Source, v.Trust, string(v.Origin), patternName(v), v.Raw,
		})
	}
	return t
}

// patternName is the name under which a pattern is found again: the one that `filters NAME` shows, or
// its number among the failregex lines, counted as the report of `regex` counts them.
func patternName(v control.Evidence) string {
	n := number(int64(v.Pattern) + 1)
	switch {
	case v.Name != "":
		return string(v.Name)
	case v.Expr != "":
		return "failregex " + n
	}
	return "pattern " + n // its jail is gone
}

// patternsTable says where the patterns of the evidence are written, each once.
func patternsTable(e control.Explain) table {
	t := table{{"PATTERN", "JAIL", "FILTER", "READS"}}
	seen := make(map[[2]string]bool)
	add := func(list []control.Evidence) {
		for _, v := range list {
			key := [2]string{v.Jail, patternName(v)}
			if v.Expr == "" || seen[key] {
				continue // the jail is gone, or listed
			}
			seen[key] = true
			t = append(t, []string{key[1], v.Jail, string(v.Filter), string(v.Expr)})
		}
	}
	add(e.Evidence)
	for _, x := range e.Earlier {
		add(x.Evidence)
	}
	return t
}

// explainNotes prints what belongs in no table.
func (a *app) explainNotes(e control.Explain) error {
	var lines []string
	if e.NeverBan != "" && e.Banned {
		lines = append(lines, "it is protected now: "+string(e.NeverBan))
	}
	for _, i := range e.Ignored {
		lines = append(lines, fmt.Sprintf("jail %s does not count it (%s)", i.Jail, i.Entry))
	}
	if e.Witnessed != nil && !*e.Witnessed {
		lines = append(lines, "the kernel saw no TCP handshake of it within the hour: failures that prove no address do not count")
	}
	if len(e.Refused) > 0 {
		lines = append(lines, "of each source and reason the last 32 refused lines are kept: earlier ones may have named it too")
	}
	for _, r := range e.Refused {
		if r.Remedy != "" {
			lines = append(lines, fmt.Sprintf("%s: %s", r.Reason, r.Remedy))
		}
	}
	if len(e.Bans)+len(e.Windows)+len(e.Refused)+len(e.Waiting)+len(e.Earlier)+len(e.Ignored) == 0 && e.NeverBan == "" {
		lines = append(lines, "lines in which no filter finds a failure are not kept: stockade regex LINE FILTER tries one, stockade doctor counts them")
	}
	lines = append(lines, e.Notes...)
	for i, line := range lines {
		head := ""
		if i == 0 {
			head = "\n"
		}
		if err := a.printf(head+"note: %s\n", line); err != nil {
			return err
		}
	}
	return nil
}

// section prints a table after an empty line.
func (a *app) section(t table) error {
	if err := a.printf("\n"); err != nil {
		return err
	}
	return t.print(a.stdout)
}
