package notify

import (
	"net/netip"
	"time"
)

// Kind is what an event is about.
type Kind string

// The kinds of events. Start and Stop are of the daemon, for hooks; channels have to ask for them.
const (
	KindBan        Kind = "ban"
	KindUnban      Kind = "unban"
	KindQuarantine Kind = "quarantine"
	KindDegraded   Kind = "degraded"
	KindSilent     Kind = "silent"
	KindAlert      Kind = "alert" // something to look at: nobody is banned
	KindStart      Kind = "start"
	KindStop       Kind = "stop"
	kindTest       Kind = "test"
)

var (
	kinds        = []Kind{KindBan, KindUnban, KindQuarantine, KindDegraded, KindSilent, KindAlert, KindStart, KindStop}
	defaultKinds = kinds[:6]
)

// Event is something that happened. Which fields are set depends on the kind. Its texts may come from
// an attacker and need not be clean. The slices are not written to after Post.
type Event struct {
	Kind Kind
	Time time.Time

	// Of a ban or unban.
	Jail     string
	Prefix   netip.Prefix
	Start    time.Time
	End      time.Time // zero: permanent
	Source   string
	Trust    string
	Reason   string
	Failures int
	Recorded bool     // the ban is recorded and not enforced
	Evidence []string // lines that led to it, oldest first

	// Of a quarantine, a degraded state, a silent source or an alert.
	Name  string
	Cause string
	Over  bool // it ended

	Channels []string // by name, which are told; nil: all
}

// Ban is a ban that holds, for channels that write all of them.
type Ban struct {
	Prefix netip.Prefix
	Jail   string
	End    time.Time // zero: permanent
}
