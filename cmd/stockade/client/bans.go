package client

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"time"

	"stockade/cmd/stockade/control"
)

// address is a prefix as fail2ban writes it: without the length of a single address.
func address(p netip.Prefix) string {
	if p.IsSingleIP() {
		return p.Addr().String()
	}
	return p.String()
}

// listed are the bans of a jail ("": of all) in fail2ban's order: what ends first comes first.
func listed(ctx context.Context, d Daemon, jail string) ([]control.Ban, error) {
	bans, err := d.Bans(ctx, jail)
	if err != nil {
		return nil, err
	}
	slices.SortStableFunc(bans, func(a, b control.Ban) int {
		switch {
		case a.End == nil || b.End == nil:
			if (a.End == nil) != (b.End == nil) {
				return cmp.Compare(bit(a.End == nil), bit(b.End == nil))
			}
			return a.Start.Compare(b.Start)
		}
		return a.End.Compare(*b.End)
	})
	return bans, nil
}

func bit(b bool) int {
	if b {
		return 1
	}
	return 0
}

// quoted is a list of texts as Python prints it. The texts hold no quotes.
func quoted(list []string) string {
	if len(list) == 0 {
		return "[]"
	}
	return "['" + strings.Join(list, "', '") + "']"
}

// banned prints the addresses of each jail, or the jails of each address.
func (s *session) banned(ctx context.Context, d Daemon, args []string) error {
	bans, err := listed(ctx, d, "")
	if err != nil {
		return err
	}
	names, err := jailNames(ctx, d)
	if err != nil {
		return err
	}
	parts := make([]string, 0, max(len(names), len(args)))
	if len(args) == 0 {
		for _, n := range names {
			var list []string
			for _, b := range bans {
				if b.Jail == n {
					list = append(list, address(b.Address))
				}
			}
			parts = append(parts, fmt.Sprintf("{'%s': %s}", n, quoted(list)))
		}
		return s.say("[%s]", strings.Join(parts, ", "))
	}
	for _, a := range args {
		t, err := control.ParseTarget(a)
		if err != nil {
			return usagef("%v", err)
		}
		var list []string
		for _, n := range names {
			if slices.ContainsFunc(bans, func(b control.Ban) bool { return b.Jail == n && covers(b.Address, t.Prefix) }) {
				list = append(list, n)
			}
		}
		parts = append(parts, quoted(list))
	}
	return s.say("[%s]", strings.Join(parts, ", "))
}

func covers(wide, narrow netip.Prefix) bool {
	return wide.Bits() <= narrow.Bits() && wide.Contains(narrow.Addr())
}

// unban lifts bans in all jails and prints how many.
func (s *session) unban(ctx context.Context, d Daemon, args []string) error {
	if len(args) == 0 {
		return s.refuse("Invalid command")
	}
	if args[0] == "--all" {
		n, err := lifted(d.Unban(ctx, control.UnbanRequest{All: true}))
		if err != nil {
			return err
		}
		return s.say("%d", n)
	}
	n, _, err := unbanEach(ctx, d, "", args)
	if err != nil {
		return err
	}
	return s.say("%d", n)
}

// unbanEach lifts the bans of addresses in a jail ("": in all), and returns those that had none.
func unbanEach(ctx context.Context, d Daemon, jail string, args []string) (total int64, absent []string, err error) {
	targets, err := parse(args)
	if err != nil {
		return 0, nil, err
	}
	for i, t := range targets {
		n, err := lifted(d.Unban(ctx, control.UnbanRequest{Address: t, Jail: jail}))
		if err != nil {
			return total, absent, err
		}
		if total += n; n == 0 {
			absent = append(absent, args[i])
		}
	}
	return total, absent, nil
}

// lifted turns "nothing to unban" into 0, which fail2ban prints.
func lifted(r control.UnbanResult, err error) (int64, error) {
	var refused *control.Error
	if errors.As(err, &refused) && refused.Code == control.CodeNotFound {
		return 0, nil
	}
	return r.Unbanned, err
}

// parse reads all addresses before one of them is changed.
func parse(args []string) ([]control.Target, error) {
	targets := make([]control.Target, len(args))
	for i, a := range args {
		t, err := control.ParseTarget(a)
		if err != nil {
			return nil, usagef("%v", err)
		}
		targets[i] = t
	}
	return targets, nil
}

func (s *session) set(ctx context.Context, d Daemon, args []string) error {
	if len(args) < 2 {
		return s.refuse(invalid)
	}
	jail, action, rest := args[0], args[1], args[2:]
	if isLog(jail) {
		return s.logging(ctx, d, jail, action)
	}
	if hint, ok := serverSettings[jail]; ok {
		return usagef("set %s is not supported: %s", jail, hint)
	}
	if err := s.known(ctx, d, jail); err != nil {
		return err
	}
	switch action {
	case "banip":
		return s.banIP(ctx, d, jail, rest)
	case "unbanip":
		report := len(rest) > 0 && rest[0] == "--report-absent"
		if report {
			rest = rest[1:]
		}
		if len(rest) == 0 {
			return s.refuse(invalid)
		}
		n, absent, err := unbanEach(ctx, d, jail, rest)
		if err != nil {
			return err
		}
		if report && len(absent) > 0 {
			return errors.Join(s.say("not banned: %s", quoted(absent)), errNothing)
		}
		return s.say("%d", n)
	case "addignoreip", "delignoreip":
		return usagef("set %s %s is not supported: write ignoreip of the jail (or never_ban) in the configuration, then stockade reload", jail, action)
	case "bantime", "findtime", "maxretry":
		return usagef("set %s %s is not supported: write %s of the jail in the configuration, then stockade reload", jail, action, action)
	}
	return usagef("set %s %s is not supported: change the jail in the configuration, then stockade reload", jail, action)
}

func (s *session) banIP(ctx context.Context, d Daemon, jail string, args []string) error {
	targets, err := parse(args)
	if err != nil {
		return err
	}
	bans, err := listed(ctx, d, jail)
	if err != nil {
		return err
	}
	n := 0
	for _, t := range targets {
		if slices.ContainsFunc(bans, func(b control.Ban) bool { return covers(b.Address, t.Prefix) }) {
			continue // fail2ban leaves the ban as it is
		}
		res, err := d.Ban(ctx, control.BanRequest{Address: t, Jail: jail, Session: s.Session})
		if err != nil {
			return err
		}
		n += bit(res.Changed)
	}
	return s.say("%d", n)
}

// serverSettings are what fail2ban sets at its server, and where that is set here.
var serverSettings = map[string]string{
	"syslogsocket":  "the log goes to log.target: standard error, and from there to the journal, or a file",
	"dbfile":        "state_dir in the configuration",
	"dbmaxmatches":  "ten lines are kept with each ban: stockade explain ADDR",
	"dbpurgeage":    "offenders are remembered for 30 days after their last ban",
	"allowipv6":     "IPv6 is always on",
	"systemd-units": "listeners and journals in the configuration",
}

// withTime prints a jail's bans with their times.
func (s *session) withTime(bans []control.Ban) error {
	var lines []string
	for _, b := range bans {
		long, end := "-1", "9999-12-31 23:59:59"
		if b.End != nil {
			long, end = fmt.Sprint(int64(b.End.Sub(b.Start).Round(time.Second)/time.Second)), stamp(*b.End)
		}
		lines = append(lines, fmt.Sprintf("%s \t%s + %s = %s", address(b.Address), stamp(b.Start), long, end))
	}
	return s.lines(lines)
}

func stamp(t time.Time) string { return t.Local().Format("2006-01-02 15:04:05") }
