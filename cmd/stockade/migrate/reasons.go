package migrate

import (
	"fmt"
	"net/netip"
	"time"

	"stockade/jails"
)

// reasons explains the bans of one address in one jail that only one program made.
type reasons struct {
	key     key
	history *history
	policy  Policy
	known   map[string]bool // jails of which fail2ban's log tells
}

func (r *reasons) jail() *jails.Jail {
	for _, j := range r.policy.Jails {
		if j.Name == r.key.jail {
			return j
		}
	}
	return nil
}

func (r *reasons) findtime() time.Duration {
	if j := r.jail(); j != nil {
		return j.FindTime()
	}
	return 0
}

// within is how many failures fail2ban found in the findtime before a moment.
func (r *reasons) within(at time.Time) int {
	n := 0
	begin := at.Truncate(time.Second).Add(-r.findtime())
	for _, f := range r.history.found {
		if !f.Before(begin) && !f.After(at) {
			n++
		}
	}
	return n
}

// onlyTheirs says why Stockade did not ban whom fail2ban banned; "" when nothing explains it.
func (r *reasons) onlyTheirs(t Seen) string {
	j := r.jail()
	switch {
	case !t.Prefix.IsValid():
		return "fail2ban looked a name up, or counted it as it was: names are never looked up here"
	case j == nil:
		return fmt.Sprintf("there is no jail %s here", r.key.jail)
	case !j.Enabled:
		return fmt.Sprintf("the jail %s is off here", j.Name)
	case j.Ignored(r.key.prefix.Addr()):
		return fmt.Sprintf("ignoreip of the jail %s holds the address", j.Name)
	}
	if why, found := r.protected(r.key.prefix); found {
		return "it is never banned here: " + why
	}
	if since, held := held(r.history.ours, r.history.ourEnds, t.Time, r.longest(j)); held {
		return fmt.Sprintf("it was banned here already, since %s", since.Format(time.DateTime))
	}
	if len(r.history.found) == 0 {
		return "fail2ban's log has no failure of it: it was banned by hand, or brought back at a start"
	}
	need := j.Thresholds[0].MaxRetry
	if n := r.within(t.Time); n < need {
		return fmt.Sprintf("fail2ban's counter was rescaled: %d failures lie within findtime, maxretry is %d", n, need)
	}
	return ""
}

// onlyOurs says why fail2ban did not ban whom Stockade banned; "" when nothing explains it.
func (r *reasons) onlyOurs(o Seen) string {
	j := r.jail()
	switch {
	case o.Source == "operator":
		return "it was banned by hand"
	case !r.known[r.key.jail]:
		return fmt.Sprintf("fail2ban's log has nothing of a jail %s", r.key.jail)
	}
	if since, held := held(r.history.theirs, r.history.theirEnds, o.Time, 0); held {
		return fmt.Sprintf("fail2ban had it banned already, since %s", since.Format(time.DateTime))
	}
	if j == nil {
		return ""
	}
	need, n := j.Thresholds[0].MaxRetry, r.within(o.Time.Add(time.Second))
	switch {
	case n >= need && len(r.history.addrs) > 1:
		return fmt.Sprintf("%d addresses of the network %s failed together; fail2ban counts each alone", len(r.history.addrs), r.key.prefix)
	case n >= need:
		return fmt.Sprintf("fail2ban's counter was rescaled: it found %d failures within findtime, maxretry is %d", n, need)
	case len(j.Thresholds) > 1:
		return "another threshold of the jail was reached"
	case n == 0:
		return "fail2ban found no failure of it: its filter or its files differ"
	}
	return fmt.Sprintf("fail2ban found %d failures within findtime, maxretry is %d: its filter or its files differ", n, need)
}

func (r *reasons) protected(p netip.Prefix) (string, bool) {
	if p.Addr().IsLoopback() || p.Addr().IsLinkLocalUnicast() || p.Addr().IsMulticast() || p.Addr().IsUnspecified() {
		return "loopback and the like", true
	}
	if r.policy.Protect == nil {
		return "", false
	}
	return r.policy.Protect(p)
}

// longest is how long a ban of the jail may last at most, as far as it is known; 0: no limit.
func (r *reasons) longest(j *jails.Jail) time.Duration {
	if t := j.Thresholds[0]; !j.Increment.Enabled && t.BanTime > 0 {
		return t.BanTime
	}
	return 0
}

// held reports whether a ban that began before a moment still held then: nothing lifted it, and it had
// not lasted longer than most, where that is not 0.
func held(bans []Seen, ends []time.Time, at time.Time, most time.Duration) (since time.Time, held bool) {
	for _, b := range bans {
		if !b.Time.Before(at) || most > 0 && at.Sub(b.Time) > most {
			continue
		}
		lifted := false
		for _, e := range ends {
			lifted = lifted || e.After(b.Time) && !e.After(at)
		}
		if !lifted {
			since, held = b.Time, true
		}
	}
	return since, held
}
