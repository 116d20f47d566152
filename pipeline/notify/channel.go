package notify

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"reflect"
	"slices"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/time/rate"
)

const (
	maxKept     = 100  // events of a digest that are kept with their details
	maxQueue    = 4096 // events that wait for a program
	maxBurst    = 5    // messages at once, before events are gathered
	firstPause  = time.Second
	longPause   = time.Minute
	lastAttempt = 2 * time.Second  // what a stop waits for a channel, at most
	fileRefresh = 15 * time.Second // how often a file is looked at: bans end without an event
)

// sink is a way out. It sends one message or says why not; preview tells what it would send; close lets
// go of idle connections.
type sink interface {
	send(ctx context.Context, m *message) error
	preview(m *message) (string, error)
	close()
}

// channel is the queue, the pace and the retries in front of a sink.
type channel struct {
	cfg     Config
	host    string
	log     *slog.Logger
	sink    sink
	wants   map[Kind]bool
	limiter *rate.Limiter
	digest  time.Duration
	timeout time.Duration
	retries int
	pause   time.Duration // after the first failed attempt
	keep    int
	whois   *registry // nil: nobody is asked

	wake chan struct{} // capacity 1
	quit func()        // ends the goroutine; set by the Notifier that started it

	sent, failed, dropped atomic.Int64 // events

	mu      sync.Mutex
	queue   []Event // the oldest, at most keep
	counts  map[Kind]int
	total   int  // events that wait, forgotten ones too
	broken  bool // the last message was given up
	number  int  // of the last message
	started string
}

func newChannel(c Config, o *Options, host string) (*channel, error) {
	ch := &channel{
		cfg: c, host: host, log: o.Log.With("channel", c.Name), wants: make(map[Kind]bool),
		digest: defaultDigest, timeout: defaultTimeout, retries: defaultRetries, pause: firstPause, keep: maxKept,
		wake: make(chan struct{}, 1), counts: make(map[Kind]int), started: strconv.FormatInt(time.Now().UnixNano(), 36),
	}
	for _, k := range defaultKinds {
		ch.wants[k] = c.Events == nil
	}
	for _, e := range c.Events {
		ch.wants[Kind(e)] = true
	}
	if c.Timeout > 0 {
		ch.timeout = c.Timeout
	}
	if c.Retries != nil {
		ch.retries = *c.Retries
	}
	perMinute := defaultRate
	var err error
	switch c.Type {
	case TypeWebhook:
		ch.sink, err = newWebhook(&ch.cfg)
	case TypeMail:
		ch.sink = mailer{&ch.cfg}
		ch.whois, err = newRegistry(&c.Whois)
	case TypeFile:
		ch.digest, perMinute = defaultWrite, maxRate
		ch.sink = file{&ch.cfg, o.Bans}
	case TypeExec:
		ch.keep, perMinute = maxQueue, 0
		ch.sink, err = newProgram(&ch.cfg)
	default:
		err = fmt.Errorf("unknown type %q", clip(c.Type))
	}
	if err != nil {
		return nil, fmt.Errorf("channel %q: %w", clip(c.Name), err)
	}
	if c.Digest > 0 {
		ch.digest = c.Digest
	}
	if c.Rate > 0 {
		perMinute = c.Rate
	}
	ch.limiter = rate.NewLimiter(rate.Inf, 1)
	if perMinute > 0 {
		ch.limiter = rate.NewLimiter(rate.Limit(perMinute)/60, min(perMinute, maxBurst))
	}
	return ch, nil
}

// post queues an event. It never waits for a message to be sent.
func (c *channel) post(e *Event) {
	if !c.wants[e.Kind] {
		return
	}
	c.mu.Lock()
	full := len(c.queue) >= c.keep
	switch {
	case full && c.cfg.Type == TypeExec:
		c.dropped.Add(1)
		c.mu.Unlock()
		return
	case !full:
		c.queue = append(c.queue, *e)
	}
	c.counts[e.Kind]++
	c.total++
	c.mu.Unlock()
	c.kick()
}

func (c *channel) kick() {
	select {
	case c.wake <- struct{}{}:
	default:
	}
}

func (c *channel) waiting() int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.total
}

// take takes the oldest event, or all that wait as one message; nil when nothing waits.
func (c *channel) take(all bool) *message {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.total == 0 {
		return nil
	}
	m := c.newMessageLocked()
	if all || len(c.queue) < c.total {
		m.events, m.counts, m.total = c.queue, c.counts, c.total
		c.queue, c.counts, c.total = nil, make(map[Kind]int), 0
		return m
	}
	e := c.queue[0]
	c.queue[0] = Event{}
	c.queue = c.queue[1:]
	c.counts[e.Kind]--
	c.total--
	m.events, m.counts, m.total = []Event{e}, map[Kind]int{e.Kind: 1}, 1
	return m
}

func (c *channel) newMessageLocked() *message {
	c.number++
	return &message{id: fmt.Sprintf("stockade-%s-%d", c.started, c.number), host: c.host}
}

// run sends what is posted until ctx is done, then makes one last attempt.
func (c *channel) run(ctx context.Context) {
	defer c.sink.close()
	switch c.cfg.Type {
	case TypeExec:
		var running sync.WaitGroup
		for range max(1, c.cfg.Concurrency) {
			running.Go(func() { c.runPrograms(ctx) })
		}
		running.Wait()
	case TypeFile:
		c.runFile(ctx)
	default:
		c.runDigests(ctx)
	}
}

