// Package state keeps the windows, bans and offenders of all jails in go-memdb and on disk.
//
// One Store holds everything. Failures of one address must be recorded by one goroutine at a
// time (the pipeline shards by address); different addresses may be recorded concurrently.
// Readers may come from anywhere and see a consistent view.
package state

import (
	"net/netip"
	"time"
)

// Failure is one counted match.
type Failure struct {
	Jail     string
	Prefix   netip.Prefix // what is counted: a /32, a /64, or wider where the filter says so
	Addr     netip.Addr   // the address as the line named it
	Time     time.Time    // when it counts
	Received time.Time
	Attempts int    // at least 1
	Alert    bool   // a threshold begins no ban: it is told in Outcome.Alert, and the window is emptied
	Event    uint32 // stands for the host, app, pid, text and stamp of the line; of two sources it counts once; 0: not known
	Evidence Evidence
}

// Evidence is why: it is kept with the window and with the ban.
type Evidence struct {
	Time     time.Time
	Received time.Time
	Source   string
	Trust    string // the level's name
	Origin   string // the writer as vouched for, "" when unknown
	User     string
	Pattern  int
	Raw      string // at most 1,024 bytes
}

// Ban is one ban of one prefix in one jail. A *Ban is immutable.
type Ban struct {
	Jail     string
	Prefix   netip.Prefix
	Scope    string // the jail's ports in canonical form; "" is everything
	Start    time.Time
	End      time.Time // zero: permanent
	Reason   string
	Source   string // the source of the deciding failure, or "operator"
	Trust    string
	Failures int    // in the window when the ban began; 0 for a manual ban
	Count    int    // how many bans of the prefix in this jail, this one included
	Enforced bool   // read back from the kernel
	Shadow   bool   // of a jail that does not enforce: reported, never effective
	Verdict  string // the jail's: "drop", "reject", "" for the firewall's
	Seq      uint64 // of the journal record that holds the ban, for WaitDurable; 0 without a journal
	Evidence []Evidence
}

// Permanent reports whether the ban never ends.
func (b *Ban) Permanent() bool { return b.End.IsZero() }

// Active reports whether the ban holds at now.
func (b *Ban) Active(now time.Time) bool { return b.End.IsZero() || now.Before(b.End) }

// Window is the recent failures of one prefix in one jail. A *Window is immutable.
type Window struct {
	Jail     string
	Prefix   netip.Prefix
	Failures []Evidence // oldest first, at most 10 kept
	Count    int        // attempts inside findtime
	First    time.Time
	Last     time.Time
}

// Offender is what is remembered of a prefix that was banned in a jail. An *Offender is immutable.
type Offender struct {
	Jail   string
	Prefix netip.Prefix
	Count  int       // bans so far
	Last   time.Time // start of the latest one

	Evidence []Evidence // of the latest one when it has ended, for 7 days
}

// JailCounts are the numbers of `status`.
type JailCounts struct {
	FailedCurrent int // prefixes with a non-empty window
	FailedTotal   int64
	BannedCurrent int
	BannedTotal   int64
}
