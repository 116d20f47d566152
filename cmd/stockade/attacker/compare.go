package attacker

import (
	"fmt"
	"maps"
	"slices"

	"stockade/jails"
)

// Widening is one way in which a change gives an attacker more.
type Widening struct {
	Source string `json:"source"` // empty: of every source
	Who    Who    `json:"who"`    // empty: every attacker
	Jail   string `json:"jail"`   // empty: of no jail alone
	Was    string `json:"was"`
	Now    string `json:"now"`
	Why    string `json:"why"`
}

// String returns the widening as one sentence.
func (w Widening) String() string {
	text := fmt.Sprintf("%s, was %s", w.Now, w.Was)
	if w.Jail != "" {
		text = fmt.Sprintf("jail %q: %s", w.Jail, text)
	}
	if w.Who != "" {
		text = fmt.Sprintf("%s: %s", w.Who, text)
	}
	if w.Source != "" {
		text = fmt.Sprintf("source %q: %s", w.Source, text)
	}
	if w.Why != "" {
		text += ": " + w.Why
	}
	return text
}

// Compare returns what a change from one configuration to another gives attackers, in the order
// of the new one; empty when it gives them nothing.
func Compare(old, changed *Input) []Widening {
	var list []Widening
	for i := range changed.Sources {
		s := &changed.Sources[i]
		now := changed.report(s)
		was, err := old.Of(s.Name)
		list = append(list, reaches(was, now)...)
		if err == nil && reachesAny(now) && quotaText(was.Quota) != quotaText(now.Quota) && wider(was.Quota, now.Quota) {
			list = append(list, Widening{Source: s.Name, Was: quotaText(was.Quota), Now: quotaText(now.Quota)})
		}
	}
	return append(list, exposed(old, changed)...)
}

func reaches(was, now Report) (list []Widening) {
	before := map[Who]map[string]Victims{}
	for _, a := range was.Attackers {
		before[a.Who] = map[string]Victims{}
		for _, r := range a.Jails {
			before[a.Who][r.Jail] = r.Victims
		}
	}
	for _, a := range now.Attackers {
		for _, r := range a.Jails {
			old := before[a.Who][r.Jail]
			if old == "" {
				old = Nobody
			}
			if victimsRank[r.Victims] > victimsRank[old] {
				list = append(list, Widening{now.Source, a.Who, r.Jail, "victims: " + string(old), "victims: " + string(r.Victims), r.Why})
			}
		}
	}
	return list
}

// reachesAny reports whether anybody at all can be banned by way of a source.
func reachesAny(r Report) bool {
	for _, a := range r.Attackers {
		if slices.ContainsFunc(a.Jails, func(r Reach) bool { return victimsRank[r.Victims] > victimsRank[Reported] }) {
			return true
		}
	}
	return false
}

func wider(was, now *Quota) bool {
	switch {
	case was == nil:
		return false
	case now == nil:
		return true
	}
	return now.BansPerMinute > was.BansPerMinute || now.Burst > was.Burst || was.Quarantine && !now.Quarantine
}

func quotaText(q *Quota) string {
	if q == nil {
		return "no quota"
	}
	over := ""
	if q.Quarantine {
		over = ", then quarantine"
	}
	return fmt.Sprintf("%d bans a minute, %d at once%s", q.BansPerMinute, q.Burst, over)
}

// String says how many bans a source may begin.
func (q *Quota) String() string { return quotaText(q) }

// exposed returns the addresses that are not protected any more.
func exposed(old, changed *Input) (list []Widening) {
	for _, key := range slices.Sorted(maps.Keys(old.Protected)) {
		now, kept := changed.Protected[key]
		if !kept {
			continue // of a jail that is gone
		}
		for _, entry := range old.Protected[key] {
			if !covered(entry, now) && !covered(entry, changed.Protected[neverBan]) {
				list = append(list, Widening{Was: "protected by " + key, Now: entry + " can be banned"})
			}
		}
	}
	if old.ProtectLAN && !changed.ProtectLAN {
		list = append(list, Widening{Was: "protected by protect_lan", Now: "hosts of the local networks can be banned"})
	}
	return list
}

// neverBan is the key of the list that protects in every jail.
const neverBan = "never_ban"

// covered reports whether a list protects all that an entry does.
func covered(entry string, list []string) bool {
	if slices.Contains(list, entry) {
		return true
	}
	p, err := jails.ParsePrefix(entry)
	if err != nil {
		return false
	}
	return slices.ContainsFunc(list, func(e string) bool {
		q, err := jails.ParsePrefix(e)
		return err == nil && q.Bits() <= p.Bits() && q.Contains(p.Addr())
	})
}
