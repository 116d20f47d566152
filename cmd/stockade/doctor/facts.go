package doctor

import (
	"net/netip"
	"time"
)

// Facts are what a running daemon knows of itself and of its kernel. The counts are since its start.
type Facts struct {
	Now     time.Time
	Started time.Time

	Listeners []Listener
	Sources   []Source
	Jails     []Jail
	Degraded  []Degraded
	Lines     Lines

	Backend  string // nftables, observe
	Observe  bool   // bans are only recorded, on purpose or not
	Table    string // "inet stockade"
	Flaws    []string
	FlawsErr error    // why the table could not be looked at; nil: it could
	Bypass   []string // what may let packets pass our chains by, a sentence each
	Foreign  *Ruleset // nil: it could not be read
	NoRules  error    // why Foreign is nil

	Bans    int // in force, of jails that enforce
	Sampled []Ban
}

// Lines are the counts of lines by what became of them.
type Lines struct{ All, Ignored, Refused, Dropped, Matched, Unmatched, Failures int64 }

// Listener is a place where lines come in.
type Listener struct {
	Name        string
	KernelDrops int64
	Refused     []Refusal
}

// Refusal is a reason and how often it was given.
type Refusal struct {
	Reason string
	Count  int64
	Last   time.Time
}

// Source is one that may send.
type Source struct {
	Name        string
	From        string // "listener local"
	Lines       int64
	Failures    int64
	LastSeen    time.Time // zero: never
	Refused     []Refusal
	Jails       []string // that it may feed; enabled ones
	Quarantined bool
	Pending     int64 // bans that wait for its quota
}

// Jail is one configured jail.
type Jail struct {
	Name     string
	Enabled  bool
	Enforce  bool
	Failures int64 // counted, ever
	Banned   int   // now
	MaxRetry int
	FindTime time.Duration
}

// Degraded is one entry of the daemon's status.
type Degraded struct {
	Name, Cause string
}

// Ban is a ban in force and what the kernel says of it.
type Ban struct {
	Prefix  netip.Prefix
	Jail    string
	Present bool
	Packets uint64
}
