package jails

import "time"

// Config is one entry of `jails`.
type Config struct {
	Name        string            `yaml:"name"`
	Filter      FilterConfig      `yaml:"filter"`
	Enabled     *bool             `yaml:"enabled"` // absent: true
	Enforce     *bool             `yaml:"enforce"` // absent: true; false is a shadow jail
	Apps        []string          `yaml:"apps"`    // absent: the filter's
	MaxRetry    *int              `yaml:"maxretry"`
	FindTime    *time.Duration    `yaml:"findtime"`
	BanTime     *time.Duration    `yaml:"bantime"` // negative: permanent
	Increment   *IncrementConfig  `yaml:"increment"`
	Thresholds  []ThresholdConfig `yaml:"thresholds"`
	Key         string            `yaml:"key"`     // address, prefix, user; absent: address
	Weights     []int             `yaml:"weights"` // by pattern, from 0: how many failures a match is; absent: 1
	Widen       *WidenConfig      `yaml:"widen"`   // absent: a ban is never wider than what was counted
	Ports       []string          `yaml:"ports"`   // 22, 443/tcp; absent: everything
	MinTrust    string            `yaml:"min_trust"`
	Origin      *OriginConfig     `yaml:"origin"`
	IgnoreIP    []string          `yaml:"ignoreip"`
	Corroborate int               `yaml:"corroborate"`
	Verdict     string            `yaml:"verdict"` // drop, reject; absent: the firewall's
	Notify      []string          `yaml:"notify"`
}

// FilterConfig names a filter or holds one. Its scalar form is a catalogue name, or
// fail2ban:PATH[options].
type FilterConfig struct {
	Name        string   `yaml:",scalar"`
	FailRegex   []string `yaml:"failregex"`
	IgnoreRegex []string `yaml:"ignoreregex"`
	PrefRegex   string   `yaml:"prefregex"`
	MaxLines    int      `yaml:"maxlines"`
	DatePattern string   `yaml:"datepattern"`
}

// IncrementConfig makes the bans of repeat offenders grow.
type IncrementConfig struct {
	Enabled      *bool         `yaml:"enabled"`
	Multipliers  []int         `yaml:"multipliers"`
	Factor       float64       `yaml:"factor"`
	MaxTime      time.Duration `yaml:"maxtime"`
	RndTime      time.Duration `yaml:"rndtime"`
	OverAllJails bool          `yaml:"overalljails"`
}

// ThresholdConfig is one of several thresholds of a jail.
type ThresholdConfig struct {
	MaxRetry int           `yaml:"maxretry"`
	FindTime time.Duration `yaml:"findtime"`
	BanTime  time.Duration `yaml:"bantime"`
}

// WidenConfig bans the network of several banned addresses.
type WidenConfig struct {
	V4      int `yaml:"v4"`      // bits; absent: 24
	V6      int `yaml:"v6"`      // bits; absent: 48
	Members int `yaml:"members"` // how many banned addresses it takes; absent: 8
}

// OriginConfig is what a jail demands of the process that wrote a line.
type OriginConfig struct {
	UID  []uint32 `yaml:"uid"`
	Unit string   `yaml:"unit"`
	Exe  string   `yaml:"exe"`
}

// DefaultsConfig is `defaults`: what a jail has unless it says otherwise.
type DefaultsConfig struct {
	MaxRetry  int             `yaml:"maxretry"`
	FindTime  time.Duration   `yaml:"findtime"`
	BanTime   time.Duration   `yaml:"bantime"`
	Increment IncrementConfig `yaml:"increment"`
}
