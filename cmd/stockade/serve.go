package main

import (
	"context"
	"errors"
	"runtime/debug"
	"syscall"

	"github.com/spf13/cobra"

	"stockade/cmd/stockade/config"
	"stockade/cmd/stockade/daemon"
	"stockade/firewall"
)

func (a *app) serve() *cobra.Command {
	var observe bool
	c := &cobra.Command{
		Use:   "serve",
		Short: "Run the daemon: receive log lines, find abuse, ban at the firewall",
		Long: `Run the daemon: receive log lines, find abuse, ban at the firewall.

It stops on SIGINT and SIGTERM and reads its configuration again on SIGHUP. Bans stay in the
kernel when it stops.`,
		Args: cobra.NoArgs,
	}
	c.Flags().BoolVar(&observe, "observe", false, "record bans, enforce none")
	return a.verb(c, func(ctx context.Context, _ []string) error {
		// A crash, or the watchdog's SIGABRT, ends by that signal: Go's exit code for it is 2, which
		// says that the configuration is bad, and systemd would not start such a daemon again.
		debug.SetTraceback("crash")
		if a.socket != "" {
			return usagef("serve: the socket is control.socket of the configuration")
		}
		return serveError(daemon.Run(ctx, daemon.Options{
			Config: a.config, Observe: observe, Stderr: a.stderr, Serving: lazyCollector(),
		}))
	})
}

// lazyCollector lets garbage lie while the daemon starts, which takes a fifth of the time from it, and
// returns what collects as usual from then on and gives the kernel back what only the start needed.
func lazyCollector() (serving func()) {
	const start = 400 // percent: 16 MB are the least heap that is collected then
	usual := debug.SetGCPercent(start)
	if usual < 0 || usual > start {
		debug.SetGCPercent(usual) // GOGC asks for more yet
	}
	return func() {
		debug.SetGCPercent(usual)
		go debug.FreeOSMemory()
	}
}

// serveError gives an error of the daemon its exit code.
func serveError(err error) error {
	var bad *config.Errors
	switch {
	case err == nil:
		return nil
	case errors.As(err, &bad), errors.Is(err, syscall.EADDRINUSE), errors.Is(err, syscall.EADDRNOTAVAIL):
		return &codedError{err, exitUsage}
	case errors.Is(err, firewall.ErrCapability), errors.Is(err, syscall.EACCES), errors.Is(err, syscall.EPERM):
		return &codedError{err, exitPermission}
	}
	return err
}
