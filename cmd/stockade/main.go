// Command stockade receives log lines, finds abuse in them and bans its senders at the firewall.
//
// `stockade serve` is the daemon; every other verb asks it over its control socket, or only
// reads files. Exit codes: 0 done, 1 a negative answer, 2 usage or configuration, 3 the daemon
// cannot be reached, 4 not permitted.
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"strings"
	"syscall"

	"github.com/spf13/cobra"

	"stockade/cmd/stockade/control"
	"stockade/jails/filter"
)

func main() { os.Exit(run(habit(os.Args), os.Stdin, os.Stdout, os.Stderr)) }

// app is what all verbs share: where they read and write, and the flags that every verb takes.
type app struct {
	stdin  io.Reader
	stdout io.Writer
	stderr io.Writer

	config string // --config: "" is the file that serve would read
	socket string // --socket: "" is the one of the configuration
	json   bool   // --json of the verbs that have it
	began  bool   // a verb's own code runs: errors are no longer about usage by themselves
}

// run executes one command line and returns the exit code.
func run(args []string, stdin io.Reader, stdout, stderr io.Writer) int {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	a := &app{stdin: stdin, stdout: stdout, stderr: stderr}
	root := a.root()
	root.SetArgs(args)
	root.SetIn(stdin)
	root.SetOut(stdout)
	root.SetErr(stderr)
	err := root.ExecuteContext(ctx)
	if err != nil && !a.began {
		err = &usageError{err}
	}
	a.complain(err)
	return exitCode(err)
}

func (a *app) root() *cobra.Command {
	root := &cobra.Command{
		Use:           "stockade",
		Short:         "Receives log lines, finds abuse in them and bans its senders at the firewall",
		SilenceErrors: true,
		SilenceUsage:  true,
		RunE: func(c *cobra.Command, _ []string) error {
			_ = c.Help()
			return errors.New("no command given")
		},
	}
	root.CompletionOptions.SetDefaultShellCompDirective(cobra.ShellCompDirectiveNoFileComp)
	root.PersistentFlags().StringVar(&a.config, "config", "", "configuration `file` (default: the one serve would read)")
	root.PersistentFlags().StringVar(&a.socket, "socket", "", "control socket `path` of the daemon (default: the configuration's)")
	root.AddCommand(
		a.serve(), a.check(),
		a.status(), a.jails(), a.sources(), a.bans(), a.explain(),
		a.ban(), a.unban(), a.approve(), a.reload(), a.ping(), a.version(), a.regex(), a.filters(), a.pki(),
		a.replay(), a.doctor(), a.notify(), a.firewall(), a.shadow(), a.promote(), a.canary(), a.log(),
		a.configs(), a.client(), a.top(), a.imports(), a.compare(), a.man(),
	)
	return root
}

// verb finishes a command: its code is run as f, with the standing that usage was right.
func (a *app) verb(c *cobra.Command, f func(ctx context.Context, args []string) error) *cobra.Command {
	c.RunE = func(c *cobra.Command, args []string) error {
		a.began = true
		return f(c.Context(), args)
	}
	return c
}

// reading finishes a command that takes --json.
func (a *app) reading(c *cobra.Command, f func(ctx context.Context, args []string) error) *cobra.Command {
	c.Flags().BoolVar(&a.json, "json", false, "print JSON")
	return a.verb(c, f)
}

// The exit codes.
const (
	exitDone        = 0
	exitNegative    = 1
	exitUsage       = 2
	exitUnreachable = 3
	exitPermission  = 4
)

// errNegative is a negative answer that was printed already: exit 1 without a further word.
var errNegative = errors.New("negative answer")

// usageError is a command line that makes no sense.
type usageError struct{ error }

func usagef(format string, args ...any) error { return &usageError{fmt.Errorf(format, args...)} }

// codedError is an error with the exit code that its verb chose.
type codedError struct {
	error
	code int
}

func (e *codedError) Unwrap() error { return e.error }

func exitCode(err error) int {
	var usage *usageError
	var coded *codedError
	var gone *control.UnreachableError
	var refused *control.Error
	switch {
	case err == nil:
		return exitDone
	case errors.As(err, &usage):
		return exitUsage
	case errors.As(err, &coded):
		return coded.code
	case errors.As(err, &gone):
		return exitUnreachable
	case errors.As(err, &refused):
		switch refused.Code {
		case control.CodeUsage, control.CodeBadConfig:
			return exitUsage
		case control.CodeNotPermitted:
			return exitPermission
		}
	}
	return exitNegative
}

// complain prints an error to stderr: one line, or one a problem.
func (a *app) complain(err error) {
	if err == nil || errors.Is(err, errNegative) {
		return
	}
	var refused *control.Error
	if errors.As(err, &refused) {
		for _, p := range refused.Problems {
			a.errorLine(problemLine(p))
		}
	}
	for line := range strings.Lines(err.Error()) {
		if line = strings.TrimSpace(line); line != "" {
			a.errorLine("stockade: " + line)
		}
	}
	var pattern *filter.Error
	if errors.As(err, &pattern) {
		for line := range strings.Lines(pattern.Caret()) {
			a.errorLine("    " + strings.TrimRight(line, "\n"))
		}
	}
	var usage *usageError
	switch {
	case errors.As(err, &usage):
		a.errorLine("hint: stockade help lists the commands and their flags")
	case exitCode(err) == exitPermission && refused != nil:
		a.errorLine("hint: run it as root, or join the group that control.group names")
	}
}

func (a *app) errorLine(s string) { _, _ = fmt.Fprintln(a.stderr, control.Escape(s)) }
