package attacker

import (
	"fmt"
	"slices"
	"strings"

	"github.com/bmatcuk/doublestar/v4"

	"stockade/jails"
	"stockade/jails/filter"
	"stockade/receiver"
)

// feed is how the lines of a source arrive.
type feed uint8

const (
	feedUnix    feed = iota // the kernel names the writer; a carrier writes for others
	feedJournal             // journald names the writer
	feedFile                // the file's owner is the writer, unless a log carrier wrote it
	feedNetwork             // the source names the writer if it vouches
)

// view is a source with what its transport proves.
type view struct {
	s        *receiver.SourceConfig
	feed     feed
	trust    jails.Trust
	families map[string][]string
}

func (in *Input) view(s *receiver.SourceConfig) view {
	v := view{s: s, trust: jails.TrustKernel, families: map[string][]string{}}
	for _, j := range in.Jails {
		v.families[j.Filter.Name()] = j.Filter.Apps()
	}
	switch {
	case s.Tail != "":
		v.feed = feedFile
	case s.Journal != "":
		v.feed = feedJournal
	default:
		for i := range in.Listeners {
			if in.Listeners[i].Name == s.Listener {
				v.transport(in.Listeners[i].Transport)
			}
		}
	}
	return v
}

func (v *view) transport(name string) {
	switch name {
	case "udp":
		v.feed, v.trust = feedNetwork, jails.TrustOnLink // the most that UDP can prove
	case "tcp":
		v.feed, v.trust = feedNetwork, jails.TrustAddress
	case "tls", "journal-upload":
		v.feed, v.trust = feedNetwork, jails.TrustTLS
	}
}

// reach says what an attacker can do by way of a jail.
func (v *view) reach(who Who, j Jail) Reach {
	if why := v.closed(j); why != "" {
		return Reach{Victims: Nobody, Why: why}
	}
	if who == Stranger {
		return unproven(j.Filter)
	}
	d := demandOf(j)
	switch who {
	case User:
		return v.user(d)
	case Root:
		if v.feed == feedNetwork && !v.s.Vouches && d.explicit {
			return Reach{Victims: Nobody, Why: "the jail demands an origin, and the source does not vouch for one"}
		}
		return Reach{Victims: Anybody, Why: "root speaks for the source"}
	}
	switch {
	case v.feed != feedNetwork:
		return Reach{Victims: Nobody, Why: "nothing of it crosses a network"}
	case v.trust == jails.TrustTLS:
		return Reach{Victims: Nobody, Why: "TLS: it takes the source's key"}
	case !v.named() && d.explicit:
		return Reach{Victims: Nobody, Why: "the jail demands an origin, and the source does not vouch for one"}
	case v.trust < jails.TrustAddress:
		return Reach{Victims: Anybody, Why: "UDP: whoever can forge its address speaks for the source"}
	}
	return Reach{Victims: Anybody, Why: "plain TCP: whoever can change its stream speaks for the source"}
}

// closed returns why no line of the source counts in a jail by itself, "" where lines do.
func (v *view) closed(j Jail) string {
	p := j.Policy
	switch {
	case !slices.Contains(v.s.Jails, "*") && !slices.Contains(v.s.Jails, p.Name):
		return "the source may not feed the jail"
	case !v.mayClaim(j):
		return "the source may not claim the app names of the jail"
	case v.trust < p.MinTrust && (p.TrustGiven || !v.s.AcceptSpoofable):
		return fmt.Sprintf("the source proves %s, the jail demands %s", v.trust, p.MinTrust)
	case p.Corroborate > 1:
		return fmt.Sprintf("%d sources must agree", p.Corroborate)
	}
	return ""
}

// mayClaim reports whether the app names that the source may claim and those that the jail
// listens to can have one in common. Two globs are taken to have.
func (v *view) mayClaim(j Jail) bool {
	granted := v.expand(v.s.Apps)
	wanted := v.expand(j.Policy.Apps)
	if len(wanted) == 0 {
		wanted = j.Filter.Apps()
	}
	if len(granted) == 0 || len(wanted) == 0 {
		return true
	}
	for _, g := range granted {
		for _, w := range wanted {
			if g == w || doublestar.MatchUnvalidated(g, w) || doublestar.MatchUnvalidated(w, g) || isGlob(g) && isGlob(w) {
				return true
			}
		}
	}
	return false
}

// expand adds the families of the filters that a list of app names has.
func (v *view) expand(apps []string) (all []string) {
	for _, a := range apps {
		all = append(append(all, a), v.families[a]...)
	}
	return all
}

func isGlob(app string) bool { return strings.ContainsAny(app, "*?[{") }

// unproven says what a stranger can do: make an honest daemon name an address that never spoke.
func unproven(f *filter.Filter) Reach {
	var names []string
	for i, p := range f.Patterns() {
		if p.Kind == filter.Failure && p.Proof == filter.ProofNone {
			name := p.Name
			if name == "" {
				name = fmt.Sprintf("failregex[%d]", i)
			}
			names = append(names, name)
		}
	}
	if len(names) == 0 {
		return Reach{Victims: Nobody, Why: "every pattern proves that the address answered"}
	}
	return Reach{Victims: Witnessed, Why: "one forged packet writes such a line: " + strings.Join(names, ", ")}
}
