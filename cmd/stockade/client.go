package main

import (
	"context"
	"errors"
	"path/filepath"

	"github.com/spf13/cobra"

	"stockade/cmd/stockade/client"
	"stockade/cmd/stockade/config"
	"stockade/cmd/stockade/control"
	"stockade/cmd/stockade/daemon"
)

// habitName is the name under which this program is what fail2ban's users know.
const habitName = "fail2ban-client"

// habit returns the arguments of a command line; called by the name of fail2ban-client they are
// those of `client`.
func habit(argv []string) []string {
	if len(argv) > 0 && filepath.Base(argv[0]) == habitName {
		return append([]string{"client"}, argv[1:]...)
	}
	return argv[min(1, len(argv)):]
}

func (a *app) client() *cobra.Command {
	c := &cobra.Command{
		Use:   "client COMMAND…",
		Short: "Answer the commands of fail2ban-client as fail2ban does",
		Long: `Answer the commands of fail2ban-client as fail2ban does.

Under the name fail2ban-client (a symbolic link to stockade) the word client is left out:

    ln -s $(command -v stockade) /usr/local/bin/fail2ban-client`,
		DisableFlagParsing: true, // its options are fail2ban's
	}
	return a.verb(c, func(ctx context.Context, args []string) error {
		return clientError(client.Run(ctx, client.Options{
			Out: a.stdout, Err: a.stderr, File: a.config, Socket: a.socket,
			Dial:    a.dialFor,
			Load:    loadConfig,
			Check:   checkLines,
			Session: ownLogin(),
			Version: control.BuildVersion().Version,
		}, args))
	})
}

// dialFor connects to the daemon of a file or socket.
func (a *app) dialFor(ctx context.Context, file, socket string) (client.Daemon, func(), error) {
	c, err := (&app{stderr: a.stderr, config: file, socket: socket}).dial(ctx)
	if err != nil {
		return nil, nil, err
	}
	return c, c.Close, nil
}

func loadConfig(file string) (*config.Config, error) {
	l, err := config.Load(config.ProcessOptions(file))
	if err != nil {
		return nil, &codedError{err, exitUsage}
	}
	return l.Config, nil
}

func checkLines(file string) []string {
	var lines []string
	for _, p := range daemon.Check(daemon.CheckOptions{Config: file}) {
		if p.Severity == config.SeverityError {
			lines = append(lines, control.Escape(p.String()))
		}
	}
	return lines
}

// clientError gives an answer its exit code.
func clientError(err error) error {
	var refused *client.Refusal
	var usage *client.UsageError
	switch {
	case errors.As(err, &refused):
		return &codedError{errNegative, exitUsage}
	case errors.As(err, &usage):
		return &codedError{err, exitUsage}
	}
	return err
}
