package jails

import "time"

// The units that Go's durations lack; a year is fail2ban's, 365.25 days.
const (
	day  = 24 * time.Hour
	year = 31557600 * time.Second
)

// Defaults is the `defaults` block of an empty configuration.
func Defaults() DefaultsConfig { return DefaultsConfig{}.WithDefaults() }

// WithDefaults fills the fields that are zero. Multipliers that are empty but not nil stay empty.
func (d DefaultsConfig) WithDefaults() DefaultsConfig {
	if d.MaxRetry == 0 {
		d.MaxRetry = 5
	}
	if d.FindTime == 0 {
		d.FindTime = 10 * time.Minute
	}
	if d.BanTime == 0 {
		d.BanTime = time.Hour
	}
	if d.Increment.Enabled == nil {
		enabled := true
		d.Increment.Enabled = &enabled
	}
	if d.Increment.Multipliers == nil {
		d.Increment.Multipliers = []int{1, 4, 24, 168} // 1h, 4h, 1d, 1w
	}
	if d.Increment.Factor == 0 {
		d.Increment.Factor = 1
	}
	return d
}
