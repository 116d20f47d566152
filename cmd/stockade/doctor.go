package main

import (
	"context"
	"strings"

	"github.com/spf13/cobra"

	"stockade/cmd/stockade/control"
)

func (a *app) doctor() *cobra.Command {
	return a.reading(&cobra.Command{
		Use:   "doctor [JAIL]",
		Short: "Find the first broken link between a log line and a dropped packet",
		Long: `Find the first broken link between a log line and a dropped packet.

It follows source, line, trust, filter, jail, hook and packet, for one jail or for all, and names what
is broken with its remedy. Other programs' nftables tables are read, never changed. Exit 1 when a link
is broken.`,
		Args: cobra.MaximumNArgs(1),
	}, func(ctx context.Context, args []string) error {
		jail := strings.Join(args, "")
		d, err := ask(ctx, a, func(c *control.Client) (control.Diagnosis, error) { return c.Doctor(ctx, jail) })
		if err != nil {
			return err
		}
		if a.json {
			err = a.printJSON(d)
		} else {
			err = a.printDiagnosis(d)
		}
		if err == nil && !d.OK {
			err = errNegative
		}
		return err
	})
}

func (a *app) printDiagnosis(d control.Diagnosis) error {
	for _, l := range d.Links {
		of := ""
		if l.Subject != "" {
			of = " " + string(l.Subject)
		}
		if err := a.printf("%-8s %s%s: %s\n", l.State, l.Link, of, l.Finding); err != nil {
			return err
		}
		if l.Remedy != "" && l.State != control.LinkOK {
			if err := a.printf("%-8s hint: %s\n", "", l.Remedy); err != nil {
				return err
			}
		}
	}
	if d.Broken == nil {
		return a.printf("\nno link is broken\n")
	}
	return a.printf("\nthe first broken link is the %s: %s\n", d.Broken.Link, d.Broken.Finding)
}
