package pipeline

import (
	"encoding/json"
	"errors"
	"fmt"
	"hash/maphash"
	"io/fs"
	"os"
	"path/filepath"
	"sync"
	"time"

	"stockade/receiver"
	"stockade/receiver/statefile"
)

// opening is how many first lines of a connection may come again on it: more than a send buffer holds.
const opening = 512

// history is what is known of a source from its earlier lines.
type history struct {
	mu    sync.Mutex
	clock senderClock
	saved senderClock // as in the file

	// The last lines, as hashes of peer and line. A sender repeats on a new connection what it does not
	// know to have arrived.
	tick uint64 // counts lines
	sent sentLines

	newest *connection
	broke  bool // a connection broke, and none has begun since
}

// connection is one stream of a source. Its history's mutex guards it.
type connection struct {
	peer        uint64 // hash of its address, where that is the identity
	began, last uint64 // ticks of its lines
	end         connectionEnd

	// After a break rsyslogd may send what its buffer held and then the whole batch, with the same
	// lines again on the same connection: it begins anew with the first.
	resumed bool
	first   []uint64 // its first lines
	again   int      // of which so many have just come again, in their order
}

type connectionEnd uint8

const (
	stillOpen connectionEnd = iota
	broken                  // without the sender's consent: it will repeat
	left                    // the sender ended it: it will not
)

