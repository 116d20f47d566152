package pipeline

import (
	"context"

	"stockade/jails/state"
)

// Adopt begins bans that another program made, each with the start and the end that it had there, and
// returns once the kernel and the disk hold all of them. Nobody is told of them: who wanted to know was
// told by the other program. Every prefix must be valid, and none protected.
func (p *Pipeline) Adopt(ctx context.Context, bans []state.Ban) error {
	var n notice
	for _, b := range bans {
		made, changed := p.store.Ban(b)
		if changed {
			n.await = append(n.await, state.Change{Prefix: made.Prefix, Scope: made.Scope})
		}
	}
	p.log.Info("bans adopted", "bans", len(n.await))
	if len(n.await) == 0 {
		return nil
	}
	return p.enforce(ctx, n)
}
