package client

import (
	"context"
	"fmt"
	"math"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"stockade/cmd/stockade/control"
)

func (s *session) get(ctx context.Context, d Daemon, args []string) error {
	if len(args) == 0 {
		return s.refuse(invalid)
	}
	if isLog(args[0]) {
		return s.logging(ctx, d, args[0], "")
	}
	if hint, ok := serverSettings[args[0]]; ok {
		return usagef("get %s is not supported: %s", args[0], hint)
	}
	if len(args) < 2 {
		return s.refuse(invalid)
	}
	jail, what, rest := args[0], args[1], args[2:]
	if err := s.known(ctx, d, jail); err != nil {
		return err
	}
	switch what {
	case "banip":
		return s.getBanIP(ctx, d, jail, rest)
	case "banned":
		return s.getBanned(ctx, d, jail, rest)
	case "ignoreip":
		return s.getIgnored(jail)
	case "ignoreself":
		return s.say("True") // own addresses are never banned
	case "usedns":
		return s.say("no") // names are never looked up
	case "actions":
		st, err := d.Status(ctx)
		if err != nil {
			return err
		}
		return s.say("The jail %s has the following actions:\n%s", jail, st.Backend)
	case "bantime", "findtime", "maxretry":
		return s.number(ctx, d, jail, what)
	}
	if slices.Contains(unknowable, what) {
		return usagef("get %s %s is not supported: stockade config show has the jail, stockade jails its numbers", jail, what)
	}
	return s.refuse("Invalid command (no get action or not yet implemented)")
}

// unknowable are properties of fail2ban's jails that ours lack or show elsewhere.
var unknowable = []string{
	"logpath", "logencoding", "journalmatch", "ignorecommand", "ignorecache", "failregex", "ignoreregex", "prefregex", "datepattern",
	"maxmatches", "maxlines", "action", "actionproperties", "actionmethods",
}

func (s *session) number(ctx context.Context, d Daemon, jail, what string) error {
	jails, err := d.Jails(ctx)
	if err != nil {
		return err
	}
	i := slices.IndexFunc(jails, func(j control.Jail) bool { return j.Name == jail })
	if i < 0 {
		return usagef("get %s %s: the jail holds bans by hand alone", jail, what)
	}
	n := map[string]int64{
		"bantime": int64(jails[i].BanTime), "findtime": int64(jails[i].FindTime), "maxretry": jails[i].MaxRetry,
	}[what]
	return s.say("%d", n)
}

func (s *session) getBanIP(ctx context.Context, d Daemon, jail string, args []string) error {
	bans, err := listed(ctx, d, jail)
	if err != nil {
		return err
	}
	sep := " "
	if len(args) > 0 {
		if args[0] == "--with-time" {
			return s.withTime(bans)
		}
		sep = args[0]
	}
	list := make([]string, len(bans))
	for i, b := range bans {
		list[i] = address(b.Address)
	}
	return s.say("%s", strings.Join(list, sep))
}

func (s *session) getBanned(ctx context.Context, d Daemon, jail string, args []string) error {
	bans, err := listed(ctx, d, jail)
	if err != nil {
		return err
	}
	var list []string
	if len(args) == 0 {
		for _, b := range bans {
			list = append(list, address(b.Address))
		}
		return s.say("%s", quoted(list))
	}
	targets, err := parse(args)
	if err != nil {
		return err
	}
	for _, t := range targets {
		list = append(list, strconv.Itoa(bit(slices.ContainsFunc(bans, func(b control.Ban) bool { return covers(b.Address, t.Prefix) }))))
	}
	if len(list) == 1 {
		return s.say("%s", list[0])
	}
	return s.say("[%s]", strings.Join(list, ", "))
}

// getIgnored prints what the jail ignores: its own list and the one of all jails.
func (s *session) getIgnored(jail string) error {
	cfg, err := s.Load(s.File)
	if err != nil {
		return err
	}
	var list []string
	for _, j := range cfg.Jails {
		if j.Name == jail {
			list = append(list, j.IgnoreIP...)
		}
	}
	list = append(list, cfg.NeverBan...)
	if len(list) == 0 {
		return s.say("No IP address/network is ignored")
	}
	lines := []string{"These IP addresses/networks are ignored:"}
	for i, a := range list {
		mark := "|- "
		if i == len(list)-1 {
			mark = "`- "
		}
		lines = append(lines, mark+control.Escape(a))
	}
	return s.lines(lines)
}

