package main

import (
	"context"
	"strings"

	"github.com/spf13/cobra"

	"stockade/cmd/stockade/control"
)

func (a *app) jails() *cobra.Command {
	return a.reading(&cobra.Command{
		Use:   "jails",
		Short: "List the jails and their policy",
		Args:  cobra.NoArgs,
	}, func(ctx context.Context, _ []string) error {
		jails, err := ask(ctx, a, func(c *control.Client) (control.List[control.Jail], error) { return c.Jails(ctx) })
		if err != nil {
			return err
		}
		if a.json {
			return a.printJSON(jails)
		}
		if len(jails) == 0 {
			return a.printf("no jails\n")
		}
		t := table{{"NAME", "FILTER", "ENABLED", "ENFORCED", "MAXRETRY", "FINDTIME", "BANTIME", "PORTS", "MIN TRUST", "APPS"}}
		for _, j := range jails {
			t = append(t, []string{
				j.Name, j.Filter, yes(j.Enabled), yes(j.Enforce), number(j.MaxRetry), shortSeconds(j.FindTime),
				shortSeconds(j.BanTime), orAll(j.Ports), j.MinTrust, orAll(j.Apps),
			})
		}
		return t.print(a.stdout)
	})
}

func orAll(list []string) string {
	if len(list) == 0 {
		return "all"
	}
	return strings.Join(list, ",")
}
