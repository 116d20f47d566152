package jails

import (
	"fmt"
	"net/netip"
	"os"
	"path"
	"strings"
	"time"
)

// The limits of a jail's numbers.
const (
	MinFindTime    = time.Second
	MaxFindTime    = year
	MinMaxRetry    = 1
	MaxMaxRetry    = 100000
	MinBanTime     = time.Second
	MaxBanTime     = maxBanTime
	MaxMultiplier  = 1000000
	MaxCorroborate = 100
	MaxNameBytes   = 64
)

// Validate reports every fault of the defaults and of the jails, each with its path in the merged
// configuration, such as `jails[2].findtime`. Files named in `ignoreip` are read. Whether a filter
// exists and its patterns compile is for the caller to check.
func Validate(d DefaultsConfig, cfgs []Config, report func(path, message string)) {
	v := validator{readFile: os.ReadFile, report: report}
	d = d.WithDefaults()
	v.maxRetry("defaults.maxretry", d.MaxRetry)
	v.findTime("defaults.findtime", d.FindTime)
	v.banTime("defaults.bantime", d.BanTime)
	v.increment("defaults.increment", &d.Increment)
	first := map[string]int{}
	for i, c := range cfgs {
		at := fmt.Sprintf("jails[%d]", i)
		v.jail(at+".", d, c)
		if earlier, dup := first[c.Name]; dup && c.Name != "" {
			report(at+".name", fmt.Sprintf("jail %q stands here a second time: jails[%d] has the name", c.Name, earlier))
			continue
		}
		first[c.Name] = i
	}
}

type validator struct {
	readFile func(string) ([]byte, error)
	report   func(path, message string)
}

// jail checks one jail whose keys begin with at, and returns its ignored prefixes.
func (v *validator) jail(at string, d DefaultsConfig, c Config) []netip.Prefix {
	v.name(at+"name", c.Name)
	if c.Filter.Name == "" && len(c.Filter.FailRegex) == 0 {
		v.report(at+"filter", fmt.Sprintf("jail %q has no filter: name one, or give failregex", c.Name))
	}
	if c.MaxRetry != nil {
		v.maxRetry(at+"maxretry", *c.MaxRetry)
	}
	if c.FindTime != nil {
		v.findTime(at+"findtime", *c.FindTime)
	}
	if c.BanTime != nil {
		v.banTime(at+"bantime", *c.BanTime)
	}
	if c.Increment != nil {
		v.increment(at+"increment", c.Increment)
	}
	v.thresholds(at, d, c)
	v.widening(at, c)
	for i, p := range c.Ports {
		if _, err := ParsePorts([]string{p}); err != nil {
			v.report(fmt.Sprintf("%sports[%d]", at, i), err.Error())
		}
	}
	if c.MinTrust != "" {
		if _, err := ParseTrust(c.MinTrust); err != nil {
			v.report(at+"min_trust", err.Error()+hint(c.MinTrust, trustNames[1:]))
		}
	}
	v.origin(at+"origin", c.Origin)
	for i, app := range c.Apps {
		if _, err := path.Match(app, ""); err != nil || app == "" {
			v.report(fmt.Sprintf("%sapps[%d]", at, i), fmt.Sprintf("%q is not an app name or a pattern of one", cut(app)))
		}
	}
	if c.Corroborate < 0 || c.Corroborate > MaxCorroborate {
		v.report(at+"corroborate", fmt.Sprintf("\"%d\" must be between 1 and %d", c.Corroborate, MaxCorroborate))
	}
	if verdicts := []string{"drop", "reject"}; c.Verdict != "" && c.Verdict != verdicts[0] && c.Verdict != verdicts[1] {
		v.report(at+"verdict", fmt.Sprintf("%q must be drop or reject%s", cut(c.Verdict), hint(c.Verdict, verdicts)))
	}
	var ignored []netip.Prefix
	for i, entry := range c.IgnoreIP {
		if IsName(strings.ToLower(strings.TrimSuffix(entry, "."))) {
			continue // looked up while serving
		}
		ignored = append(ignored, ParseAddrList([]string{entry}, v.readFile, func(_ int, message string) {
			v.report(fmt.Sprintf("%signoreip[%d]", at, i), message)
		})...)
	}
	return ignored
}

