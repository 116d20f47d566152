package main

import (
	"context"
	"fmt"
	"regexp"
	"strings"

	"github.com/spf13/cobra"

	"stockade/cmd/stockade/config"
	"stockade/cmd/stockade/control"
)

// canaryPlace stands in a line where the canary belongs.
const canaryPlace = "CANARY"

// canaryOptions are the flags of `canary`.
type canaryOptions struct {
	jail, line, app, every string
	forget                 bool
}

func (a *app) canary() *cobra.Command {
	var o canaryOptions
	c := &cobra.Command{
		Use:   "canary [SOURCE]",
		Short: "Prove the way of a line: print what a source must send, and check what came",
		Long: `Prove the way from a source to a jail: feed, identity, grants, origin, filter, and how long it takes.

With a SOURCE it prints what to put on the sending host: a key and a line of cron that logs a failed
login which only that host can write and which never counts. Without, it tells which came: exit 0 when
each is on time, 1 when one is overdue or none came. An overdue one makes the status degraded.`,
		Example: "  stockade canary web1 --jail sshd --every 5m\n  stockade canary",
		Args:    cobra.MaximumNArgs(1),
	}
	c.Flags().StringVar(&o.jail, "jail", "", "the `jail` whose filter must find the line (default: the first that the source feeds)")
	c.Flags().StringVar(&o.every, "every", "5m", "how often it is sent: 1m to 1h, whole `minutes`")
	c.Flags().StringVar(&o.line, "line", "", "a `text` that the filter finds, with CANARY for a user's name and an address such as 192.0.2.1")
	c.Flags().StringVar(&o.app, "app", "", "the `name` that the line is logged under (default: the filter's)")
	c.Flags().BoolVar(&o.forget, "forget", false, "the source sends none any more")
	return a.reading(c, func(ctx context.Context, args []string) error {
		if len(args) == 0 {
			return a.canaryState(ctx, o)
		}
		return a.canaryKey(ctx, args[0], o)
	})
}

func (a *app) canaryState(ctx context.Context, o canaryOptions) error {
	if o.forget || o.jail != "" || o.line != "" || o.app != "" {
		return usagef("canary: name the source")
	}
	list, err := ask(ctx, a, func(c *control.Client) (control.List[control.Canary], error) { return c.Canaries(ctx) })
	if err != nil {
		return err
	}
	good := len(list) > 0
	t := table{{"SOURCE", "JAIL", "STATE", "LAST", "EVERY", "LATENCY", "TRUST", "COUNT"}}
	for _, x := range list {
		good = good && x.State == control.CanaryOK
		t = append(t, []string{
			x.Source, x.Jail, x.State, shortTime(x.Last), shortSeconds(x.Every), fmt.Sprintf("%.3fs", x.Latency), x.Trust, number(x.Count),
		})
	}
	switch {
	case a.json:
		err = a.printJSON(list)
	case len(list) == 0:
		err = a.printf("no canary has arrived since the daemon started; stockade canary SOURCE tells how to send them\n")
	default:
		err = t.print(a.stdout)
	}
	if err == nil && !good {
		err = errNegative
	}
	return err
}

// shownCanary is what `canary SOURCE --json` prints.
type shownCanary struct {
	control.CanaryKey
	Cron string `json:"cron"` // a line for /etc/cron.d on the sending host
}

func (a *app) canaryKey(ctx context.Context, source string, o canaryOptions) error {
	every, err := config.ParseDuration(o.every)
	minutes := int(every.Minutes())
	if err != nil || minutes < 1 || minutes > 60 || 60%minutes != 0 || every.Minutes() != float64(minutes) {
		return usagef("canary: --every %q must be a number of minutes that divides the hour, such as 5m", o.every)
	}
	r := control.CanaryRequest{Source: source, Jail: o.jail, Forget: o.forget}
	k, err := ask(ctx, a, func(c *control.Client) (control.CanaryKey, error) { return c.CanaryKey(ctx, r) })
	if err != nil {
		return err
	}
	if o.forget {
		if a.json {
			return a.printJSON(k)
		}
		return a.printf("the canaries of source %s are forgotten\n", source)
	}
	if o.line != "" {
		k.Line = control.Text(o.line)
	}
	if o.app != "" {
		k.App = o.app
	}
	if err := checkCanary(k); err != nil {
		return err
	}
	out := shownCanary{k, cronLine(k, minutes)}
	if a.json {
		return a.printJSON(out)
	}
	return a.printf(`on the host of source %s, as root:

(umask 077; echo %s >/etc/stockade-canary)
cat >/etc/cron.d/stockade-canary <<'END'
%s
END

It logs %q as %s once in %s, for jail %s.
Then see whether it arrives: stockade canary
`, source, k.Key, out.Cron, string(k.Line), k.App, shortSeconds(control.SecondsOf(every)), k.Jail)
}

var (
	canaryAddress = regexp.MustCompile(`\b(192\.0\.2|198\.51\.100|203\.0\.113)\.\d|2001:db8:|3fff:`)
	canaryApp     = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9_./-]*$`)
)

// checkCanary refuses a line that proves nothing, or that the shell would not print as it stands.
func checkCanary(k control.CanaryKey) error {
	line := string(k.Line)
	switch {
	case line == "":
		return usagef("canary: the filter of jail %s has no sample to make a line of: give one with --line", k.Jail)
	case strings.Count(line, canaryPlace) != 1:
		return usagef("canary: the line %q must hold the word CANARY once, where a user's name stands", line)
	case !canaryAddress.MatchString(line):
		return usagef("canary: the line %q must name an address that belongs to nobody, such as 192.0.2.1 or 2001:db8::1", line)
	case strings.ContainsAny(line, "'\n\r\x00"):
		return usagef("canary: the line %q must hold no quote (') and be one line", line)
	case !canaryApp.MatchString(k.App):
		return usagef("canary: the app %q cannot stand on a command line: name one with --app", k.App)
	}
	return nil
}

// cronLine is a line of /etc/cron.d. The key is read by the shell itself and never stands among a
// process's arguments.
func cronLine(k control.CanaryKey, minutes int) string {
	before, after, _ := strings.Cut(string(k.Line), canaryPlace)
	text := fmt.Sprintf(`'%s'"$c.$(printf %%.32s "$m")"'%s'`, before, after)
	send := fmt.Sprintf("logger -p auth.info -t %s -- %s", k.App, text)
	if k.File != "" {
		send = fmt.Sprintf(`echo "$(date +%%FT%%T%%:z) $(hostname) %s: "%s >>%s`, k.App, text, string(k.File))
	}
	command := fmt.Sprintf(`read -r k </etc/stockade-canary; c=stockade-canary.%s.%s.%d.$(date +%%s%%3N); m=$(printf %%s "$k $c $k" | sha256sum); %s`,
		k.Source, k.Jail, minutes*60, send)
	when := fmt.Sprintf("*/%d * * * *", minutes)
	if minutes == 60 {
		when = "0 * * * *"
	}
	return when + " root " + strings.ReplaceAll(command, "%", `\%`) // cron takes a bare % for a newline
}
