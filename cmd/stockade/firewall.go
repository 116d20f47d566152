package main

import (
	"context"
	"errors"

	"github.com/spf13/cobra"

	"stockade/cmd/stockade/config"
	"stockade/cmd/stockade/control"
	"stockade/firewall"
	"stockade/firewall/nft"
)

// shownElements is how many elements of each set `firewall show` prints unless told otherwise: long
// sets are slow to list.
const shownElements = 100

func (a *app) firewall() *cobra.Command {
	c := &cobra.Command{
		Use:   "firewall",
		Short: "Show, verify or remove our table in the kernel",
		Long: `Show, verify or remove our nftables table in the kernel.

These verbs ask the kernel, not the daemon: they need CAP_NET_ADMIN, and work whether the daemon
runs or not.`,
		Args: cobra.NoArgs,
	}
	c.AddCommand(a.firewallShow(), a.firewallVerify(), a.firewallRemove())
	return a.verb(c, func(context.Context, []string) error {
		_ = c.Help()
		return usagef("firewall: name what to do: show, verify or remove")
	})
}

// kernelTable is what the kernel is asked about: the table that the configuration names.
func (a *app) kernelTable() (nft.Options, error) {
	l, err := config.Load(config.ProcessOptions(a.config))
	if err != nil {
		return nft.Options{}, &codedError{err, exitUsage}
	}
	return nft.Options{Config: l.Config.Firewall}, nil
}

// kernelError gives an error of the kernel its exit code.
func kernelError(err error) error {
	if errors.Is(err, firewall.ErrCapability) {
		return &codedError{err, exitPermission}
	}
	return err
}

func (a *app) firewallShow() *cobra.Command {
	var limit int
	c := &cobra.Command{
		Use:   "show [--limit N]",
		Short: "Print the table with its rules, in the syntax of nft",
		Args:  cobra.NoArgs,
	}
	c.Flags().IntVar(&limit, "limit", shownElements, "how many elements of each set to print")
	return a.verb(c, func(context.Context, []string) error {
		if limit < 0 {
			return usagef("--limit %d must not be negative", limit)
		}
		o, err := a.kernelTable()
		if err != nil {
			return err
		}
		return kernelError(nft.Show(o, a.stdout, limit))
	})
}

// verified is the answer to `firewall verify`.
type verified struct {
	Table string               `json:"table"`
	OK    bool                 `json:"ok"`
	Flaws control.List[string] `json:"flaws"` // what differs from what the table must be
}

func (a *app) firewallVerify() *cobra.Command {
	return a.reading(&cobra.Command{
		Use:   "verify",
		Short: "Compare the table with what it must be; exit 1 when something differs",
		Args:  cobra.NoArgs,
	}, func(context.Context, []string) error {
		o, err := a.kernelTable()
		if err != nil {
			return err
		}
		flaws, err := nft.Verify(o)
		if err != nil {
			return kernelError(err)
		}
		v := verified{Table: "inet " + o.Config.Table, OK: len(flaws) == 0, Flaws: flaws}
		if a.json {
			err = a.printJSON(v)
		} else {
			err = a.printVerified(v)
		}
		if err == nil && !v.OK {
			err = errNegative
		}
		return err
	})
}

func (a *app) printVerified(v verified) error {
	if v.OK {
		return a.printf("table %s is as it must be\n", v.Table)
	}
	for _, f := range v.Flaws {
		if err := a.printf("table %s: %s\n", v.Table, f); err != nil {
			return err
		}
	}
	return a.printf("hint: a running daemon repairs this within seconds; `stockade serve` makes the table\n")
}

func (a *app) firewallRemove() *cobra.Command {
	return a.reading(&cobra.Command{
		Use:   "remove",
		Short: "Delete the table with every ban it holds; the daemon must not run",
		Long: `Delete the table with every ban it holds; the daemon must not run.

The bans in the state folder stay: the next start puts them back. Lift bans with stockade unban.`,
		Args: cobra.NoArgs,
	}, func(context.Context, []string) error {
		o, err := a.kernelTable()
		if err != nil {
			return err
		}
		if err := nft.Remove(o); err != nil {
			return kernelError(err)
		}
		name := "inet " + o.Config.Table
		if a.json {
			return a.printJSON(struct {
				Table   string `json:"table"`
				Removed bool   `json:"removed"`
			}{name, true})
		}
		return a.printf("table %s is not in the kernel\n", name)
	})
}
