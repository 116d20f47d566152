package jails

import (
	"math"
	"slices"
	"time"
)

// Increment makes the bans of repeat offenders grow, with the options of fail2ban's
// bantime.increment. It is immutable.
type Increment struct {
	Enabled      bool
	Multipliers  []int         // of the ban time, by the number of earlier bans; the last one repeats. Empty: powers of two
	Factor       float64       // of every grown ban
	MaxTime      time.Duration // of a grown ban; 0 is no limit
	RndTime      time.Duration // up to this much is added to a grown ban, by chance
	OverAllJails bool          // earlier bans in every jail count
}

// maxBanTime is the longest ban that ends; what would be longer is cut to it.
const maxBanTime = 100 * year

// maxDoublings bounds the growth by powers of two.
const maxDoublings = 20

func newIncrement(d IncrementConfig, c *IncrementConfig) Increment {
	if c == nil {
		c = &IncrementConfig{}
	}
	inc := Increment{
		Enabled:      orTrue(d.Enabled),
		Multipliers:  d.Multipliers,
		Factor:       d.Factor,
		MaxTime:      d.MaxTime,
		RndTime:      d.RndTime,
		OverAllJails: d.OverAllJails || c.OverAllJails,
	}
	if c.Enabled != nil {
		inc.Enabled = *c.Enabled
	}
	if c.Multipliers != nil {
		inc.Multipliers = c.Multipliers
	}
	if c.Factor != 0 {
		inc.Factor = c.Factor
	}
	if c.MaxTime != 0 {
		inc.MaxTime = c.MaxTime
	}
	if c.RndTime != 0 {
		inc.RndTime = c.RndTime
	}
	if inc.Factor == 0 {
		inc.Factor = 1
	}
	inc.Multipliers = slices.Clone(inc.Multipliers)
	return inc
}

// BanTime is how long a ban by threshold t lasts for an address with count earlier bans; negative
// is permanent. The first ban lasts exactly the threshold's time. rnd gives numbers in [0, 1) and
// is only called when RndTime is set; it may be nil then too, which adds nothing.
func (j *Jail) BanTime(t Threshold, count int, rnd func() float64) time.Duration {
	inc := &j.Increment
	if t.BanTime < 0 || count <= 0 || !inc.Enabled {
		return t.BanTime
	}
	grown := float64(t.BanTime) * inc.Factor
	if n := len(inc.Multipliers); n > 0 {
		grown *= float64(inc.Multipliers[min(count, n-1)])
	} else {
		// fail2ban's formula never makes a ban shorter; its multipliers may.
		grown = max(math.Ldexp(grown, min(count, maxDoublings)), float64(t.BanTime))
	}
	if inc.MaxTime > 0 {
		grown = min(grown, float64(inc.MaxTime))
	}
	if inc.RndTime > 0 && rnd != nil {
		grown += rnd() * float64(inc.RndTime)
	}
	return time.Duration(min(max(grown, float64(time.Second)), float64(maxBanTime)))
}
