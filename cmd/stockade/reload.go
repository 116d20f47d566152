package main

import (
	"context"

	"github.com/spf13/cobra"

	"stockade/cmd/stockade/control"
)

func (a *app) reload() *cobra.Command {
	return a.reading(&cobra.Command{
		Use:   "reload",
		Short: "Make the daemon read its configuration again; a bad one changes nothing",
		Args:  cobra.NoArgs,
	}, func(ctx context.Context, _ []string) error {
		res, err := ask(ctx, a, func(c *control.Client) (control.ReloadResult, error) { return c.Reload(ctx) })
		if err != nil {
			return err
		}
		if a.json {
			return a.printJSON(res)
		}
		for _, w := range res.Warnings {
			if err := a.printf("%s\n", problemLine(w)); err != nil {
				return err
			}
		}
		return a.printf("reloaded\n")
	})
}
