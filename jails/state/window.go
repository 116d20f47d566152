package state

import (
	"hash/maphash"
	"slices"

	"stockade/jails"
)

// maxEvidence is how many failures of a window keep their evidence.
const maxEvidence = 10

// hit is one failure in a window.
type hit struct {
	t    int64 // on the store's clock
	n    uint32
	src  uint32 // the source's number, see sourceTable; the top bit says that it can be spoofed
	user uint32 // see userHash

	event uint32 // see Failure.Event
}

// userSeed is drawn anew in each process, so that nobody can choose a name that takes another's place.
var userSeed = maphash.MakeSeed()

// userHash stands for the name of a user in a hit; 0 is no name.
func userHash(name string) uint32 {
	if name == "" {
		return 0
	}
	return uint32(maphash.String(userSeed, name)) | 1
}

// spoofableBit marks the hits of sources whose address can be spoofed.
const spoofableBit = 1 << 31

// window holds the failures of one prefix in one jail. The arrays behind hits and ev only grow at
// their ends and have one writer at a time, so older versions may share them.
type window struct {
	hits   []hit // ascending by time, all within keep of the last
	n      int   // attempts in hits
	ev     []Evidence
	keep   int64 // the jail's longest findtime in nanoseconds
	half   int   // attempts from which the loss of the window counts
	shared bool  // a committed row holds it: copy before writing
}

func (w *window) clone() *window {
	c := *w
	c.shared = false
	return &c
}

func (w *window) last() int64 { return w.hits[len(w.hits)-1].t }

// deadline is the first instant at which the window is empty.
func (w *window) deadline() int64 { return w.last() + w.keep + 1 }

// add records a failure. It keeps the hits in order, drops what is too old to matter, and never
// holds more hits than most, of which each source keeps its latest.
func (w *window) add(h hit, most int) {
	w.hits = room(w.hits, most)
	i := len(w.hits)
	for i > 0 && w.hits[i-1].t > h.t {
		i--
	}
	if i == len(w.hits) {
		w.hits = append(w.hits, h)
	} else {
		w.hits = slices.Insert(slices.Clone(w.hits), i, h)
	}
	w.n += int(h.n)
	oldest := w.last() - w.keep
	for w.hits[0].t < oldest {
		w.n -= int(w.hits[0].n)
		w.hits = w.hits[1:]
	}
	for len(w.hits) > most {
		i := w.spare()
		w.n -= int(w.hits[i].n)
		if i == 0 {
			w.hits = w.hits[1:]
		} else {
			w.hits = slices.Delete(slices.Clone(w.hits), i, i+1)
		}
	}
}

// told reports whether another source told of the event already. Where that one can be spoofed and
// src cannot, the hit becomes that of src: nobody takes a firm witness away by being first.
func (w *window) told(event, src uint32) bool {
	if event == 0 {
		return false
	}
	for i, h := range w.hits {
		if h.event != event || h.src&^spoofableBit == src&^spoofableBit {
			continue
		}
		if h.src&spoofableBit != 0 && src&spoofableBit == 0 {
			w.hits = slices.Clone(w.hits)
			w.hits[i].src = src
		}
		return true
	}
	return false
}

// spare is the oldest hit whose source has a later one, or the oldest of all.
func (w *window) spare() int {
	for i, h := range w.hits {
		for _, later := range w.hits[i+1:] {
			if later.src == h.src {
				return i
			}
		}
	}
	return 0
}

// note keeps evidence of a failure, of which most are likely to come.
func (w *window) note(e Evidence, most int) {
	w.ev = append(room(w.ev, min(most, maxEvidence)), e)
	if len(w.ev) > maxEvidence {
		w.ev = w.ev[len(w.ev)-maxEvidence:]
	}
}

// room makes room for most items in a full list that has a fourth of that: windows with few failures
// are many, and those with more are likely to get all.
func room[T any](list []T, most int) []T {
	if n := len(list); n == cap(list) && n < most && 4*n > most {
		return slices.Grow(list, most-n)
	}
	return list
}

// holds reports whether the window has failures of the user.
func (w *window) holds(user uint32) bool {
	return slices.ContainsFunc(w.hits, func(h hit) bool { return h.user == user })
}

// without returns a copy that lacks the failures of the user, and how many attempts those were.
func (w *window) without(name string, user uint32) (*window, int) {
	out := w.clone()
	out.hits = make([]hit, 0, len(w.hits))
	taken := 0
	for _, h := range w.hits {
		if h.user == user {
			taken += int(h.n)
		} else {
			out.hits = append(out.hits, h)
		}
	}
	out.n -= taken
	out.ev = slices.DeleteFunc(slices.Clone(w.ev), func(e Evidence) bool { return e.User == name })
	return out, taken
}

// within counts the attempts that are at most findtime older than the latest.
func (w *window) within(findtime int64) int {
	if findtime >= w.keep {
		return w.n
	}
	oldest, n := w.last()-findtime, 0
	for i := len(w.hits) - 1; i >= 0 && w.hits[i].t >= oldest; i-- {
		n += int(w.hits[i].n)
	}
	return n
}

// agreed reports whether so many sources, one of them not spoofable, have hits within findtime.
func (w *window) agreed(sources int, findtime int64) bool {
	if sources <= 1 {
		return true
	}
	oldest, firm := w.last()-findtime, false
	seen := make([]uint32, 0, 16)
	for i := len(w.hits) - 1; i >= 0 && w.hits[i].t >= oldest; i-- {
		src := w.hits[i].src
		firm = firm || src&spoofableBit == 0
		if src &^= spoofableBit; !slices.Contains(seen, src) {
			seen = append(seen, src)
		}
		if firm && len(seen) >= sources {
			return true
		}
	}
	return false
}

// exceeded is the threshold that the window reaches; of several the one with the longest ban.
func (w *window) exceeded(j *jails.Jail) (best jails.Threshold, ok bool) {
	for _, t := range j.Thresholds {
		if w.within(int64(t.FindTime)) < t.MaxRetry || !w.agreed(j.Corroborate, int64(t.FindTime)) {
			continue
		}
		if !ok || t.BanTime < 0 || best.BanTime >= 0 && t.BanTime > best.BanTime {
			best, ok = t, true
		}
	}
	return best, ok
}

// left is how many more attempts at the time of the latest one would reach a threshold.
func (w *window) left(j *jails.Jail) (left int, nearest jails.Threshold) {
	for i, t := range j.Thresholds {
		if n := max(t.MaxRetry-w.within(int64(t.FindTime)), 0); i == 0 || n < left {
			left, nearest = n, t
		}
	}
	return left, nearest
}

// halfway is the number of attempts from which losing a window of the jail is a loss.
func halfway(j *jails.Jail) int {
	least := j.Thresholds[0].MaxRetry
	for _, t := range j.Thresholds {
		least = min(least, t.MaxRetry)
	}
	return (least + 1) / 2
}
