package main

import (
	"context"

	"github.com/spf13/cobra"

	"stockade/cmd/stockade/config"
	"stockade/cmd/stockade/control"
)

func (a *app) ban() *cobra.Command {
	var r control.BanRequest
	var length string
	c := &cobra.Command{
		Use:   "ban ADDR|PREFIX",
		Short: "Ban an address or a prefix by hand",
		Args:  cobra.ExactArgs(1),
	}
	c.Flags().StringVar(&r.Jail, "jail", "", "the `jail` to ban in, with its ports (default manual)")
	c.Flags().StringVar(&length, "for", "", "how `long`: 10m, 1d 12h, seconds, -1 for ever (default the jail's bantime)")
	c.Flags().StringVar(&r.Reason, "reason", "", "`text` to keep with the ban")
	c.Flags().BoolVar(&r.Force, "force", false, "allow a prefix wider than /16 or, for IPv6, /32")
	return a.reading(c, func(ctx context.Context, args []string) (err error) {
		if r.Address, err = control.ParseTarget(args[0]); err != nil {
			return &usageError{err}
		}
		if c.Flags().Changed("for") {
			d, err := config.ParseDuration(length)
			if err != nil {
				return usagef("--for: %w", err)
			}
			s := control.SecondsOf(d)
			r.For = &s
		}
		r.Session = ownLogin()
		res, err := ask(ctx, a, func(c *control.Client) (control.BanResult, error) { return c.Ban(ctx, r) })
		if err != nil {
			return err
		}
		if a.json {
			return a.printJSON(res)
		}
		return a.printBan(res)
	})
}

func (a *app) printBan(res control.BanResult) error {
	b := res.Ban
	end := "for ever"
	if b.End != nil {
		end = "until " + shortTime(*b.End)
	}
	verb := "is banned"
	if !res.Changed {
		verb = "was banned already"
	}
	note := ""
	if !b.Enforced {
		note = " (recorded, not enforced)"
	}
	return a.printf("%s %s in jail %s %s%s\n", shortPrefix(b.Address), verb, b.Jail, end, note)
}
