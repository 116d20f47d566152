package daemon

import (
	"context"
	"time"

	"stockade/firewall"
	"stockade/firewall/nft"
	"stockade/pipeline"
)

// timed is the nftables backend with a clock beside it.
type timed struct {
	*nft.Enforcer
	took *pipeline.Histogram // of batches, read back
}

// Apply is that of the backend.
func (t timed) Apply(ctx context.Context, changes []firewall.Change) ([]firewall.Result, error) {
	defer func(begin time.Time) { t.took.Observe(time.Since(begin)) }(time.Now())
	return t.Enforcer.Apply(ctx, changes)
}

// timed puts the clock of the metrics beside the backend of the kernel.
func (d *daemon) timed() pipeline.Firewall {
	if e, ok := d.enforcer.(*nft.Enforcer); ok {
		return timed{e, &d.flush}
	}
	return d.enforcer
}
