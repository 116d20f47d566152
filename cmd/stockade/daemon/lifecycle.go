package daemon

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
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
// for ctx or a failure, and stops them in reverse order.
func supervise(ctx context.Context, log *slog.Logger, stages [][]Task, serving func()) error {
	failed := make(chan error, 1)
	var started []*running
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
	for i := len(started) - 1; i >= 0; i-- {
		err = errors.Join(err, started[i].stop())
	}
	return err
}

func startAll(ctx context.Context, stages [][]Task, failed chan error, started *[]*running) error {
	for _, stage := range stages {
		first := len(*started)
		for _, t := range stage {
			*started = append(*started, start(t, failed))
		}
		for _, r := range (*started)[first:] {
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
