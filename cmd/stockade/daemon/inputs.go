package daemon

import (
	"context"
	"errors"
	"log/slog"
	"maps"
	"reflect"
	"slices"
	"sync"
)

// inputs are the running listeners, tails and journals. As a Task it runs until ctx is done; Swap
// changes the set while it runs.
type inputs struct {
	log    *slog.Logger
	ready  chan struct{}
	failed chan error

	mu    sync.Mutex
	ended bool     // Run stops them: none is started any more
	order []string // keys in the order of the configuration
	open  map[string]*input
}

// plug says how an input is opened. Two plugs of the same key and an equal config are the same.
type plug struct {
	key    string // "listener lan"
	path   string // in the configuration: "listeners[0]"
	config any
	open   func() (Task, error)
}

// inputError is an input that cannot be opened.
type inputError struct {
	path string // in the configuration
	err  error
}

// Error returns the cause.
func (e *inputError) Error() string { return e.err.Error() }

// Unwrap returns the cause.
func (e *inputError) Unwrap() error { return e.err }

// input is an open one; it runs when running is set.
type input struct {
	plug
	task    Task
	running *running
}

func newInputs(log *slog.Logger) *inputs {
	return &inputs{log: log, ready: make(chan struct{}), failed: make(chan error, 1), open: make(map[string]*input)}
}

// String names the task.
func (in *inputs) String() string { return "inputs" }

// Ready is closed when all inputs that were opened before Run take lines.
func (in *inputs) Ready() <-chan struct{} { return in.ready }

// Open opens the inputs of a configuration. On an error those opened are closed again.
func (in *inputs) Open(plugs []plug) error {
	in.mu.Lock()
	defer in.mu.Unlock()
	for _, p := range plugs {
		if err := in.openLocked(p); err != nil {
			return errors.Join(err, in.closeIdleLocked())
		}
	}
	in.setOrderLocked(plugs)
	return nil
}

// Close closes what was opened and never ran.
func (in *inputs) Close() error {
	in.mu.Lock()
	defer in.mu.Unlock()
	return in.closeIdleLocked()
}

func (in *inputs) closeIdleLocked() error {
	var errs error
	for key, i := range in.open {
		if i.running == nil {
			errs = errors.Join(errs, closeTask(i.task))
			delete(in.open, key)
		}
	}
	return errs
}

// closeTask closes a task that never ran, where it holds something.
func closeTask(t Task) error {
	if c, ok := t.(interface{ Close() error }); ok {
		return c.Close()
	}
	return nil
}

func (in *inputs) openLocked(p plug) error {
	t, err := p.open()
	if err != nil {
		return &inputError{p.path, err}
	}
	in.open[p.key] = &input{plug: p, task: t}
	return nil
}

func (in *inputs) setOrderLocked(plugs []plug) {
	in.order = in.order[:0]
	for _, p := range plugs {
		in.order = append(in.order, p.key)
	}
}

// Run runs all inputs until ctx is done, then stops them together.
func (in *inputs) Run(ctx context.Context) error {
	in.mu.Lock()
	for _, i := range in.open {
		if i.running == nil { // a reload came before
			i.running = start(i.task, in.failed)
		}
	}
	for _, i := range in.open {
		select {
		case <-i.running.Ready():
		case <-ctx.Done():
		}
	}
	in.mu.Unlock()
	close(in.ready)
	var err error
	select {
	case <-ctx.Done():
	case err = <-in.failed:
	}
	in.mu.Lock()
	defer in.mu.Unlock()
	in.ended = true
	all := slices.Collect(maps.Values(in.open))
	errs := make([]error, len(all))
	var stopping sync.WaitGroup
	for n, i := range all {
		stopping.Go(func() { errs[n] = i.running.stop() })
	}
	stopping.Wait()
	return errors.Join(err, errors.Join(errs...))
}

// Swap makes the running inputs those of a new configuration. Unchanged ones go on and read their
// certificates again. A changed one is closed before its successor opens, because they may share
// an address. When a new one cannot be opened, everything is as before and the error says why.
func (in *inputs) Swap(plugs []plug) error {
	in.mu.Lock()
	defer in.mu.Unlock()
	if in.ended {
		return errors.New("stockade is stopping")
	}
	wanted := make(map[string]plug, len(plugs))
	for _, p := range plugs {
		wanted[p.key] = p
	}
	var closed []plug
	for key, i := range in.open {
		p, stays := wanted[key]
		if !stays || !reflect.DeepEqual(i.config, p.config) {
			closed = append(closed, i.plug)
			continue
		}
		if r, ok := i.task.(interface{ Reload() error }); ok {
			if err := r.Reload(); err != nil {
				return &inputError{p.path, err}
			}
		}
	}
	for _, p := range closed {
		in.closeLocked(p.key)
	}
	var opened []plug
	for _, p := range plugs {
		if in.open[p.key] != nil {
			continue
		}
		if err := in.startLocked(p); err != nil {
			for _, o := range opened {
				in.closeLocked(o.key)
			}
			for _, c := range closed {
				err = errors.Join(err, in.startLocked(c))
			}
			return err
		}
		opened = append(opened, p)
	}
	in.setOrderLocked(plugs)
	return nil
}

func (in *inputs) startLocked(p plug) error {
	if err := in.openLocked(p); err != nil {
		return err
	}
	i := in.open[p.key]
	i.running = start(i.task, in.failed)
	return nil
}

func (in *inputs) closeLocked(key string) {
	i := in.open[key]
	stop := func() error { return closeTask(i.task) }
	if i.running != nil {
		stop = i.running.stop
	}
	if err := stop(); err != nil {
		in.log.Warn("an input did not stop cleanly", "input", key, "err", err)
	}
	delete(in.open, key)
}

// each calls f with every open input, in the order of the configuration.
func (in *inputs) each(f func(Task)) {
	in.mu.Lock()
	defer in.mu.Unlock()
	for _, key := range in.order {
		if i := in.open[key]; i != nil {
			f(i.task)
		}
	}
}
