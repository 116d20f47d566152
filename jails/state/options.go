package state

import (
	"log/slog"
	"time"

	"stockade/jails"
)

// Options are what a Store is opened with. The zero value is a store in memory only.
type Options struct {
	// Dir is the folder of the snapshots and the journal, made when missing. "" keeps nothing.
	Dir string
	// Now is the clock; nil is time.Now. A replay sets it to the time of its lines. Times with a
	// monotonic reading make windows and bans immune to steps of the wall clock.
	Now func() time.Time
	// Log gets the store's own events; nil discards them.
	Log *slog.Logger
	// MaxWindows is how many windows are kept; 0 means 262,144.
	MaxWindows int
	// MaxOffenders is how many prefixes and jails with earlier bans are remembered; 0 means 524,288.
	MaxOffenders int
	// MaxEvidence bounds the raw lines kept with windows and bans, in bytes; while there are more,
	// new evidence is kept without its line. 0 means 64 MiB.
	MaxEvidence int64
	// SnapshotEvery is the time between snapshots; 0 means 5 minutes.
	SnapshotEvery time.Duration
	// Retention is how long an offender is remembered after its last ban; 0 means 30 days.
	Retention time.Duration
	// Enforced says of the bans that Open finds that the kernel holds them: whoever opens the store
	// makes that true before anybody asks for them, and marks those for which it failed. Marking a
	// million bans one by one would write them all anew.
	Enforced bool
	// Admit, when set, is asked before a failure begins a ban; false leaves the window as it is and
	// the ban is handed out in Outcome.Held. It must be quick and must not call the Store.
	Admit func(j *jails.Jail, f Failure, b *Ban) bool
	// Ended, when set, is told of each ban that ends because its time is over; of those that ended
	// while no store was open Recovery tells. It must be quick and must not call the Store.
	Ended func(b *Ban)
}

const (
	defaultMaxWindows    = 1 << 18
	defaultMaxOffenders  = 1 << 19
	defaultMaxEvidence   = 64 << 20
	defaultSnapshotEvery = 5 * time.Minute
	defaultRetention     = 30 * 24 * time.Hour
)

func (o Options) withDefaults() Options {
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	if o.MaxWindows <= 0 {
		o.MaxWindows = defaultMaxWindows
	}
	if o.MaxOffenders <= 0 {
		o.MaxOffenders = defaultMaxOffenders
	}
	if o.MaxEvidence <= 0 {
		o.MaxEvidence = defaultMaxEvidence
	}
	if o.SnapshotEvery <= 0 {
		o.SnapshotEvery = defaultSnapshotEvery
	}
	if o.Retention <= 0 {
		o.Retention = defaultRetention
	}
	return o
}
