package main

import (
	"context"

	"github.com/spf13/cobra"

	"stockade/cmd/stockade/control"
)

func (a *app) bans() *cobra.Command {
	var jail string
	c := &cobra.Command{
		Use:   "bans [--jail J]",
		Short: "List the bans that hold",
		Args:  cobra.NoArgs,
	}
	c.Flags().StringVar(&jail, "jail", "", "only the bans of this `jail`")
	return a.reading(c, func(ctx context.Context, _ []string) error {
		bans, err := ask(ctx, a, func(c *control.Client) (control.List[control.Ban], error) { return c.Bans(ctx, jail) })
		if err != nil {
			return err
		}
		if a.json {
			return a.printJSON(bans)
		}
		if len(bans) == 0 {
			return a.printf("no bans\n")
		}
		t := table{{"ADDRESS", "JAIL", "START", "END", "FAILURES", "SOURCE", "TRUST", "PORTS", "ENFORCED", "REASON"}}
		for _, b := range bans {
			t = append(t, []string{
				shortPrefix(b.Address), b.Jail, shortTime(b.Start), shortMoment(b.End, "permanent"), number(b.Failures),
				string(b.Source), string(b.Trust), orAll(b.Ports), yes(b.Enforced), string(b.Reason),
			})
		}
		return t.print(a.stdout)
	})
}
