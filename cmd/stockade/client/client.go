package client

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/netip"
	"slices"
	"strings"

	"stockade/cmd/stockade/config"
	"stockade/cmd/stockade/control"
)

// Daemon is what is asked; *control.Client is one.
type Daemon interface {
	Ping(ctx context.Context) error
	Version(ctx context.Context) (control.Version, error)
	Status(ctx context.Context) (control.Status, error)
	JailReport(ctx context.Context, jail string) (control.JailReport, error)
	Jails(ctx context.Context) (control.List[control.Jail], error)
	Bans(ctx context.Context, jail string) (control.List[control.Ban], error)
	Ban(ctx context.Context, r control.BanRequest) (control.BanResult, error)
	Unban(ctx context.Context, r control.UnbanRequest) (control.UnbanResult, error)
	Reload(ctx context.Context, r control.ReloadRequest) (control.ReloadResult, error)
	Log(ctx context.Context) (control.LogState, error)
	SetLog(ctx context.Context, r control.LogRequest) (control.LogState, error)
}

// Options say how to answer.
type Options struct {
	Out, Err io.Writer

	File   string // configuration file; "": the default one. --config in the arguments replaces it
	Socket string // control socket; "": the configuration's. --socket in the arguments replaces it

	// Dial connects to the daemon of a configuration file or socket; done lets it go again.
	Dial func(ctx context.Context, file, socket string) (d Daemon, done func(), err error)
	// Load reads the configuration of a file.
	Load func(file string) (*config.Config, error)
	// Check returns the errors of a configuration, one line each.
	Check func(file string) []string
	// Session is the address that the caller is logged in from, so as not to lock him out.
	Session netip.Addr
	Version string
}

// Refusal is an answer that fail2ban gives on standard output, with exit code 255 there. It was
// printed already.
type Refusal struct{ Text string }

// Error returns the text.
func (r *Refusal) Error() string { return r.Text }

// UsageError is a command line that Stockade refuses; the text names the native way.
type UsageError struct{ Text string }

// Error returns the text.
func (u *UsageError) Error() string { return u.Text }

func usagef(format string, args ...any) error { return &UsageError{fmt.Sprintf(format, args...)} }

// errNothing is an address that was to be unbanned with --report-absent and is not banned.
var errNothing = errors.New("nothing to unban")

// session is one command line at work.
type session struct {
	Options
	daemon Daemon
	done   func()
}

// Run answers one command line, without the program's name. The error is a *Refusal, a *UsageError,
// or what Dial, Load or the daemon said.
func Run(ctx context.Context, o Options, args []string) error {
	s := &session{Options: o}
	defer s.close()
	args, done, err := s.options(args)
	if err != nil || done {
		return err
	}
	if len(args) == 0 {
		s.help()
		return usagef("no command given")
	}
	return s.command(ctx, args)
}

func (s *session) close() {
	if s.done != nil {
		s.done()
	}
}

// dial connects once.
func (s *session) dial(ctx context.Context) (Daemon, error) {
	if s.daemon != nil {
		return s.daemon, nil
	}
	var err error
	s.daemon, s.done, err = s.Dial(ctx, s.File, s.Socket)
	return s.daemon, err
}

func (s *session) say(format string, args ...any) error {
	for i, a := range args {
		if text, ok := a.(string); ok {
			args[i] = control.Escape(text)
		}
	}
	_, err := fmt.Fprintf(s.Out, format+"\n", args...)
	return err
}

// refuse prints what fail2ban prints on standard output when it exits with 255.
func (s *session) refuse(format string, args ...any) error {
	text := fmt.Sprintf(format, args...)
	return errors.Join(s.say("%s", text), &Refusal{text})
}

const invalid = "Sorry but the command is invalid"

func (s *session) command(ctx context.Context, args []string) error {
	name, rest := args[0], args[1:]
	if hint, ok := elsewhere[name]; ok {
		return usagef("%s is not for this program: %s", name, hint)
	}
	switch name {
	case "help":
		s.help()
		return nil
	case "echo":
		return s.say("%s", strings.Join(rest, " "))
	}
	do, ok := map[string]func(context.Context, Daemon, []string) error{
		"ping": s.ping, "version": s.version, "status": s.status, "stats": s.stats, "statistics": s.stats,
		"banned": s.banned, "unban": s.unban, "reload": s.reload, "get": s.get, "set": s.set,
		"flushlogs": s.flushLogs,
	}[name]
	if !ok {
		return s.refuse("Invalid command")
	}
	d, err := s.dial(ctx)
	if err != nil {
		return err
	}
	return do(ctx, d, rest)
}

// elsewhere are commands that the service manager is asked, not this program.
var elsewhere = map[string]string{
	"start":   "systemctl start stockade",
	"restart": "systemctl restart stockade; a changed configuration needs stockade reload only",
	"stop":    "systemctl stop stockade; bans stay in the kernel",
	"add":     "write the jail under jails: in the configuration, then stockade reload",
}

func (s *session) ping(ctx context.Context, d Daemon, _ []string) error {
	if err := d.Ping(ctx); err != nil {
		return err
	}
	return s.say("Server replied: pong")
}

func (s *session) version(ctx context.Context, d Daemon, _ []string) error {
	v, err := d.Version(ctx)
	if err != nil {
		return err
	}
	return s.say("%s", v.Version)
}

func (s *session) reload(ctx context.Context, d Daemon, args []string) error {
	for _, a := range args {
		switch {
		case a == "--unban":
			return usagef("reload --unban: bans survive a reload; stockade unban --all lifts them")
		case !strings.HasPrefix(a, "-"): // a jail: all are reloaded, and this one must be known
			if err := s.known(ctx, d, a); err != nil {
				return err
			}
		}
	}
	if _, err := d.Reload(ctx, control.ReloadRequest{}); err != nil {
		return err
	}
	return s.say("OK")
}

// jailNames are the names of the jails at work, sorted as fail2ban has them.
func jailNames(ctx context.Context, d Daemon) ([]string, error) {
	st, err := d.Status(ctx)
	if err != nil {
		return nil, err
	}
	names := make([]string, len(st.Jails))
	for i, j := range st.Jails {
		names[i] = j.Name
	}
	slices.Sort(names)
	return names, nil
}

// known refuses a jail that does not exist.
func (s *session) known(ctx context.Context, d Daemon, jail string) error {
	names, err := jailNames(ctx, d)
	if err != nil {
		return err
	}
	if slices.Contains(names, jail) {
		return nil
	}
	return s.refuse("Sorry but the jail '%s' does not exist", jail)
}
