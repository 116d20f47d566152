package main

import (
	"context"

	"github.com/spf13/cobra"

	"stockade/cmd/stockade/control"
)

func (a *app) approve() *cobra.Command {
	var r control.SourceRequest
	c := &cobra.Command{
		Use:   "approve --source S",
		Short: "Begin the bans that wait for a source's quota",
		Args:  cobra.NoArgs,
	}
	c.Flags().StringVar(&r.Source, "source", "", "the `source` that is believed")
	return a.reading(c, func(ctx context.Context, _ []string) error {
		if r.Source == "" {
			return usagef("approve: name the source with --source")
		}
		res, err := ask(ctx, a, func(c *control.Client) (control.ApproveResult, error) { return c.Approve(ctx, r) })
		if err != nil {
			return err
		}
		if a.json {
			return a.printJSON(res)
		}
		return a.printf("%s begun\n", plural(int(res.Approved), "ban"))
	})
}

// release is the verb `sources release`.
func (a *app) release() *cobra.Command {
	c := &cobra.Command{
		Use:   "release SOURCE",
		Short: "End the quarantine of a source",
		Args:  cobra.ExactArgs(1),
	}
	return a.reading(c, func(ctx context.Context, args []string) error {
		r := control.SourceRequest{Source: args[0]}
		res, err := ask(ctx, a, func(c *control.Client) (control.ReleaseResult, error) { return c.Release(ctx, r) })
		if err != nil {
			return err
		}
		if a.json {
			return a.printJSON(res)
		}
		return a.printf("source %s is believed again\n", args[0])
	})
}
