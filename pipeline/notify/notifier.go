package notify

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"slices"
	"strings"
	"sync"
	"time"
)

// Options are what a Notifier is made of.
type Options struct {
	Log *slog.Logger
	// Bans returns the bans that hold, of the jails that a channel is told of. The slice is the
	// caller's own; it is called by file channels alone.
	Bans func(channel string) []Ban
	Host string // what messages call this host; "": its name
}

// Notifier tells channels of events.
type Notifier struct {
	options Options
	host    string
	ready   chan struct{}
	changed chan struct{} // capacity 1: there are channels to start

	mu       sync.RWMutex
	channels []*channel
	gone     []*channel // that Run has to wait for
}

// ErrUnknown is what Test and Preview return for a name that no channel has.
var ErrUnknown = errors.New("no such channel")

// New builds the channels; nothing is sent until Run. The configurations must be valid: see Validate.
func New(cfgs []Config, o Options) (*Notifier, error) {
	o.Log = o.Log.With("component", "notify")
	n := &Notifier{options: o, ready: make(chan struct{}), changed: make(chan struct{}, 1)}
	name, err := os.Hostname()
	if err != nil {
		name = "localhost"
	}
	n.host = hostName(cmp.Or(o.Host, name))
	return n, n.Swap(cfgs)
}

// hostName keeps the letters that names of hosts are made of.
func hostName(s string) string {
	s = strings.Map(func(r rune) rune {
		if r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' || r == '-' || r == '.' {
			return r
		}
		return -1
	}, s)
	return cmp.Or(s[:min(len(s), maxValue/2)], "localhost")
}

// String names the task in errors and status.
func (n *Notifier) String() string { return "notify" }

// Ready is closed when messages are sent.
func (n *Notifier) Ready() <-chan struct{} { return n.ready }

// Post hands an event to the channels that want it. It never waits and never fails: see Stats for
// what was not delivered.
func (n *Notifier) Post(e Event) {
	if e.Time.IsZero() {
		e.Time = time.Now()
	}
	n.mu.RLock()
	defer n.mu.RUnlock()
	for _, c := range n.channels {
		if c.takes(&e) {
			c.post(&e)
		}
	}
}

// Swap puts other channels in force. One whose configuration did not change keeps what waits in it. A
// fault changes nothing.
func (n *Notifier) Swap(cfgs []Config) error {
	n.mu.Lock()
	defer n.mu.Unlock()
	next := make([]*channel, 0, len(cfgs))
	for _, cfg := range cfgs {
		if i := slices.IndexFunc(n.channels, func(c *channel) bool { return c.same(cfg) }); i >= 0 {
			next = append(next, n.channels[i])
			continue
		}
		c, err := newChannel(cfg, &n.options, n.host)
		if err != nil {
			return err
		}
		next = append(next, c)
	}
	for _, c := range n.channels {
		if !slices.Contains(next, c) {
			n.gone = append(n.gone, c)
		}
	}
	n.channels = next
	select {
	case n.changed <- struct{}{}:
	default:
	}
	return nil
}

// Run sends until ctx is done, then makes one short attempt for what waits.
func (n *Notifier) Run(ctx context.Context) error {
	var running sync.WaitGroup
	// A stop is an event too: the channels end after it.
	own, cancel := context.WithCancel(context.WithoutCancel(ctx))
	defer cancel()
	n.startAll(own, &running)
	n.Post(Event{Kind: KindStart})
	close(n.ready)
	for ctx.Err() == nil {
		select {
		case <-ctx.Done():
		case <-n.changed:
			n.startAll(own, &running)
		}
	}
	n.Post(Event{Kind: KindStop})
	cancel()
	running.Wait()
	return nil
}

// startAll starts the channels that do not run yet and ends those that are gone.
func (n *Notifier) startAll(ctx context.Context, running *sync.WaitGroup) {
	n.mu.Lock()
	defer n.mu.Unlock()
	for _, c := range n.gone {
		if c.quit != nil {
			c.quit()
		}
	}
	n.gone = nil
	for _, c := range n.channels {
		if c.quit != nil {
			continue
		}
		own, cancel := context.WithCancelCause(ctx)
		c.quit = func() { cancel(errReplaced) }
		running.Go(func() {
			defer cancel(nil)
			c.run(own)
		})
	}
}

// Test sends one message over a channel, past its queue and its rate, and returns why it failed.
func (n *Notifier) Test(ctx context.Context, name string) error {
	c, err := n.find(name)
	if err != nil {
		return err
	}
	return c.test(ctx)
}

func (n *Notifier) find(name string) (*channel, error) {
	n.mu.RLock()
	defer n.mu.RUnlock()
	i := slices.IndexFunc(n.channels, func(c *channel) bool { return c.cfg.Name == name })
	if i < 0 {
		return nil, fmt.Errorf("%w: %q", ErrUnknown, clip(name))
	}
	return n.channels[i], nil
}

// Stats are the numbers of one channel, in events.
type Stats struct {
	Name    string
	Sent    int64
	Failed  int64 // given up after the last attempt
	Dropped int64 // no room
	Waiting int
	Broken  bool // the last message was given up
}

// Stats returns the numbers of the channels in the order of the configuration.
func (n *Notifier) Stats() []Stats {
	n.mu.RLock()
	defer n.mu.RUnlock()
	list := make([]Stats, len(n.channels))
	for i, c := range n.channels {
		list[i] = c.stats()
	}
	return list
}
