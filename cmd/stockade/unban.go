package main

import (
	"context"
	"time"

	"github.com/spf13/cobra"

	"stockade/cmd/stockade/config"
	"stockade/cmd/stockade/control"
)

func (a *app) unban() *cobra.Command {
	var r control.UnbanRequest
	var since string
	c := &cobra.Command{
		Use:   "unban ADDR|PREFIX | --all | --source S [--since T]",
		Short: "Lift bans",
		Args:  cobra.MaximumNArgs(1),
	}
	c.Flags().BoolVar(&r.All, "all", false, "lift every ban")
	c.Flags().StringVar(&r.Source, "source", "", "lift the bans that this `source` caused")
	c.Flags().StringVar(&since, "since", "", "with --source: only bans begun at or after this `time` (RFC 3339, or 2h for two hours ago)")
	c.Flags().StringVar(&r.Jail, "jail", "", "only in this `jail`")
	return a.reading(c, func(ctx context.Context, args []string) (err error) {
		if len(args) == 1 {
			if r.Address, err = control.ParseTarget(args[0]); err != nil {
				return &usageError{err}
			}
		}
		if since != "" {
			t, err := parseSince(since, time.Now())
			if err != nil {
				return &usageError{err}
			}
			r.Since = &t
		}
		res, err := ask(ctx, a, func(c *control.Client) (control.UnbanResult, error) { return c.Unban(ctx, r) })
		if err != nil {
			return err
		}
		if a.json {
			return a.printJSON(res)
		}
		if res.Unbanned == 1 {
			return a.printf("1 ban lifted\n")
		}
		return a.printf("%d bans lifted\n", res.Unbanned)
	})
}

func parseSince(s string, now time.Time) (time.Time, error) {
	if t, err := time.Parse(time.RFC3339, s); err == nil {
		return t, nil
	}
	d, err := config.ParseDuration(s)
	if err != nil || d < 0 {
		return time.Time{}, usagef("--since %q: neither an RFC 3339 time nor a duration like 2h", s)
	}
	return now.Add(-d), nil
}
