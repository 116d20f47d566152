package main

import (
	"context"

	"github.com/spf13/cobra"

	"stockade/cmd/stockade/control"
)

func (a *app) ping() *cobra.Command {
	return a.reading(&cobra.Command{
		Use:   "ping",
		Short: "Ask whether the daemon answers",
		Args:  cobra.NoArgs,
	}, func(ctx context.Context, _ []string) error {
		_, err := ask(ctx, a, func(c *control.Client) (struct{}, error) { return struct{}{}, c.Ping(ctx) })
		if err != nil {
			return err
		}
		if a.json {
			return a.printJSON(control.Pong{Pong: true})
		}
		return a.printf("Server replied: pong\n")
	})
}
