package attacker

import (
	"fmt"

	"stockade/jails"
	"stockade/jails/filter"
	"stockade/receiver"
)

// Input is what of a configuration decides.
type Input struct {
	Listeners []receiver.ListenerConfig
	Sources   []receiver.SourceConfig
	Jails     []Jail
	// Protected are the lists of addresses that are never banned, by name (never_ban, proxies,
	// ignoreip of jail NAME): the entries as they were written. A list without entries is there.
	Protected map[string][]string
	// ProtectLAN is protect_lan.
	ProtectLAN bool
}

// Jail is a jail with its compiled filter.
type Jail struct {
	Policy *jails.Jail
	Filter *filter.Filter
}

// Who is a kind of attacker.
type Who string

// The attackers.
const (
	User     Who = "user"     // of the host that sends, without privileges
	Root     Who = "root"     // of that host, with its keys
	Path     Who = "path"     // sees and changes what goes from it to here
	Stranger Who = "stranger" // anywhere, with forged sender addresses
)

var everybody = []Who{User, Root, Path, Stranger}

// Victims says who could be banned.
type Victims string

// The victims, fewest first.
const (
	Nobody    Victims = "none"
	Reported  Victims = "reported"  // any address, but the jail only reports
	Witnessed Victims = "witnessed" // those that the kernel saw complete a handshake lately
	Anybody   Victims = "any"
)

var victimsRank = map[Victims]int{Nobody: 0, Reported: 1, Witnessed: 2, Anybody: 3}

// Reach is what one attacker can do by way of one jail.
type Reach struct {
	Jail    string  `json:"jail"`
	Victims Victims `json:"victims"`
	Why     string  `json:"why"`
}

// Attacker is what one attacker can do by way of a source.
type Attacker struct {
	Who   Who     `json:"who"`
	Jails []Reach `json:"jails"` // of every enabled jail, in the order of the configuration
}

// Quota limits the bans of a source, whoever speaks for it.
type Quota struct {
	BansPerMinute int  `json:"bans_per_minute"`
	Burst         int  `json:"burst"`
	Quarantine    bool `json:"quarantine"` // over it nothing of the source is believed
}

// Report is what attackers at one source could do.
type Report struct {
	Source    string     `json:"source"`
	Trust     string     `json:"trust"`
	Quota     *Quota     `json:"quota"` // null: no limit
	Attackers []Attacker `json:"attackers"`
}

// The quota of a source that has none of its own and proves less than the kernel does, as the
// pipeline has it.
const (
	defaultBansPerMinute = 60
	defaultBurst         = 120
)

// Of returns the report of the named source.
func (in *Input) Of(source string) (Report, error) {
	for i := range in.Sources {
		if in.Sources[i].Name == source {
			return in.report(&in.Sources[i]), nil
		}
	}
	return Report{}, fmt.Errorf("unknown source %q", source)
}

func (in *Input) report(s *receiver.SourceConfig) Report {
	v := in.view(s)
	r := Report{Source: s.Name, Trust: v.trust.String(), Quota: quotaOf(s, v.trust)}
	for _, who := range everybody {
		a := Attacker{Who: who, Jails: []Reach{}}
		for _, j := range in.Jails {
			if !j.Policy.Enabled {
				continue
			}
			reach := v.reach(who, j)
			if reach.Victims != Nobody && !j.Policy.Enforce {
				reach.Victims = Reported
			}
			reach.Jail = j.Policy.Name
			a.Jails = append(a.Jails, reach)
		}
		r.Attackers = append(r.Attackers, a)
	}
	return r
}

func quotaOf(s *receiver.SourceConfig, trust jails.Trust) *Quota {
	c := s.Quota
	if c == (receiver.QuotaConfig{}) && trust == jails.TrustKernel || c.Word == "none" {
		return nil
	}
	q := &Quota{c.BansPerMinute, c.Burst, c.Over == "quarantine"}
	if q.BansPerMinute == 0 {
		q.BansPerMinute = defaultBansPerMinute
	}
	if q.Burst == 0 {
		q.Burst = defaultBurst
	}
	return q
}
