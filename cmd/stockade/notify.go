package main

import (
	"context"

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
	c.AddCommand(a.reading(&cobra.Command{
		Use:   "test NAME",
		Short: "Send a test over a channel and say whether it was delivered",
		Args:  cobra.ExactArgs(1),
	}, func(ctx context.Context, args []string) error {
		r := control.NotifyRequest{Name: args[0]}
		res, err := ask(ctx, a, func(c *control.Client) (control.NotifyResult, error) { return c.NotifyTest(ctx, r) })
		if err != nil {
			return err
		}
		if a.json {
			return a.printJSON(res)
		}
		return a.printf("delivered by channel %s\n", args[0])
	}))
	return c
}
