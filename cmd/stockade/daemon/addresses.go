package daemon

import (
	"context"
	"sync"

	"stockade/firewall/nft"
	"stockade/pipeline"
)

// addresses keeps the guard and the kernel's never-sets true to this host's own addresses,
// gateways and local networks.
type addresses struct {
	d     *daemon
	ready chan struct{}
	once  sync.Once
}

func newAddresses(d *daemon) *addresses {
	return &addresses{d: d, ready: make(chan struct{})}
}

// String names the task.
func (a *addresses) String() string { return "address watcher" }

// Ready is closed when the addresses of now are protected.
func (a *addresses) Ready() <-chan struct{} { return a.ready }

// Run follows the kernel until ctx is done.
func (a *addresses) Run(ctx context.Context) error {
	return nft.WatchAddresses(ctx, 0, func(s nft.Snapshot) {
		list := live(s.Own, s.Gateways, lan(a.d.current.get().loaded.Config.ProtectLAN, s.OnLink))
		if err := a.d.pipeline.Protect(ctx, pipeline.LayerLive, list); err != nil && ctx.Err() == nil {
			a.d.log.Warn("own addresses could not be protected in the kernel; the decision still protects them", "err", err)
		}
		a.once.Do(func() { close(a.ready) })
	})
}
