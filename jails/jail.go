package jails

import (
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"time"
)

// Threshold is one limit of a jail: MaxRetry attempts within FindTime end in a ban of BanTime.
// A negative BanTime is permanent.
type Threshold struct {
	MaxRetry int
	FindTime time.Duration
	BanTime  time.Duration
}

// Origin is what a jail demands of the process that wrote a line. Empty fields demand nothing.
type Origin struct {
	UIDs []uint32
	Unit string
	Exe  string // a glob
}

// Jail is the resolved policy of one jail: the defaults are filled in and the lists are parsed.
// It is immutable and may be used concurrently; its slices must not be written to.
type Jail struct {
	Name        string
	Filter      FilterConfig
	Enabled     bool
	Enforce     bool        // false: a shadow jail, whose bans are only reported
	Apps        []string    // nil: the filter's
	Thresholds  []Threshold // at least one
	Key         Key
	Weights     []int  // by pattern, see Weight
	Widen       *Widen // nil: off
	Increment   Increment
	Scope       string // canonical ports, see ParsePorts; "" is everything
	MinTrust    Trust
	TrustGiven  bool    // min_trust stands in the configuration, so no source may lower it
	Origin      *Origin // nil: the filter's
	Ignore      *AddrSet
	Corroborate int    // how many sources must agree; 0 and 1 are one
	Verdict     string // "drop", "reject", "" for the firewall's
	Notify      []string
}

// New resolves the configuration of one jail. Files in `ignoreip` are read with readFile. The
// error joins everything that Validate would report.
func New(d DefaultsConfig, c Config, readFile func(string) ([]byte, error)) (*Jail, error) {
	var faults []error
	d = d.WithDefaults()
	j := resolve(d, c)
	v := validator{readFile: readFile, report: func(path, message string) {
		faults = append(faults, fmt.Errorf("jail %q: %s: %s", c.Name, path, message))
	}}
	ignored := v.jail("", d, c)
	if len(faults) > 0 {
		return nil, errors.Join(faults...)
	}
	j.Ignore = NewAddrSet(ignored)
	return j, nil
}

// resolve fills in everything but the ignored addresses, without checking.
func resolve(d DefaultsConfig, c Config) *Jail {
	j := &Jail{
		Name:        c.Name,
		Filter:      c.Filter,
		Enabled:     orTrue(c.Enabled),
		Enforce:     orTrue(c.Enforce),
		Apps:        slices.Clone(c.Apps),
		Thresholds:  thresholds(d, c),
		Weights:     slices.Clone(c.Weights),
		Widen:       newWiden(c.Widen),
		Increment:   newIncrement(d.Increment, c.Increment),
		MinTrust:    TrustAddress,
		Corroborate: c.Corroborate,
		Verdict:     c.Verdict,
		Notify:      slices.Clone(c.Notify),
	}
	j.Scope, _ = ParsePorts(c.Ports)
	if c.Key != "" {
		j.Key, _ = parseKey(c.Key)
	}
	if c.MinTrust != "" {
		j.MinTrust, _ = ParseTrust(c.MinTrust)
		j.TrustGiven = true
	}
	if c.Origin != nil {
		j.Origin = &Origin{UIDs: slices.Clone(c.Origin.UID), Unit: c.Origin.Unit, Exe: c.Origin.Exe}
	}
	return j
}

// thresholds are those of the jail: the listed ones, whose gaps the jail's own keys fill, or the
// one that these keys make.
func thresholds(d DefaultsConfig, c Config) []Threshold {
	base := Threshold{MaxRetry: d.MaxRetry, FindTime: d.FindTime, BanTime: d.BanTime}
	if c.MaxRetry != nil {
		base.MaxRetry = *c.MaxRetry
	}
	if c.FindTime != nil {
		base.FindTime = *c.FindTime
	}
	if c.BanTime != nil {
		base.BanTime = *c.BanTime
	}
	if len(c.Thresholds) == 0 {
		return []Threshold{base}
	}
	out := make([]Threshold, len(c.Thresholds))
	for i, t := range c.Thresholds {
		out[i] = base
		if t.MaxRetry != 0 {
			out[i].MaxRetry = t.MaxRetry
		}
		if t.FindTime != 0 {
			out[i].FindTime = t.FindTime
		}
		if t.BanTime != 0 {
			out[i].BanTime = t.BanTime
		}
	}
	return out
}

func orTrue(b *bool) bool { return b == nil || *b }

// Ignored reports whether the jail's `ignoreip` holds the address.
func (j *Jail) Ignored(addr netip.Addr) bool { return j.Ignore.Contains(addr) }

// FindTime is the longest findtime of the thresholds: how long a failure can matter.
func (j *Jail) FindTime() time.Duration {
	var longest time.Duration
	for _, t := range j.Thresholds {
		longest = max(longest, t.FindTime)
	}
	return longest
}

// MaxRetry is the largest maxretry of the thresholds: how many attempts can matter.
func (j *Jail) MaxRetry() int {
	most := 0
	for _, t := range j.Thresholds {
		most = max(most, t.MaxRetry)
	}
	return most
}
