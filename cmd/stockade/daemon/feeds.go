package daemon

import (
	"fmt"
	"time"

	"stockade/cmd/stockade/config"
	"stockade/receiver"
	"stockade/receiver/journald"
	"stockade/receiver/tail"
)

const (
	// idleNotice is how long a tail may have no file before that is reported: a rotation takes less.
	idleNotice = 5 * time.Second
	// lossShown is how long a loss is reported behind the last of it.
	lossShown = 10 * time.Minute
)

// losses are the reasons under which a source counts lines that were gone before they were read, and
// what to say about them.
var losses = map[string]string{
	journald.ReasonSuppressed: "its journald dropped messages by its rate limit (RateLimitBurst= of journald.conf)",
	tail.ReasonRotated:        "a rotation took them away before they were read", // journald's has the same name
}

// lookAtFeeds reports tails without a file, journals that cannot be read, and lines that were gone
// before they were read.
func (h *health) lookAtFeeds(now time.Time, add adder) {
	h.d.inputs.each(func(t Task) {
		switch t := t.(type) {
		case *tail.Tail:
			if s := t.Stats(); !s.Idle.IsZero() && now.Sub(s.Idle) > idleNotice {
				add("input", t.String(), "%s follows no file: %s", t, s.Why)
			}
		case *journald.Input:
			if s := t.Stats(); !s.Idle.IsZero() {
				add("input", t.String(), "%s cannot be read: %s", t, s.Why)
			}
		}
	})
	for _, s := range h.d.registry.Load().All() {
		for _, r := range s.Refused.All() {
			if why := losses[r.Reason]; why != "" && now.Sub(r.Last) < lossShown {
				add("loss", s.Name+" "+r.Reason, "source %s lost lines, %d so far and the last at %s: %s",
					s.Name, r.Count, r.Last.Format(time.RFC3339), why)
			}
		}
	}
}

// warnOfTails reports tails whose files anybody may write: a jail does not count what they say, unless
// it accepts that.
func (b *built) warnOfTails() {
	for i, t := range b.loaded.Config.Tails {
		worth, files := tail.Survey(t)
		if files > 0 && worth.Level < receiver.LevelAddress {
			b.loaded.Report(fmt.Sprintf("tails[%d].paths", i), config.SeverityWarning,
				fmt.Sprintf("its lines are believed as %s, which jails do not count by default: %s", worth.Level, worth.Why))
		}
	}
}

// surveyed is worths before the tails run.
func (b *built) surveyed() map[string]tail.Worth {
	all := make(map[string]tail.Worth)
	for _, t := range b.loaded.Config.Tails {
		all[t.Name], _ = tail.Survey(t)
	}
	return all
}

// trust is the least that the lines of a source are believed, and why, where that depends on more
// than the way they come.
func trust(s *receiver.Source, transport string, worth map[string]tail.Worth) (receiver.Level, string) {
	if s.Tail != "" {
		w := worth[s.Tail]
		return w.Level, w.Why
	}
	return level(transport), ""
}

// worths returns what the files of each tail are worth, by its name.
func (d *daemon) worths() map[string]tail.Worth {
	all := make(map[string]tail.Worth)
	d.inputs.each(func(t Task) {
		if t, ok := t.(*tail.Tail); ok {
			all[t.Name()] = t.Stats().Worth
		}
	})
	return all
}
