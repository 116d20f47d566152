package daemon

import (
	"context"
	"net/netip"
	"slices"
	"sync"
	"time"

	"stockade/jails/state"
	"stockade/pipeline"
	"stockade/receiver"
)

const (
	peersEvery = 500 * time.Millisecond
	// nobodyEvery is the same while no listener has a network address.
	nobodyEvery = time.Second
	// peerKept is how long a sender stays protected that is connected no more: it comes again.
	peerKept = 10 * time.Minute
	// maxPeers bounds the senders that are protected for being connected.
	maxPeers = 4096
)

// peers keeps the addresses of sources protected: the single ones of the configuration, and those
// that identified senders are connected from.
type peers struct {
	d     *daemon
	ready chan struct{}

	mu   sync.Mutex
	seen map[netip.Addr]time.Time // when it was connected last
	last []pipeline.Protected     // as the pipeline has it
}

func newPeers(d *daemon) *peers {
	return &peers{d: d, ready: make(chan struct{}), seen: make(map[netip.Addr]time.Time)}
}

// String names the task.
func (p *peers) String() string { return "peer watcher" }

// Ready is closed after the first look.
func (p *peers) Ready() <-chan struct{} { return p.ready }

// Run looks at who is connected until ctx is done.
func (p *peers) Run(ctx context.Context) error {
	tick := time.NewTimer(state.UntilNext(p.pace()))
	defer tick.Stop()
	p.put(ctx)
	close(p.ready)
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
			tick.Reset(state.UntilNext(p.pace()))
			p.put(ctx)
		}
	}
}

// pace is how often to look.
func (p *peers) pace() time.Duration {
	if slices.ContainsFunc(p.d.current.get().loaded.Config.Listeners, func(l receiver.ListenerConfig) bool { return l.Address != "" }) {
		return peersEvery
	}
	return nobodyEvery
}

// put protects the peers of now, if they are not those of the last time.
func (p *peers) put(ctx context.Context) {
	p.mu.Lock()
	defer p.mu.Unlock()
	now := time.Now()
	p.d.inputs.each(func(t Task) {
		l, ok := t.(interface{ Peers() []netip.Addr })
		if !ok {
			return
		}
		for _, a := range l.Peers() {
			if _, known := p.seen[a]; known || len(p.seen) < maxPeers {
				p.seen[a] = now
			}
		}
	})
	list := slices.Clone(p.d.current.get().peers)
	for a, at := range p.seen {
		if now.Sub(at) > peerKept {
			delete(p.seen, a)
			continue
		}
		if !a.IsLoopback() {
			list = append(list, pipeline.Protected{Prefix: single(a), Why: "connected sender"})
		}
	}
	slices.SortFunc(list, func(a, b pipeline.Protected) int { return a.Prefix.Compare(b.Prefix) })
	if slices.Equal(list, p.last) {
		return
	}
	p.last = list
	p.d.protect(ctx, pipeline.LayerPeers, list)
}
