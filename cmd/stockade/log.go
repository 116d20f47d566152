package main

import (
	"context"
	"path/filepath"

	"github.com/spf13/cobra"

	"stockade/cmd/stockade/config"
	"stockade/cmd/stockade/control"
)

func (a *app) log() *cobra.Command {
	var r control.LogRequest
	c := &cobra.Command{
		Use:   "log [--level L] [--target T]",
		Short: "Show or change how the running daemon logs",
		Long: `Show or change how the running daemon logs, until it is started again or reloaded with another
log section. A target that is a file is opened anew, so after a rotation: --target with the same file.
Files may lie in /var/log, in the state folder and beside log.target of the configuration.`,
		Args: cobra.NoArgs,
	}
	c.Flags().StringVar(&r.Level, "level", "", "debug, info, warn or error (`level`)")
	c.Flags().StringVar(&r.Target, "target", "", "stderr, or a `file`")
	return a.reading(c, func(ctx context.Context, _ []string) error {
		if r.Target != "" && r.Target != config.LogStderr {
			path, err := filepath.Abs(r.Target)
			if err != nil {
				return err
			}
			r.Target = path
		}
		s, err := ask(ctx, a, func(c *control.Client) (control.LogState, error) {
			if r == (control.LogRequest{}) {
				return c.Log(ctx)
			}
			return c.SetLog(ctx, r)
		})
		if err != nil {
			return err
		}
		if a.json {
			return a.printJSON(s)
		}
		return a.printf("level:  %s\nformat: %s\ntarget: %s\n", s.Level, s.Format, s.Target)
	})
}
