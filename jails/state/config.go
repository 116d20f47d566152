package state

import (
	"fmt"
	"time"
)

// Config is `memory`: how much is remembered, at most. What matters least is forgotten first.
type Config struct {
	Windows   int           `yaml:"windows"`   // addresses with recent failures, by jail; each takes about 0.9 KB
	Offenders int           `yaml:"offenders"` // addresses with earlier bans, by jail
	Evidence  int           `yaml:"evidence"`  // bytes of lines kept with failures and bans
	History   time.Duration `yaml:"history"`   // how long an earlier ban is remembered
}

// The limits of Config.
const (
	minRows          = 1000
	maxRows          = 1 << 24
	minEvidence      = 1 << 20
	maxEvidenceBytes = 1 << 30
	minHistory       = time.Hour
	maxHistory       = 10 * 31557600 * time.Second
)

// Validate reports every fault with its path below `memory`. Zeros stand for the defaults.
func (c Config) Validate(report func(path, message string)) {
	rows := func(key string, n int) {
		if n != 0 && (n < minRows || n > maxRows) {
			report("memory."+key, fmt.Sprintf("%s \"%d\" must be between %d and %d", key, n, minRows, maxRows))
		}
	}
	rows("windows", c.Windows)
	rows("offenders", c.Offenders)
	if n := c.Evidence; n != 0 && (n < minEvidence || n > maxEvidenceBytes) {
		report("memory.evidence", fmt.Sprintf("evidence \"%d\" must be between %d and %d bytes", n, minEvidence, maxEvidenceBytes))
	}
	if t := c.History; t != 0 && (t < minHistory || t > maxHistory) {
		report("memory.history", fmt.Sprintf("history %q must be between 1h and 10y", t))
	}
}

// Limit puts the limits of the configuration into the options.
func (o *Options) Limit(c Config) {
	o.MaxWindows, o.MaxOffenders, o.MaxEvidence, o.Retention = c.Windows, c.Offenders, int64(c.Evidence), c.History
}
