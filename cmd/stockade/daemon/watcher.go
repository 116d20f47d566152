package daemon

import (
	"context"
	"strings"

	"stockade/firewall/nft"
)

// watcher repairs the table when another program changes it, and has the bans set again.
type watcher struct {
	d     *daemon
	nft   *nft.Enforcer
	ready chan struct{}
}

func newWatcher(d *daemon, e *nft.Enforcer) *watcher {
	w := &watcher{d: d, nft: e, ready: make(chan struct{})}
	close(w.ready) // a change before it watches is found by its first look
	return w
}

// String names the task.
func (w *watcher) String() string { return "nftables watcher" }

// Ready is closed from the beginning.
func (w *watcher) Ready() <-chan struct{} { return w.ready }

// Run watches until ctx is done.
func (w *watcher) Run(ctx context.Context) error {
	return w.nft.Watch(ctx, func(l nft.Loss) {
		what := strings.Join(l.What, "; ")
		w.d.log.Warn("another program changed our nftables table; it was repaired", "what", what, "by", l.By, "err", l.Err)
		if !l.Elements || l.Err != nil {
			return
		}
		if err := w.d.pipeline.Reassert(ctx); err != nil && ctx.Err() == nil {
			w.d.log.Warn("the bans are not all in the kernel again yet", "err", err)
		}
	})
}
