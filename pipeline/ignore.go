package pipeline

import (
	"context"
	"net/netip"

	"stockade/jails"
	"stockade/jails/state"
)

// Ignore replaces what the jails ignore beside the addresses of their configuration: the names and
// files of their lists as they are now, by jail. Bans of these jails that now hit an ignored address
// are lifted, but for those made by hand.
func (p *Pipeline) Ignore(ctx context.Context, byJail map[string][]netip.Prefix) error {
	next := make(map[string]*jails.AddrSet, len(byJail))
	for name, list := range byJail {
		next[name] = jails.NewAddrSet(list)
	}
	p.ignored.Store(&next)
	_, err := p.Unban(ctx, func(b *state.Ban) bool {
		return b.Source != SourceOperator && next[b.Jail].Overlaps(b.Prefix)
	})
	return err
}

// SourceOperator is the source of bans by hand.
const SourceOperator = "operator"

// Ignores reports whether the jail ignores an address of the prefix: by its configuration, or by a
// list that is watched.
func (p *Pipeline) Ignores(jail *jails.Jail, prefix netip.Prefix) bool {
	if jail.Ignore.Overlaps(prefix) {
		return true
	}
	watched := p.ignored.Load()
	return watched != nil && (*watched)[jail.Name].Overlaps(prefix)
}
