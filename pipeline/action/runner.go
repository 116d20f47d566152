package action

import (
	"context"
	"fmt"
	"log/slog"
	"reflect"
	"slices"
	"sync"
	"sync/atomic"
	"time"
)

// Options are what a Runner needs.
type Options struct {
	Log   *slog.Logger
	Allow bool                    // allow_shell_actions: without it nothing runs
	Host  string                  // this host's name
	Bans  func(jail string) []Ban // the bans that hold, asked once when an action starts
}

// Stats are numbers of one action in one jail.
type Stats struct {
	Name, Jail string
	Run        int64 // commands that ended well
	Failed     int64
	Dropped    int64 // bans and unbans that the queue had no room for
	Waiting    int64
}

// Runner runs the actions of a configuration. It is a task: New reads, Run serves.
type Runner struct {
	o     Options
	ready chan struct{}

	mu       sync.Mutex
	running  []*instance
	ctx      context.Context //nolint:containedctx // Run's, for those that Swap starts; nil before Run and after its end
	finished sync.WaitGroup
}

// New reads the action files. Nothing runs yet.
func New(cfgs []Config, o Options) (*Runner, error) {
	r := &Runner{o: o, ready: make(chan struct{})}
	var err error
	r.running, err = r.instances(cfgs, o.Allow)
	return r, err
}

// instances makes the pairs of actions and jails; none unless they are allowed.
func (r *Runner) instances(cfgs []Config, allow bool) ([]*instance, error) {
	var list []*instance
	for _, c := range cfgs {
		if !allow {
			continue
		}
		for _, jail := range c.Jails {
			d, err := Read(c.Action, jail)
			if err != nil {
				return nil, fmt.Errorf("action %s: %w", c.Name, err)
			}
			list = append(list, newInstance(c, jail, d, &r.o))
		}
	}
	return list, nil
}

// String names the task.
func (r *Runner) String() string { return "actions" }

// Ready is closed once Run serves.
func (r *Runner) Ready() <-chan struct{} { return r.ready }

// Run runs what is posted until ctx is done, then ends the bans of each action as fail2ban does when it
// stops, within a few seconds.
func (r *Runner) Run(ctx context.Context) error {
	r.mu.Lock()
	r.ctx = ctx
	for _, in := range r.running {
		r.startLocked(in)
	}
	r.mu.Unlock()
	close(r.ready)
	<-ctx.Done()
	r.mu.Lock()
	r.ctx = nil
	r.mu.Unlock()
	r.finished.Wait()
	return nil
}

func (r *Runner) startLocked(in *instance) {
	ctx, cancel := context.WithCancel(r.ctx)
	in.quit = cancel
	r.finished.Go(func() {
		defer cancel()
		in.run(ctx)
	})
}

// Swap puts another configuration in force: actions that are gone or changed are stopped, new ones
// begin with the bans that hold. On an error nothing changes.
func (r *Runner) Swap(cfgs []Config, allow bool) error {
	next, err := r.instances(cfgs, allow)
	if err != nil {
		return err
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	old := r.running
	r.running = nil
	for _, in := range next {
		i := slices.IndexFunc(old, in.same)
		if i >= 0 {
			r.running = append(r.running, old[i])
			old = slices.Delete(slices.Clone(old), i, i+1)
			continue
		}
		r.running = append(r.running, in)
		if r.ctx != nil {
			r.startLocked(in)
		}
	}
	for _, in := range old {
		if in.quit != nil {
			in.quit()
		}
	}
	return nil
}

// Post tells the actions of its jail of a ban that began or changed, or that was lifted. It never
// waits: what a queue of 4,096 has no room for is dropped and counted.
func (r *Runner) Post(b Ban, lifted bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, in := range r.running {
		if in.jail == b.Jail {
			in.post(event{b, lifted})
		}
	}
}

// Wants reports whether an action listens to the jail's bans.
func (r *Runner) Wants(jail string) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return slices.ContainsFunc(r.running, func(in *instance) bool { return in.jail == jail })
}

// Stats returns the numbers of all actions.
func (r *Runner) Stats() []Stats {
	r.mu.Lock()
	defer r.mu.Unlock()
	var list []Stats
	for _, in := range r.running {
		list = append(list, Stats{in.cfg.Name, in.jail, in.ran.Load(), in.failed.Load(), in.dropped.Load(), int64(len(in.queue))})
	}
	return list
}

const (
	maxQueue  = 4096
	stopLimit = 2 * time.Second // for all commands of an action that stops
)

// event is a ban or its end.
type event struct {
	ban    Ban
	lifted bool
}

// instance is one action in one jail.
type instance struct {
	cfg   Config
	jail  string
	def   *Definition
	o     *Options
	log   *slog.Logger
	queue chan event    // maxQueue deep; what does not fit is dropped
	quit  func()        // ends the goroutine; nil before its start
	began time.Time     // when it was made: bans from before are no news
	last  time.Duration // for all commands of the stop

	ran, failed, dropped atomic.Int64
}

func newInstance(c Config, jail string, d *Definition, o *Options) *instance {
	if c.Timeout == 0 {
		c.Timeout = defaultTimeout
	}
	return &instance{cfg: c, jail: jail, def: d, o: o, log: o.Log.With("action", c.Name, "jail", jail), queue: make(chan event, maxQueue), began: time.Now(), last: stopLimit}
}

// same reports whether another instance does the same in the same jail.
func (in *instance) same(other *instance) bool {
	a, b := in.cfg, other.cfg
	return a.Name == b.Name && a.User == b.User && a.Timeout == b.Timeout && in.jail == other.jail && reflect.DeepEqual(in.def, other.def)
}

func (in *instance) post(e event) {
	select {
	case in.queue <- e:
	default:
		if in.dropped.Add(1) == 1 {
			in.log.Warn("an action falls behind: it is no longer told of every ban")
		}
	}
}