// runDigests sends single events while the rate allows, else all that gathered meanwhile.
func (c *channel) runDigests(ctx context.Context) {
	var begun *message // that a stop overtook
	for c.await(ctx, nil) {
		all := c.waiting() > maxBurst || !c.limiter.Allow()
		if all {
			sleep(ctx, c.digest)
			_ = c.limiter.Wait(ctx) // a stop is seen below
		}
		if ctx.Err() != nil {
			break
		}
		m := c.take(all)
		if m == nil {
			continue
		}
		if c.whois != nil {
			m.registry = c.whois.describe(ctx, m)
		}
		if ctx.Err() != nil {
			begun = m
			break
		}
		c.deliver(ctx, m)
	}
	deadline := time.Now().Add(lastAttempt)
	for _, m := range []*message{begun, c.take(true)} {
		if m != nil {
			c.lastWord(ctx, m, deadline)
		}
	}
}

// runPrograms runs the program for one event after the other.
func (c *channel) runPrograms(ctx context.Context) {
	for c.await(ctx, nil) {
		if c.limiter.Wait(ctx) != nil {
			break
		}
		if c.waiting() > 1 {
			c.kick() // another one may work beside
		}
		if m := c.take(false); m != nil {
			c.deliver(ctx, m)
		}
	}
	deadline := time.Now().Add(lastAttempt)
	for m := c.take(false); m != nil; m = c.take(false) {
		c.lastWord(ctx, m, deadline)
	}
}

// runFile writes the file after each event, and looks at it from time to time.
func (c *channel) runFile(ctx context.Context) {
	tick := time.NewTicker(fileRefresh)
	defer tick.Stop()
	for {
		m := c.take(true)
		if m == nil {
			c.mu.Lock()
			m = c.newMessageLocked()
			c.mu.Unlock()
		}
		c.deliver(ctx, m)
		sleep(ctx, c.digest)
		if !c.await(ctx, tick.C) {
			break
		}
	}
	if m := c.take(true); m != nil && !errors.Is(context.Cause(ctx), errReplaced) {
		c.lastWord(ctx, m, time.Now().Add(lastAttempt))
	}
}

// errReplaced ends a channel that is no longer configured. Its successor may have its file.
var errReplaced = errors.New("another configuration is in force")

// await returns true once something waits or the ticker ticked, false when ctx is done.
func (c *channel) await(ctx context.Context, tick <-chan time.Time) bool {
	for c.waiting() == 0 {
		select {
		case <-ctx.Done():
			return false
		case <-c.wake:
		case <-tick:
			return true
		}
	}
	return ctx.Err() == nil
}

// deliver sends a message, again after growing pauses, and gives it up after the last attempt.
func (c *channel) deliver(ctx context.Context, m *message) {
	pause := c.pause
	for attempt := 0; ; attempt++ {
		err := c.attempt(ctx, m, c.timeout)
		if err == nil {
			c.sent.Add(int64(m.total))
			c.note(nil)
			return
		}
		var refused *refusedError
		wait := pause
		if errors.As(err, &refused) {
			wait = max(wait, refused.after)
		}
		if ctx.Err() != nil || attempt >= c.retries || refused != nil && refused.final {
			c.failed.Add(int64(m.total))
			c.note(err)
			return
		}
		sleep(ctx, wait)
		pause = min(2*pause, longPause)
	}
}

func (c *channel) attempt(ctx context.Context, m *message, limit time.Duration) error {
	ctx, cancel := context.WithTimeoutCause(ctx, limit, fmt.Errorf("no answer within %s", limit))
	defer cancel()
	err := c.sink.send(ctx, m)
	if err != nil && errors.Is(err, context.DeadlineExceeded) && context.Cause(ctx) != nil {
		return context.Cause(ctx)
	}
	return err
}

// lastWord makes one short attempt while stockade stops; none after the deadline.
func (c *channel) lastWord(ctx context.Context, m *message, deadline time.Time) {
	left := time.Until(deadline)
	if left <= 0 || c.attempt(context.WithoutCancel(ctx), m, left) != nil {
		c.failed.Add(int64(m.total))
		return
	}
	c.sent.Add(int64(m.total))
}

// note says when a channel stops working, and when it works again.
func (c *channel) note(err error) {
	c.mu.Lock()
	was := c.broken
	c.broken = err != nil
	c.mu.Unlock()
	switch {
	case err != nil && !was:
		c.log.Warn("notices are not delivered", "err", clean(err.Error(), maxLine))
	case err == nil && was:
		c.log.Info("notices are delivered again")
	}
}

// test sends one message past the queue.
func (c *channel) test(ctx context.Context) error {
	return c.attempt(ctx, c.single(Event{Kind: kindTest, Time: time.Now()}), c.timeout)
}

// single is a message of one event that waits in no queue.
func (c *channel) single(e Event) *message {
	c.mu.Lock()
	defer c.mu.Unlock()
	m := c.newMessageLocked()
	m.events, m.counts, m.total = []Event{e}, map[Kind]int{e.Kind: 1}, 1
	return m
}

// same reports whether a configuration is the channel's own.
func (c *channel) same(cfg Config) bool { return reflect.DeepEqual(c.cfg, cfg) }

func (c *channel) stats() Stats {
	s := Stats{Name: c.cfg.Name, Sent: c.sent.Load(), Failed: c.failed.Load(), Dropped: c.dropped.Load()}
	c.mu.Lock()
	defer c.mu.Unlock()
	s.Waiting, s.Broken = c.total, c.broken
	return s
}

// takes reports whether an event is for this channel.
func (c *channel) takes(e *Event) bool {
	return e.Channels == nil || slices.Contains(e.Channels, c.cfg.Name)
}

func sleep(ctx context.Context, d time.Duration) {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
	case <-ctx.Done():
	}
}
