package daemon

import (
	"context"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"time"

	"stockade/cmd/stockade/control"
	"stockade/jails/filter"
	"stockade/jails/filter/catalogue"
	"stockade/jails/filter/fail2ban"
	"stockade/pipeline"
	"stockade/receiver"
)

// canaryPlace stands in a line where the canary belongs.
const canaryPlace = "CANARY"

// CanaryKey hands out what a source needs to send canaries, or forgets those it sent.
func (d *daemon) CanaryKey(_ context.Context, r control.CanaryRequest) (control.CanaryKey, error) {
	if err := d.knownSource(r.Source); err != nil {
		return control.CanaryKey{}, err
	}
	if r.Forget {
		return control.CanaryKey{Source: r.Source, Jail: r.Jail}, d.forgetCanaries(r)
	}
	all := d.registry.Load().All()
	s := all[slices.IndexFunc(all, func(s *receiver.Source) bool { return s.Name == r.Source })]
	out := control.CanaryKey{Source: r.Source, File: control.Text(d.tailOf(s))}
	if err := d.canaryLine(s, r.Jail, &out); err != nil {
		return control.CanaryKey{}, err
	}
	var err error
	out.Key, err = d.canaries.key(r.Source)
	return out, err
}

func (d *daemon) forgetCanaries(r control.CanaryRequest) error {
	known := false
	for _, c := range d.canaries.list(time.Now()) {
		if c.Source == r.Source && (r.Jail == "" || r.Jail == c.Jail) {
			known = d.canaries.forget(canaryWay{c.Source, c.Jail}) || known
		}
	}
	if !known {
		return &control.Error{Code: control.CodeNotFound, Message: fmt.Sprintf("no canary of source %s has arrived", r.Source)}
	}
	return nil
}

// tailOf is the first file that a tail source reads; "" for other sources.
func (d *daemon) tailOf(s *receiver.Source) string {
	for _, t := range d.current.get().loaded.Config.Tails {
		if t.Name == s.Tail && len(t.Paths) > 0 {
			return t.Paths[0]
		}
	}
	return ""
}

// canaryLine chooses the jail and a line that its filter knows. Without a sample the line is empty.
func (d *daemon) canaryLine(s *receiver.Source, jail string, out *control.CanaryKey) error {
	fed := false
	for _, b := range d.current.get().bound {
		if jail != "" && b.Jail.Name != jail || !slices.Contains(s.Jails, "*") && !slices.Contains(s.Jails, b.Jail.Name) {
			continue
		}
		line, app := sampleLine(b)
		if line == "" && jail == "" && fed {
			continue // an earlier one is as good
		}
		fed = true
		out.Jail, out.App, out.Line = b.Jail.Name, app, control.Text(line)
		if line != "" {
			return nil
		}
	}
	switch {
	case fed:
		return nil
	case jail == "":
		return &control.Error{Code: control.CodeUsage, Message: fmt.Sprintf("source %s feeds no jail", s.Name)}
	}
	if err := d.knownJail(jail); err != nil {
		return err
	}
	return &control.Error{Code: control.CodeUsage, Message: fmt.Sprintf("source %s may not feed the jail %s, or the jail is disabled", s.Name, jail)}
}

// sampleLine makes a line of the catalogue's samples in which a user's name is the place of the
// canary, such that the jail's filter finds a failure in it. The line is empty when there is none.
func sampleLine(b pipeline.Bound) (line, app string) {
	apps := b.Jail.Apps
	if apps == nil {
		apps = b.Filter.Apps()
	}
	if len(apps) > 0 {
		app = strings.ReplaceAll(apps[0], "*", "x")
	}
	name, _, err := fail2ban.Parse(b.Jail.Filter.Name)
	if err != nil {
		return "", app
	}
	e, err := catalogue.Find(name)
	if err != nil {
		return "", app
	}
	set := filter.NewSet([]*filter.Filter{b.Filter}, [][]string{b.Jail.Apps})
	for _, s := range e.Samples {
		user := "«" + s.User + "»"
		if s.Line == "" || s.User == "" || strings.Count(s.Line, user) != 1 {
			continue
		}
		if a, err := netip.ParseAddr(s.Addr); err != nil || !pipeline.Documentation(a) {
			continue
		}
		as := app
		if s.App != "" {
			as = s.App
		}
		text := catalogue.Plain(strings.Replace(s.Line, user, canaryPlace, 1))
		if matches(set, as, strings.Replace(text, canaryPlace, pipeline.CanaryMark+"source-1.jail-1.300.1764000000000.0123456789abcdef0123456789abcdef", 1)) {
			return text, as
		}
	}
	return "", app
}

func matches(set *filter.Set, app, text string) bool {
	found := set.NewMatcher().Match(&filter.Line{
		App: []byte(app), Host: []byte("host"), PID: []byte("1"), Text: []byte(text), Time: time.Now(), Facility: -1,
	}, set.Route([]byte(app)))
	return len(found) == 1 && found[0].Kind == filter.Failure && pipeline.Documentation(found[0].Addr)
}
