package main

import (
	"context"
	"fmt"

	"github.com/spf13/cobra"

	"stockade/cmd/stockade/control"
)

func (a *app) shadow() *cobra.Command {
	return a.reading(&cobra.Command{
		Use:   "shadow [JAIL]",
		Short: "Show what jails with enforce: false would have banned",
		Long: `Show what jails with enforce: false would have banned.

When such a jail enforces (stockade promote JAIL), what it recorded holds, except the bans of addresses
that logged in during the last 7 days and of addresses that many people share: those are let go.`,
		Args: cobra.MaximumNArgs(1),
	}, func(ctx context.Context, args []string) error {
		jail := ""
		if len(args) == 1 {
			jail = args[0]
		}
		list, err := ask(ctx, a, func(c *control.Client) (control.List[control.Shadow], error) { return c.Shadow(ctx, jail) })
		if err != nil {
			return err
		}
		if a.json {
			return a.printJSON(list)
		}
		if len(list) == 0 {
			return a.printf("no shadow jails: every jail enforces\n")
		}
		for i, s := range list {
			if i > 0 {
				if err := a.printf("\n"); err != nil {
					return err
				}
			}
			if err := a.printShadow(s); err != nil {
				return err
			}
		}
		return nil
	})
}

// printShadow prints the report in sentences, then the bans.
func (a *app) printShadow(s control.Shadow) error {
	if err := a.printf("jail %s only reports: %s would hold now, %d so far\n", s.Jail, plural(len(s.Bans), "ban"), s.Total); err != nil {
		return err
	}
	for _, line := range []struct {
		n    int64
		text string
	}{
		{s.LoggedIn, "logged in during the last 7 days, perhaps with a mistyped password"},
		{s.Proxies, "perhaps many people behind one address: see proxies"},
		{s.Named, "lines named one of your proxies: have the service log the client"},
	} {
		if line.n == 0 {
			continue
		}
		if err := a.printf("%6d  %s\n", line.n, line.text); err != nil {
			return err
		}
	}
	if len(s.Bans) == 0 {
		return nil
	}
	t := table{{"ADDRESS", "SINCE", "FAILURES", "SOURCE", "TRUST", "LOGGED IN", "PROXY"}}
	for _, b := range s.Bans {
		t = append(t, []string{
			shortPrefix(b.Address), shortTime(b.Start), number(b.Failures), string(b.Source), string(b.Trust),
			shortMoment(b.LoggedIn, ""), string(b.Proxy),
		})
	}
	return a.section(t)
}

func promotionLine(p control.Promotion) string {
	return fmt.Sprintf("jail %s enforces now: %s hold, %d let go (see stockade shadow --help)", p.Jail, plural(int(p.Began), "recorded ban"), p.Spared)
}
