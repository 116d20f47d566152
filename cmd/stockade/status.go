package main

import (
	"context"
	"strings"

	"github.com/spf13/cobra"

	"stockade/cmd/stockade/control"
)

func (a *app) status() *cobra.Command {
	return a.reading(&cobra.Command{
		Use:   "status [JAIL]",
		Short: "Show whether all is well, and the numbers of a jail",
		Args:  cobra.MaximumNArgs(1),
	}, func(ctx context.Context, args []string) error {
		if len(args) == 1 {
			return a.statusOfJail(ctx, args[0])
		}
		st, err := ask(ctx, a, func(c *control.Client) (control.Status, error) { return c.Status(ctx) })
		if err != nil {
			return err
		}
		if err := a.printStatus(st); err != nil {
			return err
		}
		if st.State != control.StateOK {
			return errNegative
		}
		return nil
	})
}

func (a *app) printStatus(st control.Status) error {
	if a.json {
		return a.printJSON(st)
	}
	for _, d := range st.Degraded {
		if err := a.printf("DEGRADED %s since %s: %s\n", d.Name, shortTime(d.Since), d.Cause); err != nil {
			return err
		}
	}
	if p := st.Pending; p != nil {
		if err := a.printf("PENDING the configuration goes back at %s unless confirmed: stockade reload confirm\n", shortTime(p.Until)); err != nil {
			return err
		}
	}
	for _, n := range st.Notes {
		if err := a.printf("NOTE %s\n", n); err != nil {
			return err
		}
	}
	names := make([]string, len(st.Jails))
	for i, j := range st.Jails {
		names[i] = j.Name
	}
	return a.printf("Status\n|- Number of jail:\t%d\n`- Jail list:\t%s\n", len(names), strings.Join(names, ", "))
}

// statusOfJail prints the tree that fail2ban-client prints, so that what reads it goes on working.
func (a *app) statusOfJail(ctx context.Context, jail string) error {
	r, err := ask(ctx, a, func(c *control.Client) (control.JailReport, error) { return c.JailReport(ctx, jail) })
	if err != nil {
		return err
	}
	if a.json {
		return a.printJSON(r)
	}
	banned := make([]string, len(r.Banned))
	for i, p := range r.Banned {
		banned[i] = shortPrefix(p)
	}
	return a.printf("Status for the jail: %s\n"+
		"|- Filter\n"+
		"|  |- Currently failed:\t%d\n"+
		"|  |- Total failed:\t%d\n"+
		"|  `- Source list:\t%s\n"+
		"`- Actions\n"+
		"   |- Currently banned:\t%d\n"+
		"   |- Total banned:\t%d\n"+
		"   `- Banned IP list:\t%s\n",
		r.Name, r.FailedCurrent, r.FailedTotal, strings.Join(r.Sources, " "),
		r.BannedCurrent, r.BannedTotal, strings.Join(banned, " "))
}