// connect notes a new connection of a peer.
func (h *history) connect(p *receiver.Peer) *connection {
	c := &connection{}
	if p.Level == receiver.LevelAddress {
		c.peer = maphash.Comparable(shardSeed, p.Addr.Addr())
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	c.began, c.resumed = h.tick, h.broke
	h.newest = c
	h.broke = false
	return h.newest
}

func (h *history) ended(c *connection, how connectionEnd) {
	h.mu.Lock()
	defer h.mu.Unlock()
	c.end = how
	switch {
	case how != broken:
	case h.newest == c:
		h.broke = true
	default: // the next one began before we knew
		h.newest.resumed = true
	}
}

// late returns how long before it was received a line of the source counts. A line of a connection that
// an earlier one brought already counts no more: it is repeated. A nil connection repeats nothing.
func (h *history) late(e *receiver.Entry, c *connection) (late time.Duration, repeated bool) {
	sum, known := uint64(0), c != nil && repeatable(e)
	if known {
		sum = c.sum(e)
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	if known && h.repeated(sum, e.Stamp, c) {
		return 0, true
	}
	return h.clock.late(e), false
}

// repeatable reports whether it can be told if a line came before. One without a stamp is never a
// repetition: nothing tells it from the next of its kind.
func repeatable(e *receiver.Entry) bool {
	return !e.Stamp.IsZero() && (e.Peer.Level == receiver.LevelAddress || e.Peer.Level == receiver.LevelTLS)
}

// repeated notes a line of a connection and reports whether an earlier connection brought it. Each
// line of the earlier connection is repeated once, so that equal lines of one second still count as
// many. The caller holds the mutex.
func (h *history) repeated(sum uint64, stamp time.Time, c *connection) bool {
	h.tick++
	c.last = h.tick
	if c.beginsAnew(sum) {
		return true
	}
	again := !h.sent.alone(c) && c.owes(h.sent.of(sum, c), stamp)
	h.sent.note(sum, c)
	return again
}

// owes reports whether a line that c brings repeats one of those equal to it, and counts it.
func (c *connection) owes(l *sentLine, stamp time.Time) bool {
	if l.from != c {
		l.owed = 0
		if c.follows(l.from, stamp) {
			l.owed = l.times
		} else {
			l.times = 0
		}
		l.from = c
	}
	if l.owed > 0 {
		l.owed--
		return true
	}
	l.count()
	return false
}

// beginsAnew reports whether the connection repeats its own first lines.
func (c *connection) beginsAnew(sum uint64) bool {
	if n := len(c.first); c.resumed && n > 0 {
		// The same line at once is another attempt, unless it is in its place.
		if c.again < n && sum == c.first[c.again] && (c.again > 0 || sum != c.first[n-1]) {
			c.again++
			return true
		}
		c.again = 0
	}
	if len(c.first) < opening {
		c.first = append(c.first, sum)
	} else if c.last-c.began > remembered {
		c.resumed = false // it has caught up
	}
	return false
}

// follows reports whether c may repeat what came on old: old broke, or is open and has been silent
// since c began (we do not know yet that it is dead), or the stamp is so fine that equal is the same.
func (c *connection) follows(old *connection, stamp time.Time) bool {
	return old.end == broken || old.end == stillOpen && (old.last <= c.began || stamp.Nanosecond() != 0)
}

// sum is a hash of the peer and the line, without its structured data: a sender may number what it
// sends there (RFC 5424 section 7.3.1).
func (c *connection) sum(e *receiver.Entry) uint64 {
	at, ok := within(e.Raw, e.SD)
	if !ok {
		return c.peer ^ maphash.Bytes(shardSeed, e.Raw)
	}
	var h maphash.Hash
	h.SetSeed(shardSeed)
	_, _ = h.Write(e.Raw[:at])
	_, _ = h.Write(e.Raw[int(at)+len(e.SD):])
	return c.peer ^ h.Sum64()
}

// histories are those of all sources, by name. They outlive a reload.
type histories struct {
	mu sync.Mutex
	by map[string]*history
}

func (hs *histories) of(source string) *history {
	hs.mu.Lock()
	defer hs.mu.Unlock()
	h := hs.by[source]
	if h == nil {
		if hs.by == nil {
			hs.by = make(map[string]*history)
		}
		h = &history{}
		hs.by[source] = h
	}
	return h
}

// Skew returns how far a source's stamps are from the time its lines arrive, and how long its last
// line waited on the way; false for a source whose lines had no stamp yet.
func (p *Pipeline) Skew(source string) (skew, delay time.Duration, known bool) {
	h := p.histories.of(source)
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.clock.base, h.clock.delay, h.clock.known
}

// faults are the sources of which only late lines come.
func (hs *histories) faults(now time.Time) []Fault {
	hs.mu.Lock()
	defer hs.mu.Unlock()
	var list []Fault
	for name, h := range hs.by {
		h.mu.Lock()
		if since := h.clock.stale; !since.IsZero() && now.Sub(since) >= staleAfter {
			list = append(list, Fault{"stale", fmt.Sprintf(
				"all lines of source %s are late, the last by %s: its queue lags behind, and late failures ban nobody", name, h.clock.delay.Round(time.Second)), since})
		}
		h.mu.Unlock()
	}
	return list
}

// historyFile keeps the clocks of the sources over a restart: a queue that a sender works off when
// we come back must be told from its clock.
const historyFile = "sources.json"

type savedClock struct {
	Base time.Duration `json:"base"` // nanoseconds
}

// load reads the clocks that an earlier run saved. A missing file is no error.
func (hs *histories) load(dir string) error {
	text, err := os.ReadFile(filepath.Join(dir, historyFile))
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	saved := make(map[string]savedClock)
	if err == nil {
		err = json.Unmarshal(text, &saved)
	}
	if err != nil {
		return fmt.Errorf("read the clocks of the sources: %w", err)
	}
	for name, s := range saved {
		h := hs.of(name)
		h.clock = senderClock{known: true, base: s.Base, hour: time.Now()}
		h.saved = h.clock
	}
	return nil
}

// unsaved reports whether a clock is far from what the file says: after a crash a queue would be
// taken for the sender's clock.
func (hs *histories) unsaved() bool {
	hs.mu.Lock()
	defer hs.mu.Unlock()
	for _, h := range hs.by {
		h.mu.Lock()
		c, s := h.clock, h.saved
		h.mu.Unlock()
		if c.known && (!s.known || (c.base-s.base).Abs() > liveWithin) {
			return true
		}
	}
	return false
}

// save writes the clocks: a new file in place of the old one.
func (hs *histories) save(dir string) error {
	saved := make(map[string]savedClock)
	hs.mu.Lock()
	for name, h := range hs.by {
		h.mu.Lock()
		if h.clock.known {
			saved[name] = savedClock{h.clock.base}
			h.saved = h.clock
		}
		h.mu.Unlock()
	}
	hs.mu.Unlock()
	text, err := json.Marshal(saved)
	if err != nil {
		return err
	}
	if err := statefile.Replace(filepath.Join(dir, historyFile), text, 0o600); err != nil {
		return fmt.Errorf("save the clocks of the sources: %w", err)
	}
	return nil
}
