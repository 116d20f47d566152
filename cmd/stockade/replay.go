package main

import (
	"bufio"
	"context"
	"errors"
	"io/fs"
	"path/filepath"
	"runtime/debug"
	"time"

	"github.com/spf13/cobra"

	"stockade/cmd/stockade/config"
	"stockade/cmd/stockade/replay"
)

// replayOptions are the flags of `replay`.
type replayOptions struct {
	against, app, source, now, timezone string
	workers                             int
}

func (a *app) replay() *cobra.Command {
	var o replayOptions
	c := &cobra.Command{
		Use:   "replay LOG… [--against OTHER.yaml]",
		Short: "Say which bans a configuration would have made of old logs",
		Long: `Say which bans a configuration would have made of old logs, without a daemon.

A LOG is a file, plain or compressed by gzip or bzip2, a journal export, or - for standard input:

    stockade replay /var/log/auth.log*
    journalctl -o export --since -7d | stockade replay -

The lines count in their own time; several logs are merged by it. With --against only the bans are
shown that one of two configurations makes and the other does not. What a line's sender proves
(trust, grants, origin, quotas) is not looked at, because a log does not hold it.`,
		Args: cobra.MinimumNArgs(1),
	}
	f := c.Flags()
	f.StringVar(&o.against, "against", "", "show only what this other configuration `file` makes different")
	f.StringVar(&o.app, "app", "", "the app `name` of lines without a syslog header (default the one of the tail that reads the log)")
	f.StringVar(&o.source, "source", "", "the `name` of the source of all lines (default each log's own name)")
	f.StringVar(&o.now, "now", "", "the `time` it was (RFC 3339), which chooses the year of dates without one (default when the log was last written)")
	f.StringVar(&o.timezone, "timezone", "", "the `zone` of dates without one, such as Europe/Berlin (default the local one)")
	f.IntVar(&o.workers, "workers", 0, "how many `threads` match (default one per processor)")
	return a.reading(c, func(ctx context.Context, args []string) error {
		return a.runReplay(ctx, &o, args)
	})
}

func (o *replayOptions) read(a *app, logs []string) (replay.Options, error) {
	r := replay.Options{Logs: logs, Stdin: a.stdin, App: o.app, Source: o.source, Workers: o.workers, Zone: time.Local}
	if o.workers < 0 {
		return r, usagef("--workers %d: must be at least 1", o.workers)
	}
	if o.timezone != "" {
		zone, err := time.LoadLocation(o.timezone)
		if err != nil {
			return r, usagef("--timezone %q: no such zone", o.timezone)
		}
		r.Zone = zone
	}
	if o.now != "" {
		t, err := time.Parse(time.RFC3339, o.now)
		if err != nil {
			return r, usagef("--now %q: not an RFC 3339 time, such as 2026-11-24T10:00:00Z", o.now)
		}
		r.Now = t
	}
	var err error
	if r.Policy, err = loadPolicy(a.config); err == nil && o.against != "" {
		r.Against, err = loadPolicy(o.against)
	}
	return r, err
}

func loadPolicy(file string) (*replay.Policy, error) {
	opts := config.ProcessOptions(file)
	opts.StrictEnv = true
	p, err := replay.Load(opts)
	if err != nil {
		return nil, &codedError{err, exitUsage}
	}
	return p, nil
}

func (a *app) runReplay(ctx context.Context, o *replayOptions, logs []string) error {
	r, err := o.read(a, logs)
	if err != nil {
		return err
	}
	debug.SetGCPercent(400) // a short life with little to keep: a fifth of the time is saved
	out := bufio.NewWriter(a.stdout)
	v := &replayView{app: &app{stdout: out}, json: a.json, out: out, bar: newBar(a.stderr)}
	if _, v.live = terminal(a.stdout); v.bar.on {
		r.Progress = v.bar.show
	}
	diff := replay.Diff{}
	r.OnBan = func(_ int, b *replay.Ban) { v.ban("", b) }
	if r.Against != nil {
		r.OnBan = diff.Add
	}
	sums, err := replay.Run(ctx, r)
	v.bar.clear()
	if err != nil {
		return errors.Join(logError(err), out.Flush())
	}
	for _, d := range diff.List() {
		v.ban(sideNames[d.Side], d.Ban)
	}
	v.summary(sums, diff.Same)
	return errors.Join(v.err, out.Flush())
}

// logError gives the error of a log its exit code.
func logError(err error) error {
	switch {
	case errors.Is(err, fs.ErrPermission):
		return &codedError{err, exitPermission}
	case errors.Is(err, context.Canceled):
		return errors.New("stopped before the end of the logs: the bans are not complete")
	}
	return &codedError{err, exitUsage}
}

// sideNames say which configuration alone makes a ban.
var sideNames = [...]string{"config", "against"}

// shortFile is a log's name in a list: the end of its path.
func shortFile(name string) string {
	if name == "-" {
		return "stdin"
	}
	return filepath.Base(name)
}
