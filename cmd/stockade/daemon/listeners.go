package daemon

import (
	"context"
	"errors"
	"log/slog"
	"os"
	"reflect"
	"sync"

	"stockade/receiver"
)

// listeners are the running listeners. As a Task it runs until ctx is done; Swap changes the set
// while it runs.
type listeners struct {
	registry  *receiver.Registry
	open      receiver.Opener
	log       *slog.Logger
	inherited map[string][]*os.File // sockets that systemd passed in, by listener; open as long as we are
	ready     chan struct{}
	failed    chan error

	mu      sync.Mutex
	order   []string // names in the order of the configuration
	running map[string]*running
	bound   map[string]*receiver.Listener
	configs map[string]receiver.ListenerConfig
}

func newListeners(registry *receiver.Registry, open receiver.Opener, log *slog.Logger) *listeners {
	return &listeners{
		registry: registry, open: open, log: log, inherited: receiver.Inherited(),
		ready: make(chan struct{}), failed: make(chan error, 1),
		running: make(map[string]*running),
		bound:   make(map[string]*receiver.Listener),
		configs: make(map[string]receiver.ListenerConfig),
	}
}

// String names the task.
func (l *listeners) String() string { return "listeners" }

// Ready is closed when all listeners that were bound before Run take lines.
func (l *listeners) Ready() <-chan struct{} { return l.ready }

// Bind opens the sockets of a configuration. On an error those opened are closed again.
func (l *listeners) Bind(configs []receiver.ListenerConfig) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, c := range configs {
		if err := l.bindLocked(c); err != nil {
			for _, b := range l.bound {
				err = errors.Join(err, b.Close())
			}
			clear(l.bound)
			return err
		}
	}
	for name := range l.inherited {
		if _, ok := l.configs[name]; !ok {
			l.log.Warn("systemd passed in a socket that no listener is named after (FileDescriptorName= of the socket unit)", "socket", name)
		}
	}
	l.setOrderLocked(configs)
	return nil
}

func (l *listeners) bindLocked(c receiver.ListenerConfig) error {
	b, err := receiver.Listen(receiver.Options{Config: c, Registry: l.registry, Open: l.open, Log: l.log, Inherited: l.inherited[c.Name]})
	if err != nil {
		return err
	}
	l.bound[c.Name], l.configs[c.Name] = b, c
	return nil
}

func (l *listeners) setOrderLocked(configs []receiver.ListenerConfig) {
	l.order = l.order[:0]
	for _, c := range configs {
		l.order = append(l.order, c.Name)
	}
}

// Run runs all listeners until ctx is done, then stops them together.
func (l *listeners) Run(ctx context.Context) error {
	l.mu.Lock()
	for name, b := range l.bound {
		l.running[name] = start(b, l.failed)
	}
	for _, r := range l.running {
		<-r.Ready()
	}
	l.mu.Unlock()
	close(l.ready)
	var err error
	select {
	case <-ctx.Done():
	case err = <-l.failed:
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	var stopping sync.WaitGroup
	errs := make(chan error, len(l.running))
	for _, r := range l.running {
		stopping.Go(func() { errs <- r.stop() })
	}
	stopping.Wait()
	close(errs)
	for e := range errs {
		err = errors.Join(err, e)
	}
	return err
}

// Swap makes the running listeners those of a new configuration. Unchanged ones keep their
// connections and read their certificates again.
// A changed one is closed before its successor opens, because they may share an address. When a
// new one cannot be opened, everything is as before and the error says why.
func (l *listeners) Swap(configs []receiver.ListenerConfig) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	wanted := make(map[string]receiver.ListenerConfig, len(configs))
	for _, c := range configs {
		wanted[c.Name] = c
	}
	for name, old := range l.configs {
		if c, ok := wanted[name]; ok && reflect.DeepEqual(old, c) {
			if err := l.bound[name].Reload(); err != nil {
				return err
			}
		}
	}
	var closed []receiver.ListenerConfig
	for name, old := range l.configs {
		if c, ok := wanted[name]; !ok || !reflect.DeepEqual(old, c) {
			closed = append(closed, old)
			l.closeLocked(name)
		}
	}
	var opened []string
	for _, c := range configs {
		if _, ok := l.bound[c.Name]; ok {
			continue
		}
		if err := l.bindLocked(c); err != nil {
			for _, name := range opened {
				l.closeLocked(name)
			}
			return errors.Join(err, l.reopenLocked(closed))
		}
		opened = append(opened, c.Name)
		l.running[c.Name] = start(l.bound[c.Name], l.failed)
	}
	l.setOrderLocked(configs)
	return nil
}

func (l *listeners) reopenLocked(configs []receiver.ListenerConfig) error {
	var errs error
	for _, c := range configs {
		if err := l.bindLocked(c); err != nil {
			errs = errors.Join(errs, err)
			continue
		}
		l.running[c.Name] = start(l.bound[c.Name], l.failed)
	}
	return errs
}

func (l *listeners) closeLocked(name string) {
	if err := l.running[name].stop(); err != nil {
		l.log.Warn("a listener did not stop cleanly", "listener", name, "err", err)
	}
	delete(l.running, name)
	delete(l.bound, name)
	delete(l.configs, name)
}

// Stats returns the counters of all listeners, in the order of the configuration.
func (l *listeners) Stats() []receiver.ListenerStats {
	l.mu.Lock()
	defer l.mu.Unlock()
	all := make([]receiver.ListenerStats, 0, len(l.order))
	for _, name := range l.order {
		if b := l.bound[name]; b != nil {
			all = append(all, b.Stats())
		}
	}
	return all
}
