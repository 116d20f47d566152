package pipeline

import (
	"time"

	"stockade/receiver"
	"stockade/receiver/decode"
)

const (
	liveWithin   = time.Minute        // a line this late is live: it counts when it was received
	queueAtMost  = 7 * 24 * time.Hour // no sender's queue is older; a clock that far off is a wrong clock
	relearnEvery = time.Hour
	lowerAfter   = 30 * time.Second // how long a much smaller offset must hold before it is believed
	raiseAfter   = time.Minute      // and a constant larger one
	staleAfter   = 5 * time.Minute  // of late lines alone: the source is reported
)

// senderClock tells a sender's late lines from its wrong clock or zone. The offset of a line is
// received - stamp. The base is the smallest offset of the live hour: it holds what clock, zone
// and network add to every line. What exceeds the base is how long the line waited in a queue.
//
// One line can never move the base by more than a minute: a forged stamp in the future would make
// all honest lines look late. A jump down must hold for a while, uncontradicted by other lines; a
// jump up must be constant for a while, as no queue is.
type senderClock struct {
	known bool
	base  time.Duration
	delay time.Duration // of the last line

	hour    time.Time     // when the base was last learned
	hourMin time.Duration // the smallest offset of a live line since
	hourAny bool

	lower jump // offsets far below the base
	raise jump // offsets far above it

	stale time.Time // since when every line is late; zero: not
}

// jump is a run of lines whose offsets are alike and far from the base.
type jump struct {
	since    time.Time
	min, max time.Duration
	lines    int
}

func (j *jump) add(now time.Time, offset time.Duration) {
	if j.lines == 0 {
		*j = jump{since: now, min: offset, max: offset}
	}
	j.min, j.max = min(j.min, offset), max(j.max, offset)
	j.lines++
}

// holds reports whether the offsets were alike for so long.
func (j *jump) holds(now time.Time, long time.Duration) bool {
	return j.lines >= 3 && j.max-j.min < liveWithin && now.Sub(j.since) >= long
}

// late returns how long before it was received a line counts.
func (c *senderClock) late(e *receiver.Entry) time.Duration {
	if e.Stamp.IsZero() {
		return 0
	}
	offset := e.Received.Sub(e.Stamp)
	if e.Form == decode.File || e.Peer.Level == receiver.LevelKernel {
		// This host's own clock. Only what waited in a file or in the journal is late.
		if offset <= liveWithin || e.Form != decode.File && e.Form != decode.Journal {
			return 0
		}
		c.delay = offset
		return offset
	}
	if !c.known {
		c.learn(e, offset)
	}
	late := offset - c.base
	switch {
	case late > liveWithin:
		c.lag(e.Received, offset)
	case late < -liveWithin:
		c.early(e.Received, offset)
	default:
		c.live(e.Received, offset)
	}
	c.delay = 0
	if late = offset - c.base; late > liveWithin {
		c.delay = late
	}
	return c.delay
}

// learn takes the first line of a sender. With a zone, an offset that a queue explains is a queue.
func (c *senderClock) learn(e *receiver.Entry, offset time.Duration) {
	c.known, c.base, c.hour = true, offset, e.Received
	zoned := !e.ZoneGuessed || e.Source.Timezone != ""
	if zoned && offset.Abs() > liveWithin && offset.Abs() <= queueAtMost {
		c.base = 0 // an early line is live whatever the base
	}
}

func (c *senderClock) live(now time.Time, offset time.Duration) {
	c.lower, c.stale = jump{}, time.Time{}
	c.base = min(c.base, offset)
	if !c.hourAny || offset < c.hourMin {
		c.hourMin, c.hourAny = offset, true
	}
	if now.Sub(c.hour) >= relearnEvery {
		c.base, c.hour, c.hourAny = c.hourMin, now, false
	}
}

func (c *senderClock) early(now time.Time, offset time.Duration) {
	c.stale = time.Time{}
	if c.lower.add(now, offset); c.lower.holds(now, lowerAfter) {
		c.move(now, c.lower.min)
	}
}

func (c *senderClock) lag(now time.Time, offset time.Duration) {
	c.lower = jump{}
	if c.stale.IsZero() {
		c.stale = now
	}
	c.raise.add(now, offset)
	switch {
	case c.raise.max-c.raise.min >= liveWithin:
		c.raise = jump{} // a queue that is being worked off, not a clock
	case c.raise.holds(now, raiseAfter):
		c.move(now, c.raise.min)
	}
}

func (c *senderClock) move(now time.Time, base time.Duration) {
	*c = senderClock{known: true, base: base, hour: now}
}
