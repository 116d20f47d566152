package main

import (
	"context"

	"github.com/spf13/cobra"

	"stockade/cmd/stockade/config"
	"stockade/cmd/stockade/control"
)

// keepWord is what a bare --confirm stands for, and `reload confirm`.
const keepWord = "confirm"

func (a *app) reload() *cobra.Command {
	var confirm string
	c := &cobra.Command{
		Use:   "reload [--confirm TIME | confirm]",
		Short: "Make the daemon read its configuration again; a bad one changes nothing",
		Long: `Make the daemon read its configuration again; a bad one changes nothing.

With --confirm 5m the new configuration goes back by itself after five minutes, and the bans that
only it would have made are lifted, unless "stockade reload confirm" (or --confirm without a time)
says that it may stay. Another reload or SIGHUP meanwhile reads the files once more; the time goes on.`,
		Example: "  stockade reload --confirm 5m\n  stockade reload confirm",
		Args:    cobra.MaximumNArgs(1),
	}
	c.Flags().StringVar(&confirm, "confirm", "", "go back after this `time` (10s to 1d) unless confirmed; without a time: confirm")
	c.Flags().Lookup("confirm").NoOptDefVal = keepWord
	return a.reading(c, func(ctx context.Context, args []string) error {
		r, err := reloadRequest(confirm, args)
		if err != nil {
			return err
		}
		res, err := ask(ctx, a, func(c *control.Client) (control.ReloadResult, error) { return c.Reload(ctx, r) })
		if err != nil {
			return err
		}
		if a.json {
			return a.printJSON(res)
		}
		return a.printReload(r, res)
	})
}

// reloadRequest understands `--confirm 5m`, where the time is an argument by itself, `--confirm=5m`,
// `--confirm` and `confirm`.
func reloadRequest(confirm string, args []string) (r control.ReloadRequest, err error) {
	switch {
	case len(args) == 1 && confirm == "" && args[0] == keepWord:
		confirm = keepWord
	case len(args) == 1 && confirm == keepWord:
		confirm = args[0]
	case len(args) == 1:
		return r, usagef("reload: unknown argument %q: it takes --confirm TIME, or confirm", args[0])
	}
	switch confirm {
	case "":
	case keepWord:
		r.Keep = true
	default:
		d, err := config.ParseDuration(confirm)
		if err != nil {
			return r, usagef("reload: --confirm %w", err)
		}
		if r.Confirm = control.SecondsOf(d); r.Confirm <= 0 {
			return r, usagef("reload: --confirm %q must be between 10s and 1d", confirm)
		}
	}
	return r, nil
}

func (a *app) printReload(r control.ReloadRequest, res control.ReloadResult) error {
	for _, w := range res.Warnings {
		if err := a.printf("%s\n", problemLine(w)); err != nil {
			return err
		}
	}
	if r.Keep {
		return a.printf("confirmed: the configuration stays\n")
	}
	if err := a.printf("reloaded\n"); err != nil {
		return err
	}
	for _, p := range res.Promoted {
		if err := a.printf("%s\n", promotionLine(p)); err != nil {
			return err
		}
	}
	if res.ConfirmUntil != nil {
		return a.printf("it goes back at %s unless confirmed: stockade reload confirm\n", shortTime(*res.ConfirmUntil))
	}
	return nil
}
