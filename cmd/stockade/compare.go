package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/netip"
	"os"
	"time"

	"github.com/spf13/cobra"

	"stockade/cmd/stockade/config"
	"stockade/cmd/stockade/host"
	"stockade/cmd/stockade/migrate"
	"stockade/jails"
)

// defaultFail2banLog is where fail2ban logs unless it is configured otherwise.
const defaultFail2banLog = "/var/log/fail2ban.log"

func (a *app) compare() *cobra.Command {
	var log, zone string
	c := &cobra.Command{
		Use:   "compare [FAIL2BAN_LOG]",
		Short: "Compare the bans of a fail2ban that runs beside: who banned whom first, and why they differ",
		Long: `Compare the bans of a fail2ban that runs beside: who banned whom first, by how much, and why the two
differ where they do. FAIL2BAN_LOG is ` + defaultFail2banLog + ` unless it is named.

    journalctl -u stockade -o cat | stockade compare --log -

Stockade's log is read in JSON, as it is in the journal. Only the time that both logs cover is compared.
Exit code 1 says that nothing explains one of the differences.`,
		Args: cobra.MaximumNArgs(1),
	}
	c.Flags().StringVar(&log, "log", "-", "Stockade's log `file`; - is standard input")
	c.Flags().StringVar(&zone, "timezone", "", "the `zone` of fail2ban's times, such as Europe/Berlin (default the local one)")
	return a.reading(c, func(_ context.Context, args []string) error {
		file := defaultFail2banLog
		if len(args) > 0 {
			file = args[0]
		}
		at := time.Local
		if zone != "" {
			var err error
			if at, err = time.LoadLocation(zone); err != nil {
				return usagef("--timezone %q: no such zone", zone)
			}
		}
		return a.runCompare(file, log, at)
	})
}

func (a *app) runCompare(file, log string, zone *time.Location) error {
	policy, err := comparePolicy(a.config)
	if err != nil {
		return err
	}
	theirs, err := readLog(file, nil, func(r io.Reader) (*migrate.Log, error) { return migrate.ReadFail2banLog(r, zone) })
	if err != nil {
		return importError(err)
	}
	ours, err := readLog(log, a.stdin, migrate.ReadLog)
	if err != nil {
		return importError(err)
	}
	for _, l := range []struct {
		log  *migrate.Log
		name string
	}{{theirs, file}, {ours, log}} {
		if l.log.First.IsZero() {
			return &codedError{fmt.Errorf("%s: no line of the form that is expected (see stockade compare --help)", l.name), exitUsage}
		}
	}
	cmp := migrate.Compare(theirs, ours, policy)
	if err := a.printCompare(cmp); err != nil {
		return err
	}
	if cmp.Unexplained > 0 {
		return errNegative
	}
	return nil
}

// readLog reads a log; "-" is standard input, where that is given.
func readLog(name string, stdin io.Reader, read func(io.Reader) (*migrate.Log, error)) (*migrate.Log, error) {
	if name == "-" && stdin != nil {
		return read(stdin)
	}
	f, err := os.Open(name)
	if err != nil {
		return nil, err
	}
	defer func() { _ = f.Close() }()
	return read(f)
}

// comparePolicy is what the configuration says of jails and protected addresses.
func comparePolicy(file string) (migrate.Policy, error) {
	l, err := config.Load(config.ProcessOptions(file))
	if err != nil {
		return migrate.Policy{}, &codedError{err, exitUsage}
	}
	p := migrate.Policy{IPv6: l.Config.Firewall.IPv6Prefix}
	var faults []error
	for _, c := range l.Config.Jails {
		j, err := jails.New(l.Config.Defaults, c, os.ReadFile)
		if err != nil {
			faults = append(faults, err)
			continue
		}
		p.Jails = append(p.Jails, j)
	}
	if err := errors.Join(faults...); err != nil {
		return p, &codedError{err, exitUsage}
	}
	sets := map[string]*jails.AddrSet{}
	for key, list := range map[string][]string{"never_ban": l.Config.NeverBan, "proxies": l.Config.Proxies} {
		_, addresses := host.SplitNames(list)
		sets[key] = jails.NewAddrSet(jails.ParseAddrList(addresses, os.ReadFile, func(int, string) {})) // check tells its faults
	}
	p.Protect = func(prefix netip.Prefix) (string, bool) {
		for _, key := range []string{"never_ban", "proxies"} {
			if sets[key].Overlaps(prefix) {
				return key, true
			}
		}
		return "", false
	}
	return p, nil
}

func (a *app) printCompare(c *migrate.Comparison) error {
	if a.json {
		return a.printJSON(c)
	}
	rows := table{{"TIME", "JAIL", "ADDRESS", "FIRST", "BY", "REASON"}}
	for _, p := range c.Pairs {
		at, by := p.Fail2ban, "alone"
		if at == nil || p.Stockade != nil && p.Stockade.Before(*at) {
			at = p.Stockade
		}
		if p.Fail2ban != nil && p.Stockade != nil {
			by = fmt.Sprintf("%.3fs", p.Lead)
		}
		why := p.Reason
		if why == "" && by == "alone" {
			why = "nothing explains it: stockade explain " + p.Address
		}
		rows = append(rows, []string{shortTime(*at), p.Jail, p.Address, p.First, by, why})
	}
	if len(c.Pairs) > 0 {
		if err := rows.print(a.stdout); err != nil {
			return err
		}
	}
	return a.printf("%s to %s: %d bans by both, %d by fail2ban alone, %d by stockade alone; %d not explained, %d while only one logged\n",
		shortTime(c.From), shortTime(c.Until), c.Both, c.OnlyFail2ban, c.OnlyStockade, c.Unexplained, c.Outside)
}
