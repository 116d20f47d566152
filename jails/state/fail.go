package state

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"time"

	"stockade/jails"
)

// Outcome is what a failure did.
type Outcome struct {
	// Counted: it is in the window, or has just begun a ban.
	Counted bool
	// AlreadyBanned: the prefix, or a wider one, is banned in the jail; only Total failed grew.
	AlreadyBanned bool
	// Stale: it is older than the jail's findtime, so no window can hold it any more.
	Stale bool
	// Window is the number of attempts in the window with this failure, also when it was emptied.
	Window int
	// Left is how many attempts are missing until a ban, and Threshold the nearest limit, or the
	// one that was reached.
	Left      int
	Threshold jails.Threshold
	// Ban is the ban that this failure began, else nil.
	Ban *Ban
	// Alert is what Failure.Alert has instead of a ban. The store does not keep it.
	Alert *Ban
	// Held is the ban that would have begun if Options.Admit had let it. The window is kept; give
	// it to Store.Ban to begin it later.
	Held *Ban
}

// Fail counts a failure and decides. It takes about a microsecond and never waits for a commit,
// unless thousands of rows already do. f.Prefix must be masked; the Store keeps f.Evidence.
func (s *Store) Fail(j *jails.Jail, f Failure) Outcome {
	out := s.fail(j, &f)
	s.relieve()
	return out
}

// FailBanned does what Fail does for a prefix that is banned in the jail, and reports true; for
// any other it does nothing. A caller that asks first needs no evidence for the banned ones. It
// allocates nothing.
func (s *Store) FailBanned(j *jails.Jail, prefix netip.Prefix, attempts int) bool {
	jr := s.jail(j.Name)
	k := keyOf(prefix)
	_, banned := s.bannedUntil(jr, &k, s.clock.mono(s.clock.now()))
	if banned {
		jr.failed.Add(int64(max(attempts, 1)))
	}
	return banned
}

func active(it *item, now int64) bool { return it != nil && it.ban != nil && now < it.until }

// covered reports whether a wider prefix is banned in the jail.
func (s *Store) covered(jr *jailRow, k *pkey, now int64) bool {
	return s.lengths.wider(k, func(wide *pkey) bool {
		sh := s.shard(wide)
		sh.mu.Lock()
		defer sh.mu.Unlock()
		r := s.peekLocked(sh, wide)
		return r != nil && active(r.find(jr), now)
	})
}

func (s *Store) fail(j *jails.Jail, f *Failure) Outcome {
	v := s.moment()
	at := v.mono
	if !f.Time.IsZero() {
		at = min(s.clock.at(f.Time, v.now, v.mono), v.mono)
	}
	attempts := max(f.Attempts, 1)
	jr := s.jail(j.Name)
	jr.failed.Add(int64(attempts))
	k := keyOf(f.Prefix)
	if s.covered(jr, &k, v.mono) {
		return Outcome{AlreadyBanned: true}
	}
	sh := s.shard(&k)
	sh.mu.Lock()
	defer sh.mu.Unlock()
	c := s.cellLocked(sh, &k)
	keep := int64(j.FindTime())
	if it := c.row.find(jr); it != nil {
		if active(it, v.mono) {
			return Outcome{AlreadyBanned: true}
		}
		s.runOutLocked(sh, c, jr)
		if it.win != nil && it.win.last()-at > keep {
			return Outcome{Stale: true}
		}
	}
	if v.mono-at > keep {
		return Outcome{Stale: true}
	}
	it := itemOf(s.writeLocked(sh, c), jr)
	w := windowOf(it, j, keep, v.mono)
	s.count(w, j, f, at, attempts)
	out := Outcome{Counted: true, Window: w.n}
	t, reached := w.exceeded(j)
	if !reached {
		out.Left, out.Threshold = w.left(j)
		return out
	}
	out.Threshold = t
	b := s.newBan(j, f, it, c.row, t, v.now)
	if f.Alert {
		out.Alert = b
		s.dropWindow(it)
		return out
	}
	if s.opt.Admit != nil && !s.opt.Admit(j, *f, b) {
		out.Held = b
		return out
	}
	out.Ban = b
	s.beginBanLocked(sh, c, jr, b, v)
	return out
}

// count puts the failure into the window.
func (s *Store) count(w *window, j *jails.Jail, f *Failure, at int64, attempts int) {
	e := &f.Evidence
	src := s.sources.id(e.Source)
	if e.Trust == spoofableName || e.Trust == onLinkName {
		src |= spoofableBit
	}
	if w.told(f.Event, src) {
		return
	}
	if s.evidence.Load() >= s.opt.MaxEvidence {
		e.Raw = ""
	}
	e.Raw, e.User, e.Origin = clip(e.Raw, maxRaw), clip(e.User, maxWord), clip(e.Origin, maxWord)
	most := j.MaxRetry() + 2*j.Corroborate
	w.add(hit{t: at, n: uint32(min(attempts, jails.MaxMaxRetry)), src: src, user: userHash(e.User), event: f.Event}, most)
	w.note(*e, most)
}

// The longest texts of evidence that are kept, in bytes.
const (
	maxRaw  = 1024
	maxWord = 256
)

// clip bounds a text. The rest of a long one is let go of.
func clip(s string, limit int) string {
	if len(s) <= limit {
		return s
	}
	return strings.Clone(s[:limit])
}

// The levels at which a sender's address can be forged: by anybody, or by any host of its network.
var (
	spoofableName = jails.TrustSpoofable.String()
	onLinkName    = jails.TrustOnLink.String()
)

// windowOf returns the window of a writable item, to be written to and free of what is too old at
// mono.
func windowOf(it *item, j *jails.Jail, keep, mono int64) *window {
	switch w := it.win; {
	case w == nil:
		it.jail.failedNow.Add(1)
		it.win = &window{}
	case w.shared:
		it.win = w.clone()
	}
	w := it.win
	w.keep, w.half = keep, halfway(j)
	if len(w.hits) > 0 && mono-w.last() > keep {
		w.hits, w.ev, w.n = nil, nil, 0
	}
	return w
}

// newBan makes the ban that the window of the item deserves.
func (s *Store) newBan(j *jails.Jail, f *Failure, it *item, r *row, t jails.Threshold, now time.Time) *Ban {
	earlier := earlierBans(r, it.jail, j.Increment.OverAllJails)
	b := &Ban{
		Jail:     j.Name,
		Prefix:   f.Prefix,
		Scope:    j.Scope,
		Start:    now,
		Reason:   fmt.Sprintf("%d failures within %s", it.win.n, t.FindTime),
		Source:   f.Evidence.Source,
		Trust:    f.Evidence.Trust,
		Failures: it.win.n,
		Count:    earlierBans(r, it.jail, false) + 1,
		Shadow:   !j.Enforce,
		Verdict:  j.Verdict,
		Evidence: slices.Clip(it.win.ev),
	}
	if d := j.BanTime(t, earlier, s.rnd); d >= 0 {
		b.End = now.Add(d)
	}
	return b
}

func earlierBans(r *row, jr *jailRow, overall bool) int {
	n := 0
	for i := range r.items {
		if it := &r.items[i]; it.past != nil && (overall || it.jail == jr) {
			n += it.past.count
		}
	}
	return n
}
