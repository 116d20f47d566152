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

	mu   sync.Mutex
	last nft.Snapshot
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
		a.mu.Lock()
		a.last = s
		a.mu.Unlock()
		a.again(ctx)
		a.once.Do(func() { close(a.ready) })
	})
}

// again protects what the kernel said last, as the configuration in force has it.
func (a *addresses) again(ctx context.Context) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.d.protect(ctx, pipeline.LayerLive, live(a.last, a.d.current.get().loaded.Config.ProtectLAN))
}
