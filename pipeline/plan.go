package pipeline

import (
	"path"
	"slices"

	"github.com/bmatcuk/doublestar/v4"

	"stockade/jails"
	"stockade/jails/filter"
	"stockade/jails/filter/catalogue"
	"stockade/receiver"
)

// Bound is a jail with its compiled filter.
type Bound struct {
	Jail   *jails.Jail
	Filter *filter.Filter

	// What the jail's origin demands; nil: nothing, or not yet in a plan. name is how a process that runs
	// exe is called.
	unit, exe, name *verdicts
}

// Plan is what a configuration says about lines: the jails, their filters in one set, and what
// each source may feed. It is immutable.
type Plan struct {
	set    *filter.Set
	bound  []Bound // by index in the set
	native []bool  // by index in the set: its patterns know what a cut line may still prove
	grants map[string]*grant
}

// NewPlan combines jails and sources. Bound jails are all enabled ones.
func NewPlan(bound []Bound, sources []*receiver.Source) *Plan {
	p := &Plan{bound: slices.Clone(bound), grants: make(map[string]*grant, len(sources))}
	filters := make([]*filter.Filter, len(bound))
	apps := make([][]string, len(bound))
	for i, b := range bound {
		filters[i], apps[i] = b.Filter, expandFamilies(b.Jail.Apps)
		p.native = append(p.native, len(b.Filter.Spec().Patterns) > 0)
		p.bound[i].demand()
	}
	p.set = filter.NewSet(filters, apps)
	for _, s := range sources {
		p.grants[s.Name] = newGrant(s, bound)
	}
	return p
}

// demand prepares what the jail's origin demands.
func (b *Bound) demand() {
	want := b.Jail.Origin
	if want == nil {
		return
	}
	if want.Unit != "" {
		b.unit = newVerdicts(want.Unit)
	}
	if want.Exe != "" {
		b.exe, b.name = newVerdicts(want.Exe), newVerdicts()
		if base := path.Base(want.Exe); doublestar.ValidatePattern(base) { // not inside braces
			b.name = newVerdicts(base)
		}
	}
}

// Bound returns the jails with their filters. The slice must not be changed.
func (p *Plan) Bound() []Bound { return p.bound }

// Jail returns the jail of that name, or nil.
func (p *Plan) Jail(name string) *jails.Jail {
	for _, b := range p.bound {
		if b.Jail.Name == name {
			return b.Jail
		}
	}
	return nil
}

// grant is what one source may claim and feed.
type grant struct {
	hostnames map[string]bool // nil: any
	apps      *verdicts       // nil: any
	jails     []bool          // by index in the set
	spoofable bool            // accept_spoofable
}

// nobody is the grant of a source that the plan does not know (it went with a reload).
var nobody = &grant{hostnames: map[string]bool{}, apps: newVerdicts()}

// expandFamilies adds the members of each catalogue name: sshd means sshd-session too.
func expandFamilies(apps []string) []string {
	var all []string
	for _, a := range apps {
		all = append(append(all, a), catalogue.Family(a)...)
	}
	return all
}

func newGrant(s *receiver.Source, bound []Bound) *grant {
	g := &grant{jails: make([]bool, len(bound)), spoofable: s.AcceptSpoofable}
	if len(s.Hostnames) > 0 {
		g.hostnames = make(map[string]bool)
		for _, h := range s.Hostnames {
			g.hostnames[h] = true
		}
	}
	if len(s.Apps) > 0 && !slices.Contains(s.Apps, "*") {
		g.apps = newVerdicts(expandFamilies(s.Apps)...)
	}
	for i, b := range bound {
		g.jails[i] = slices.Contains(s.Jails, "*") || slices.Contains(s.Jails, b.Jail.Name)
	}
	return g
}

// Reasons for which a line or a failure is refused: keys of `refused` in `sources --json`.
const (
	refusedHostname  = "hostname_not_granted"
	refusedApp       = "app_not_granted"
	refusedJail      = "jail_not_granted"
	refusedTrust     = "below_min_trust"
	refusedTruncated = "truncated"          // its end is missing, and an address with it, perhaps
	refusedForged    = "forged"             // written by somebody whom the jail does not accept
	refusedUnknown   = "origin_unknown"     // nobody vouches for the writer
	refusedVouch     = "origin_not_vouched" // the source names writers without vouches: true

	refusedProtected = "names_protected"
	refusedProxy     = "names_proxy" // hint: log the real client's address
)

// admit returns "" or the reason for which a line that claims this host and app is refused. It
// allocates only for an app that was not seen before.
func (g *grant) admit(host, app []byte) (reason string) {
	if g == nil {
		g = nobody
	}
	if g.hostnames != nil && len(host) > 0 && !g.hostnames[string(host)] {
		return refusedHostname
	}
	if g.apps != nil && !g.apps.matchBytes(app) {
		return refusedApp
	}
	return ""
}
