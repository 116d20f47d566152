package main

import (
	"context"

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

func (a *app) printExplain(e control.Explain) error {
	verdict := "is not banned"
	if e.Banned {
		verdict = "is banned"
	}
	if err := a.printf("%s %s\n", e.Address, verdict); err != nil {
		return err
	}
	if e.NeverBan != "" {
		if err := a.printf("it is never banned: %s\n", e.NeverBan); err != nil {
			return err
		}
	}
	if len(e.Bans) > 0 {
		t := table{{"BAN", "JAIL", "START", "END", "FAILURES", "SOURCE", "TRUST", "ENFORCED", "REASON"}}
		for _, b := range e.Bans {
			t = append(t, []string{
				shortPrefix(b.Address), b.Jail, shortTime(b.Start), shortMoment(b.End, "permanent"), number(b.Failures),
				string(b.Source), string(b.Trust), yes(b.Enforced), string(b.Reason),
			})
		}
		if err := a.section(t); err != nil {
			return err
		}
	}
	if len(e.Windows) > 0 {
		t := table{{"WINDOW", "JAIL", "FAILURES", "OF", "WITHIN", "FIRST", "LAST"}}
		for _, w := range e.Windows {
			t = append(t, []string{
				shortPrefix(w.Address), w.Jail, number(w.Failures), number(w.MaxRetry), shortSeconds(w.FindTime),
				shortTime(w.First), shortTime(w.Last),
			})
		}
		if err := a.section(t); err != nil {
			return err
		}
	}
	if len(e.Evidence) > 0 {
		t := table{{"TIME", "JAIL", "SOURCE", "TRUST", "ORIGIN", "PATTERN", "LINE"}}
		for _, v := range e.Evidence {
			t = append(t, []string{
				shortTime(v.Time), v.Jail, v.Source, v.Trust, string(v.Origin), number(int64(v.Pattern)), v.Raw,
			})
		}
		return a.section(t)
	}
	if !e.Banned && e.NeverBan == "" && len(e.Windows) == 0 {
		return a.printf("nothing is known of it: no failure counts against it now\n")
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
