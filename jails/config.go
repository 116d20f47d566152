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
	Ports       []string          `yaml:"ports"` // 22, 443/tcp; absent: everything
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
