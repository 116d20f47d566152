package pipeline

import (
	"crypto/sha256"
	"net/netip"
	"slices"

	"stockade/jails"
	"stockade/jails/filter"
	"stockade/jails/state"
)

// users is a network that no packet comes from (RFC 6666): failures that are counted by user stand
// under an address of it, made of the user's name.
var users = netip.MustParsePrefix("100::/64")

// userKey is what the failures of a user are counted under. Others' names cannot be made to take its
// place.
func userKey(name string) netip.Prefix {
	sum := sha256.Sum256([]byte(name))
	b := users.Addr().As16()
	copy(b[users.Bits()/8:], sum[:])
	return netip.PrefixFrom(netip.AddrFrom16(b), 128)
}

// countUsers counts a failure for each user that it names, in a jail whose key is the user. A
// threshold bans nobody: many addresses may have tried, and the user is not at fault.
func (p *Pipeline) countUsers(jail *jails.Jail, f state.Failure, c counting, m *filter.Match) {
	p.stats.Failures.Add(1)
	c.source.Failures.Add(1)
	names := m.Users
	if len(names) == 0 {
		names = []string{m.User}
	}
	for i, name := range names {
		if name == "" || slices.Contains(names[:i], name) {
			continue
		}
		f.Prefix, f.Alert, f.Evidence.User = userKey(name), true, name
		alert := p.store.Fail(jail, f).Alert
		if alert == nil {
			continue
		}
		p.stats.Alerts.Add(1)
		p.log.Warn("failures of one user", "jail", jail.Name, "user", name, "reason", alert.Reason, "last_addr", f.Addr.String(), "source", c.source.Name)
		p.enforcer.acks.tell(Event{Ban: alert, User: name})
	}
}
