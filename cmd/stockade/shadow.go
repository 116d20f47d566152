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
		Args:  cobra.MaximumNArgs(1),
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
		{s.LoggedIn, "of them logged in during the last 7 days: perhaps somebody who mistyped a password"},
		{s.Proxies, "of them look like many people behind one address: put your proxies under proxies"},
		{s.Named, "lines named one of your proxies and did not count: have the service log the real client"},
	} {
		if line.n == 0 {
			continue
		}
		if err := a.printf("%d %s\n", line.n, line.text); err != nil {
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
	return fmt.Sprintf("jail %s enforces now: %s of what it had recorded hold, %d were let go (logged in lately, or many people's address)",
		p.Jail, plural(int(p.Began), "ban"), p.Spared)
}
