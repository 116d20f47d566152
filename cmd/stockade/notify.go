package main

import (
	"context"
	"strings"

	"github.com/spf13/cobra"

	"stockade/cmd/stockade/control"
)

func (a *app) notify() *cobra.Command {
	c := &cobra.Command{
		Use:   "notify",
		Short: "Channels that tell of bans and troubles",
		Args:  cobra.NoArgs,
		RunE: func(*cobra.Command, []string) error {
			return usagef("notify: there is `notify test NAME`")
		},
	}
	var dry bool
	test := &cobra.Command{
		Use:   "test NAME",
		Short: "Send a test over a channel and say whether it was delivered",
		Args:  cobra.ExactArgs(1),
	}
	test.Flags().BoolVar(&dry, "dry-run", false, "print what the channel would send of a ban, and send nothing")
	c.AddCommand(a.reading(test, func(ctx context.Context, args []string) error {
		r := control.NotifyRequest{Name: args[0], DryRun: dry}
		res, err := ask(ctx, a, func(c *control.Client) (control.NotifyResult, error) { return c.NotifyTest(ctx, r) })
		if err != nil {
			return err
		}
		if a.json {
			return a.printJSON(res)
		}
		for line := range strings.Lines(res.Message) {
			if err := a.printf("%s\n", strings.TrimSuffix(line, "\n")); err != nil {
				return err
			}
		}
		if dry {
			return nil
		}
		return a.printf("delivered by channel %s\n", args[0])
	}))
	return c
}
