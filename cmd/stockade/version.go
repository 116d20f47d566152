package main

import (
	"context"

	"github.com/spf13/cobra"

	"stockade/cmd/stockade/control"
)

// versions is the answer to `version`. Daemon is nil when none can be asked.
type versions struct {
	control.Version
	Daemon *control.Version `json:"daemon"`
}

func (a *app) version() *cobra.Command {
	return a.reading(&cobra.Command{
		Use:   "version",
		Short: "Show the version of this program and, if it can be asked, of the daemon",
		Args:  cobra.NoArgs,
	}, func(ctx context.Context, _ []string) error {
		v := versions{Version: control.BuildVersion()}
		if d, err := ask(ctx, a, func(c *control.Client) (control.Version, error) { return c.Version(ctx) }); err == nil {
			v.Daemon = &d
		}
		if a.json {
			return a.printJSON(v)
		}
		if err := a.printVersion("stockade", v.Version); err != nil || v.Daemon == nil {
			return err
		}
		return a.printVersion("daemon", *v.Daemon)
	})
}

func (a *app) printVersion(who string, v control.Version) error {
	if v.Revision == "" {
		return a.printf("%s %s (%s)\n", who, v.Version, v.Go)
	}
	return a.printf("%s %s (%s, revision %s)\n", who, v.Version, v.Go, v.Revision)
}
