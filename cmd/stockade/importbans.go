package main

import (
	"context"
	"errors"
	"fmt"
	"time"

	"stockade/cmd/stockade/control"
	"stockade/cmd/stockade/migrate"
)

// importedBans is the answer to `import fail2ban --bans`.
type importedBans struct {
	Database   string                          `json:"database"`
	Live       int64                           `json:"live"`       // bans that hold in fail2ban
	Adopted    int64                           `json:"adopted"`    // those that hold here now
	Kept       int64                           `json:"kept"`       // those that held here already, as long
	Remembered int64                           `json:"remembered"` // offenders whose earlier bans are known now
	Left       control.List[control.AdoptLeft] `json:"left"`
	Skipped    control.List[migrate.Item]      `json:"skipped"`
	DryRun     bool                            `json:"dry_run"`
}

// importBans hands fail2ban's bans to the running daemon.
func (a *app) importBans(ctx context.Context, o *importOptions) error {
	out := importedBans{Database: o.database, DryRun: o.dryRun}
	if out.Database == "" {
		setup, err := migrate.Read(o.dir)
		if err != nil {
			return importError(err)
		}
		if out.Database = setup.Database; out.Database == "" {
			return &codedError{fmt.Errorf("fail2ban keeps no database (dbfile in %s/fail2ban.conf)", o.dir), exitUsage}
		}
	}
	now := time.Now()
	bans, err := migrate.ReadBans(out.Database, now)
	if err != nil {
		return importError(err)
	}
	out.Skipped = bans.Skipped
	for i := range bans.All {
		if bans.All[i].Live(now) {
			out.Live++
		}
	}
	if !o.dryRun {
		if err := a.adopt(ctx, bans, &out); err != nil {
			return err
		}
	}
	if err := a.printBansImport(&out); err != nil {
		return err
	}
	if len(out.Left) > 0 {
		return errNegative
	}
	return nil
}

// adopt sends the bans in pieces. What was sent stays when a later piece fails; sending it again
// changes nothing.
func (a *app) adopt(ctx context.Context, bans *migrate.Bans, out *importedBans) error {
	c, err := a.dial(ctx)
	if err != nil {
		return err
	}
	defer c.Close()
	for at := 0; at < len(bans.All); at += control.MaxAdopt {
		piece := bans.All[at:min(at+control.MaxAdopt, len(bans.All))]
		req := control.AdoptRequest{From: "fail2ban"}
		for i := range piece {
			b := &piece[i]
			req.Bans = append(req.Bans, control.AdoptBan{
				Jail: b.Jail, Address: b.Prefix, Start: b.Start, End: control.Moment(b.End), Count: b.Count,
			})
		}
		res, err := c.Adopt(ctx, req)
		if err != nil {
			return errors.Join(fmt.Errorf("%d of %d bans were adopted", out.Adopted, out.Live), err)
		}
		out.Adopted += res.Adopted
		out.Kept += res.Kept
		out.Remembered += res.Remembered
		out.Left = append(out.Left, res.Left...)
	}
	return nil
}

func (a *app) printBansImport(o *importedBans) error {
	if a.json {
		return a.printJSON(o)
	}
	for _, s := range o.Skipped {
		if err := a.printf("skipped %s: %s\n", s.What, s.Why); err != nil {
			return err
		}
	}
	for _, l := range o.Left {
		if err := a.printf("left %s in jail %s: %s\n", shortPrefix(l.Address), l.Jail, l.Why); err != nil {
			return err
		}
	}
	if o.DryRun {
		return a.printf("%d bans of fail2ban hold; nothing was adopted (--dry-run)\n", o.Live)
	}
	return a.printf("%d bans of fail2ban hold: %d adopted, %d were here already; %d offenders remembered, %d left\n",
		o.Live, o.Adopted, o.Kept, o.Remembered, len(o.Left))
}
