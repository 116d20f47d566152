package pipeline

import (
	"net/netip"
	"slices"
	"strings"

	"stockade/jails/state"
)

// Held returns the bans that wait for the quota of their source and would cover the prefix or a part of
// it, by jail and source. The bans are immutable.
func (q *Quotas) Held(prefix netip.Prefix) []*state.Ban {
	q.mu.Lock()
	defer q.mu.Unlock()
	var out []*state.Ban
	for _, s := range q.by {
		for key, h := range s.held {
			if key.prefix.Overlaps(prefix) {
				out = append(out, h.Ban)
			}
		}
	}
	slices.SortFunc(out, func(a, b *state.Ban) int { return strings.Compare(a.Jail+" "+a.Source, b.Jail+" "+b.Source) })
	return out
}