// fail2ban's words for times, by their beginnings.
var (
	timePart  = regexp.MustCompile(`^\s*([0-9]+(?:\.[0-9]+)?)\s*([a-z]*)`)
	timeUnits = []timeUnit{
		{regexp.MustCompile(`^(s|sec|secs|second|seconds|)$`), 1},
		{regexp.MustCompile(`^(m|mi|min|mins|minute|minutes)$`), 60},
		{regexp.MustCompile(`^(h|ho|hou|hour|hours)$`), 3600},
		{regexp.MustCompile(`^(d|da|day|days)$`), 86400},
		{regexp.MustCompile(`^(w|we|wee|week|weeks)$`), 604800},
		{regexp.MustCompile(`^(mo|mon|month|months)$`), 2629800},
		{regexp.MustCompile(`^(y|ye|yea|year|years)$`), 31557600},
	}
)

type timeUnit struct {
	words   *regexp.Regexp
	seconds float64
}

// seconds prints a time string in seconds. A fraction, and the units whose length is an average,
// make a number with a decimal point, as fail2ban prints it.
func (s *session) seconds(text string) error {
	rest, total, broken := strings.TrimSpace(text), 0.0, false
	if rest == "-1" {
		return s.say("-1")
	}
	for found := false; ; found = true {
		m := timePart.FindStringSubmatch(rest)
		if m == nil {
			if found && strings.TrimSpace(rest) == "" {
				break
			}
			return s.refuse("ERROR: %q is not a time: write 10m, 1d12h or seconds", text)
		}
		unit := slices.IndexFunc(timeUnits, func(u timeUnit) bool { return u.words.MatchString(m[2]) })
		if unit < 0 {
			return s.refuse("ERROR: %q is not a time: unknown unit %q", text, m[2])
		}
		n, _ := strconv.ParseFloat(m[1], 64) // digits alone
		total += n * timeUnits[unit].seconds
		broken = broken || strings.Contains(m[1], ".") || timeUnits[unit].seconds > 604800
		rest = rest[len(m[0]):]
	}
	if broken && total == math.Trunc(total) {
		return s.say("%.1f", total)
	}
	return s.say("%s", strconv.FormatFloat(total, 'f', -1, 64))
}

// dump prints the configuration as the commands that fail2ban's server would get.
func (s *session) dump() error {
	cfg, err := s.Load(s.File)
	if err != nil {
		return err
	}
	lines := []string{fmt.Sprintf("['set', 'loglevel', '%s']", strings.ToUpper(cfg.Log.Level))}
	var names []string
	for _, c := range cfg.Jails {
		j, err := resolved(cfg, c)
		if err != nil {
			return err
		}
		if !j.Enabled {
			continue
		}
		set := func(key, value string) {
			lines = append(lines, fmt.Sprintf("['set', '%s', '%s', %s]", j.Name, key, value))
		}
		names = append(names, j.Name)
		lines = append(lines, fmt.Sprintf("['add', '%s', 'auto']", j.Name))
		for _, re := range c.Filter.FailRegex {
			set("addfailregex", python(re))
		}
		for _, re := range c.Filter.IgnoreRegex {
			set("addignoreregex", python(re))
		}
		t := j.Thresholds[0]
		set("maxretry", strconv.Itoa(t.MaxRetry))
		set("findtime", fmt.Sprintf("'%d'", control.SecondsOf(t.FindTime)))
		set("bantime", fmt.Sprintf("'%d'", control.SecondsOf(t.BanTime)))
		for _, a := range slices.Concat(c.IgnoreIP, cfg.NeverBan) {
			set("addignoreip", python(a))
		}
	}
	for _, n := range names {
		lines = append(lines, fmt.Sprintf("['start', '%s']", n))
	}
	return s.lines(lines)
}

// python writes a text as a Python literal.
func python(s string) string {
	s = strings.ReplaceAll(control.Escape(s), `\`, `\\`)
	return "'" + strings.ReplaceAll(s, "'", `\'`) + "'"
}
