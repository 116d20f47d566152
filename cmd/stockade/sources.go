package main

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"stockade/cmd/stockade/control"
)

func (a *app) sources() *cobra.Command {
	var as string
	c := &cobra.Command{
		Use:   "sources",
		Short: "List the sources of log lines, what they sent and what was refused",
		Args:  cobra.NoArgs,
	}
	c.Flags().StringVar(&as, "as-attacker", "", "say whom an attacker at this `source` could get banned, from the configuration alone")
	c.AddCommand(a.release())
	return a.reading(c, func(ctx context.Context, _ []string) error {
		if as != "" {
			return a.asAttacker(as)
		}
		sources, err := ask(ctx, a, func(c *control.Client) (control.List[control.Source], error) { return c.Sources(ctx) })
		if err != nil {
			return err
		}
		if a.json {
			return a.printJSON(sources)
		}
		if len(sources) == 0 {
			return a.printf("no sources\n")
		}
		t := table{{"NAME", "LISTENER", "IDENTITY", "TRUST", "MAY FEED", "STATE", "LINES", "FAILURES", "BANS", "PENDING", "QUOTA LEFT", "LAST SEEN", "REFUSED"}}
		for _, s := range sources {
			left := "no quota"
			if s.QuotaLeft != nil {
				left = number(*s.QuotaLeft)
			}
			t = append(t, []string{
				s.Name, s.Listener, string(s.Identity), s.Trust, feeds(s.Grants), s.State, number(s.Lines), number(s.Failures),
				number(s.Bans), number(s.Pending), left, shortMoment(s.LastSeen, "never"), reasons(s.Refused),
			})
		}
		if err := t.print(a.stdout); err != nil {
			return err
		}
		for _, s := range sources {
			if s.TrustReason == "" || s.Trust == "kernel" {
				continue
			}
			if err := a.printf("\nsource %s is believed as %s: %s\n", s.Name, s.Trust, string(s.TrustReason)); err != nil {
				return err
			}
		}
		return a.listenerRefusals(sources)
	})
}

// listenerRefusals tells what each listener refused in all: peers that are no source's stand here
// alone.
func (a *app) listenerRefusals(sources []control.Source) error {
	told := map[string]bool{}
	for _, s := range sources {
		if len(s.ListenerRefused) == 0 || told[s.Listener] {
			continue
		}
		told[s.Listener] = true
		if err := a.printf("\nlistener %s refused: %s\n", s.Listener, reasons(s.ListenerRefused)); err != nil {
			return err
		}
	}
	return nil
}

// feeds says which jails a source may feed, and as whom.
func feeds(g control.Grants) string {
	text := strings.Join(g.Jails, ",")
	if text == "*" {
		text = "all"
	}
	if len(g.Apps) > 0 {
		text += " as " + strings.Join(g.Apps, ",")
	}
	if len(g.Hostnames) > 0 {
		text += " of " + strings.Join(g.Hostnames, ",")
	}
	return text
}

func reasons(refused control.Counts) string {
	if len(refused) == 0 {
		return "0"
	}
	var list []string
	for _, name := range slices.Sorted(maps.Keys(refused)) {
		list = append(list, fmt.Sprintf("%d %s", refused[name], name))
	}
	return strings.Join(list, ", ")
}
