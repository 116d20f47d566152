package daemon

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"time"

	sd "github.com/coreos/go-systemd/v22/daemon"
)

// Task is a long-lived part of the daemon.
type Task interface {
	// Run works until ctx is done. Ending because ctx is done is success: it returns nil.
	Run(ctx context.Context) error
	// Ready is closed once, when the task can serve.
	Ready() <-chan struct{}
	// String names the task in errors and logs.
	String() string
}

// stopLimit is how long one stage may take to stop before it is left behind.
const stopLimit = 5 * time.Second

// slowStop is how long a task takes to stop before the log names it.
const slowStop = 100 * time.Millisecond

// running is a task at work.
type running struct {
	Task
	cancel context.CancelFunc
	done   chan struct{} // closed when Run returned
	err    error         // valid once done is closed
}

// start runs a task. When it ends before it was told to, that is sent to failed.
func start(t Task, failed chan<- error) *running {
	ctx, cancel := context.WithCancel(context.Background())
	r := &running{Task: t, cancel: cancel, done: make(chan struct{})}
	go func() {
		defer close(r.done)
		err := t.Run(ctx)
		if ctx.Err() != nil {
			r.err = err
			return
		}
		if err == nil {
			err = errors.New("ended without being told to")
		}
		select {
		case failed <- fmt.Errorf("%s: %w", t, err):
		default: // another failure stops the daemon already
		}
	}()
	return r
}

// stop ends the task and waits for it.
func (r *running) stop() error {
	r.cancel()
	select {
	case <-r.done:
	case <-time.After(stopLimit):
		return fmt.Errorf("stop %s: still busy after %s", r, stopLimit)
	}
	if r.err != nil {
		return fmt.Errorf("stop %s: %w", r, r.err)
	}
	return nil
}

// supervise starts the stages in order, each when the one before is ready, calls serving, waits
// for ctx or a failure, and stops them in reverse order, the tasks of a stage together.
func supervise(ctx context.Context, log *slog.Logger, stages [][]Task, serving func()) error {
	failed := make(chan error, 1)
	var started [][]*running
	err := startAll(ctx, stages, failed, &started)
	if err == nil && ctx.Err() == nil {
		serving()
		select {
		case <-ctx.Done():
		case err = <-failed:
		}
	}
	log.Info("stopping")
	notifySystemd(sd.SdNotifyStopping)
	begin := time.Now()
	var slow []string
	for _, stage := range slices.Backward(started) {
		err = errors.Join(err, stopAll(stage, &slow))
	}
	log.Info("stopped", "took", time.Since(begin).Round(time.Millisecond).String(), "slow", strings.Join(slow, ", "))
	return err
}

// stopAll stops the tasks of a stage and adds to slow which of them took long.
func stopAll(stage []*running, slow *[]string) error {
	errs, took := make([]error, len(stage)), make([]time.Duration, len(stage))
	begin := time.Now()
	var stopping sync.WaitGroup
	for i, r := range stage {
		stopping.Go(func() { errs[i], took[i] = r.stop(), time.Since(begin) })
	}
	stopping.Wait()
	for i, r := range stage {
		if took[i] >= slowStop {
			*slow = append(*slow, fmt.Sprintf("%s %s", r, took[i].Round(time.Millisecond)))
		}
	}
	return errors.Join(errs...)
}

func startAll(ctx context.Context, stages [][]Task, failed chan error, started *[][]*running) error {
	for _, stage := range stages {
		tasks := make([]*running, len(stage))
		for i, t := range stage {
			tasks[i] = start(t, failed)
		}
		*started = append(*started, tasks)
		for _, r := range tasks {
			select {
			case <-r.Ready():
			case err := <-failed:
				return err
			case <-ctx.Done():
				return nil
			}
		}
	}
	return nil
}
