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
	said := ""
	return w.nft.Watch(ctx, func(l nft.Loss) {
		what := strings.Join(l.What, "; ")
		if l.Err != nil {
			w.d.health.lose(l.Err.Error())
			if why := l.Err.Error(); why != said { // it is tried again every second
				said = why
				w.d.log.Warn("another program changed our nftables table, and it cannot be repaired", "what", what, "by", l.By, "err", l.Err)
			}
			return
		}
		said = ""
		w.d.log.Warn("another program changed our nftables table; it was repaired", "what", what, "by", l.By)
		if !l.Elements {
			return
		}
		if err := w.d.pipeline.Reassert(ctx); err != nil && ctx.Err() == nil {
			w.d.log.Warn("the bans are not all in the kernel again yet", "err", err)
		}
	})
}
