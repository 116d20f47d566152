package daemon

import (
	"context"
	"fmt"
	"log/slog"
	"os"
	"reflect"
	"slices"
	"sync"
	"time"

	"stockade/cmd/stockade/config"
	"stockade/cmd/stockade/control"
	"stockade/jails"
	"stockade/jails/state"
	"stockade/pipeline"
	"stockade/receiver"
)

// trial is a configuration that waits for its confirmation. The zero value is one that needs none. Its
// methods may be called concurrently.
type trial struct {
	mu     sync.Mutex
	back   *built        // the last confirmed configuration; nil: the one in force is
	since  time.Time     // when it was left
	until  time.Time     // when it comes back
	note   string        // what became of the last trial, until the next reload
	change chan struct{} // capacity 1: until may be another
}

func newTrial() *trial { return &trial{change: make(chan struct{}, 1)} }

// reloaded notes that another configuration took the place of before. confirm is the time it may stay
// without a confirmation; 0 asks for none. It returns when it goes back, zero for never.
func (t *trial) reloaded(before *built, confirm time.Duration, now time.Time) time.Time {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.note = ""
	if confirm > 0 {
		if t.back == nil {
			t.back, t.since = before, now
		}
		t.until = now.Add(confirm)
		t.signal()
	}
	return t.until
}

func (t *trial) signal() {
	select {
	case t.change <- struct{}{}:
	default: // one that was not seen yet says the same
	}
}

// keep confirms the configuration in force.
func (t *trial) keep(log *slog.Logger) error {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.back == nil {
		return &control.Error{Code: control.CodeNotFound, Message: "no configuration waits for a confirmation" + t.hint()}
	}
	t.back, t.until = nil, time.Time{}
	t.signal()
	log.Info("the configuration is confirmed")
	return nil
}

func (t *trial) hint() string {
	if t.note == "" {
		return ""
	}
	return ": " + t.note
}

// due takes the configuration to go back to when its time has come; nil when it has not.
func (t *trial) due(now time.Time) (back *built, since time.Time) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.back == nil || now.Before(t.until) {
		return nil, time.Time{}
	}
	back, since = t.back, t.since
	t.back, t.until = nil, time.Time{}
	t.note = fmt.Sprintf("the configuration of %s was not confirmed in time and is not in force; the files still hold it, and a restart would read them",
		since.Format(time.RFC3339))
	return back, since
}

// wait is how long it is until due may have something, and false when nothing waits.
func (t *trial) wait(now time.Time) (time.Duration, bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	return max(0, t.until.Sub(now)), t.back != nil
}

// report is what status shows.
func (t *trial) report() (pending *control.Pending, note string) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.back != nil {
		pending = &control.Pending{Since: t.since, Until: t.until}
	}
	return pending, t.note
}

func (d *daemon) sayWaiting(until time.Time) {
	if !until.IsZero() {
		d.log.Warn("the configuration goes back unless it is confirmed: stockade reload confirm", "until", until.Format(time.RFC3339))
	}
}

// goBack puts the last confirmed configuration in force again when the time for a confirmation is
// over, and lifts the bans that only the unconfirmed one would have made: the operator may be among
// them.
func (d *daemon) goBack(ctx context.Context) {
	d.reloading.Lock()
	defer d.reloading.Unlock()
	back, since := d.trial.due(time.Now())
	if back == nil {
		return
	}
	tried := d.current.get()
	d.log.Warn("the configuration was not confirmed in time and goes back")
	sources, err := receiver.NewSources(back.loaded.Config.Sources, d.registry.Load())
	if err == nil {
		back.sources = sources
		err = d.put(ctx, back)
	}
	if err != nil && ctx.Err() == nil {
		d.log.Error("the last confirmed configuration cannot be put in force again", "err", err)
		d.degraded.set("reload", fmt.Sprintf("the unconfirmed configuration stays in force, because the last one cannot be put in force again: %v", err))
		return
	}
	changed := changedJails(tried.loaded.Config, back.loaded.Config)
	lifted, err := d.pipeline.Unban(ctx, func(b *state.Ban) bool {
		return changed[b.Jail] && b.Source != pipeline.SourceOperator && !b.Shadow && (!b.Start.Before(since) || !enforces(back.all, b.Jail))
	})
	if err != nil && ctx.Err() == nil {
		d.log.Warn("bans of the unconfirmed configuration could not be lifted yet", "err", err)
	}
	d.log.Info("the last confirmed configuration is in force again", "jails", len(back.bound), "unbanned", len(lifted))
}

// changedJails names the jails of a configuration that are not just so in another.
func changedJails(of, in *config.Config) map[string]bool {
	m := make(map[string]bool)
	for _, j := range of.Jails {
		m[j.Name] = !reflect.DeepEqual(of.Defaults, in.Defaults) || !slices.ContainsFunc(in.Jails, func(x jails.Config) bool {
			return reflect.DeepEqual(j, x)
		})
	}
	return m
}

func enforces(list []*jails.Jail, name string) bool {
	for _, j := range list {
		if j.Name == name {
			return j.Enabled && j.Enforce
		}
	}
	return false
}

// reloader is the task that reloads at each SIGHUP, and goes back from a configuration that nobody
// confirmed.
type reloader struct {
	d      *daemon
	hangup <-chan os.Signal
	ready  chan struct{}
}

func newReloader(d *daemon, hangup <-chan os.Signal) *reloader {
	return &reloader{d: d, hangup: hangup, ready: make(chan struct{})}
}

// String names the task.
func (r *reloader) String() string { return "reloader" }

// Ready is closed once it listens.
func (r *reloader) Ready() <-chan struct{} { return r.ready }

// Run works until ctx is done.
func (r *reloader) Run(ctx context.Context) error {
	if _, err := r.d.promote(ctx, nil); err != nil && ctx.Err() == nil {
		r.d.log.Warn("the recorded bans of a jail that enforces now do not all hold yet", "err", err)
	}
	close(r.ready)
	timer := time.NewTimer(time.Hour)
	defer timer.Stop()
	for {
		timer.Stop()
		if left, waits := r.d.trial.wait(time.Now()); waits {
			timer.Reset(left)
		}
		select {
		case <-ctx.Done():
			return nil
		case <-r.hangup:
			if _, err := r.d.Reload(ctx, control.ReloadRequest{}); err != nil {
				r.d.log.Warn("reload refused; the configuration in force stays", "err", err)
			}
		case <-r.d.trial.change:
		case <-timer.C:
			r.d.goBack(ctx)
		}
	}
}
