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
)

// remembered is how many of a source's last lines are known again when a sender repeats them.
const remembered = 4096

// history is what is known of a source from its earlier lines.
type history struct {
	mu    sync.Mutex
	clock senderClock

	// The last lines, as hashes of (stamp, host, app, pid, text). They are looked at after a
	// connection broke: a sender then repeats what it does not know to have arrived.
	ring  []uint64
	next  int
	count map[uint64]uint16
	broke bool // a connection broke, and no other has begun since
}

// noteBroken says that a connection of the source broke.
func (h *history) noteBroken() {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.broke = true
}

// broken reports, once, whether a connection of the source broke.
func (h *history) broken() bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	was := h.broke
	h.broke = false
	return was
}

// at returns when a line of the source counts.
func (h *history) at(e *receiver.Entry) time.Time {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.clock.at(e)
}

// repeated notes a line and reports whether it is one of the last.
func (h *history) repeated(e *receiver.Entry) bool {
	sum := lineSum(e)
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.ring == nil {
		h.ring = make([]uint64, 0, remembered)
		h.count = make(map[uint64]uint16, remembered)
	}
	seen := h.count[sum] > 0
	if len(h.ring) < remembered {
		h.ring = append(h.ring, sum)
	} else {
		if old := h.ring[h.next]; h.count[old] > 1 {
			h.count[old]--
		} else {
			delete(h.count, old)
		}
		h.ring[h.next] = sum
		h.next = (h.next + 1) % remembered
	}
	h.count[sum]++
	return seen
}

func lineSum(e *receiver.Entry) uint64 {
	var h maphash.Hash
	h.SetSeed(shardSeed)
	maphash.WriteComparable(&h, e.Stamp.UnixNano())
	for _, part := range [][]byte{e.Hostname, e.App, e.ProcID, e.Text} {
		_, _ = h.Write(part)
		_ = h.WriteByte(0)
	}
	return h.Sum64()
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
	}
	return nil
}

// save writes the clocks: a new file in place of the old one.
func (hs *histories) save(dir string) error {
	saved := make(map[string]savedClock)
	hs.mu.Lock()
	for name, h := range hs.by {
		h.mu.Lock()
		if h.clock.known {
			saved[name] = savedClock{h.clock.base}
		}
		h.mu.Unlock()
	}
	hs.mu.Unlock()
	text, err := json.Marshal(saved)
	if err != nil {
		return err
	}
	path := filepath.Join(dir, historyFile)
	err = os.WriteFile(path+".tmp", text, 0o600)
	if err == nil {
		err = os.Rename(path+".tmp", path)
	}
	if err != nil {
		return fmt.Errorf("save the clocks of the sources: %w", err)
	}
	return nil
}