func (v *validator) thresholds(at string, d DefaultsConfig, c Config) {
	for i, t := range c.Thresholds {
		at := fmt.Sprintf("%sthresholds[%d]", at, i)
		if t.MaxRetry != 0 {
			v.maxRetry(at+".maxretry", t.MaxRetry)
		}
		if t.FindTime != 0 {
			v.findTime(at+".findtime", t.FindTime)
		}
		if t.BanTime != 0 {
			v.banTime(at+".bantime", t.BanTime)
		}
		for k, u := range thresholds(d, c)[:i] {
			if mine := thresholds(d, c)[i]; u.MaxRetry == mine.MaxRetry && u.FindTime == mine.FindTime {
				v.report(at, fmt.Sprintf("maxretry %d within %s stands in thresholds[%d] already", u.MaxRetry, u.FindTime, k))
			}
		}
	}
}

func (v *validator) name(at, name string) {
	if !validName(name) {
		message := fmt.Sprintf("jail name %q must be a lower-case letter or digit, then such or \"-\", at most %d bytes", cut(name), MaxNameBytes)
		if lower := strings.ReplaceAll(strings.ToLower(name), "_", "-"); lower != name && validName(lower) {
			message += fmt.Sprintf("; did you mean %q?", lower)
		}
		v.report(at, message)
	}
}

func validName(s string) bool {
	if s == "" || len(s) > MaxNameBytes || s[0] == '-' {
		return false
	}
	for _, r := range []byte(s) {
		if (r < 'a' || r > 'z') && (r < '0' || r > '9') && r != '-' {
			return false
		}
	}
	return true
}

func (v *validator) maxRetry(at string, n int) {
	if n < MinMaxRetry || n > MaxMaxRetry {
		v.report(at, fmt.Sprintf("maxretry \"%d\" must be between %d and %d", n, MinMaxRetry, MaxMaxRetry))
	}
}

func (v *validator) findTime(at string, t time.Duration) {
	if t < MinFindTime || t > MaxFindTime {
		v.report(at, fmt.Sprintf("findtime %q must be between 1s and 1y", t))
	}
}

func (v *validator) banTime(at string, t time.Duration) {
	if t >= 0 && (t < MinBanTime || t > MaxBanTime) {
		v.report(at, fmt.Sprintf("bantime %q must be between 1s and 100y, or -1 for a permanent ban", t))
	}
}

func (v *validator) increment(at string, c *IncrementConfig) {
	for i, m := range c.Multipliers {
		if m < 1 || m > MaxMultiplier {
			v.report(fmt.Sprintf("%s.multipliers[%d]", at, i), fmt.Sprintf("multiplier \"%d\" must be between 1 and %d", m, MaxMultiplier))
		}
	}
	if !(c.Factor >= 0 && c.Factor <= MaxMultiplier) {
		v.report(at+".factor", fmt.Sprintf("factor \"%g\" must be above 0 and at most %d", c.Factor, MaxMultiplier))
	}
	if c.MaxTime != 0 && (c.MaxTime < MinBanTime || c.MaxTime > MaxBanTime) {
		v.report(at+".maxtime", fmt.Sprintf("maxtime %q must be between 1s and 100y", c.MaxTime))
	}
	if c.RndTime < 0 || c.RndTime > MaxFindTime {
		v.report(at+".rndtime", fmt.Sprintf("rndtime %q must be between 0s and 1y", c.RndTime))
	}
}

func (v *validator) origin(at string, c *OriginConfig) {
	if c == nil {
		return
	}
	if c.Exe != "" && len(c.UID) == 0 {
		v.report(at+".exe", fmt.Sprintf("exe %q needs a uid beside it: anyone can run that program", cut(c.Exe)))
	}
	if _, err := path.Match(c.Exe, ""); err != nil {
		v.report(at+".exe", fmt.Sprintf("%q is not a path or a pattern of one", cut(c.Exe)))
	}
	if len(c.UID) == 0 && c.Unit == "" && c.Exe == "" {
		v.report(at, "origin demands nothing: give uid, unit or exe")
	}
}
