package daemon

import (
	"context"
	"fmt"
	"net/netip"
	"os"
	"slices"
	"strings"
	"time"

	"stockade/cmd/stockade/control"
	"stockade/cmd/stockade/doctor"
	"stockade/cmd/stockade/host"
	"stockade/firewall"
	"stockade/firewall/nft"
	"stockade/jails"
	"stockade/jails/filter"
	"stockade/jails/state"
	"stockade/receiver"
)

// Explain says what is known of an address.
func (d *daemon) Explain(ctx context.Context, t control.Target) (control.Explain, error) {
	e := control.Explain{Address: t.String()}
	if why, protected := d.guard.Protects(t.Prefix); protected {
		e.NeverBan = control.Text(d.protecting(t.Prefix, why))
	}
	addr := t.Prefix.Addr()
	patterns := d.patterns()
	bans := d.store.BansOf(addr)
	for _, b := range bans {
		e.Bans = append(e.Bans, ban(b))
		e.Banned = true
		e.Evidence = append(e.Evidence, patterns.all(b.Jail, b.Evidence)...)
	}
	for _, w := range d.store.Windows(addr) {
		e.Windows = append(e.Windows, d.window(w))
		e.Evidence = append(e.Evidence, patterns.all(w.Jail, w.Failures)...)
	}
	slices.SortStableFunc(e.Evidence, func(a, b control.Evidence) int { return a.Time.Compare(b.Time) })
	for _, o := range d.store.Offenders(addr) {
		if holds(bans, o) && o.Count < 2 {
			continue // the ban that holds is its only one
		}
		e.Earlier = append(e.Earlier, control.Earlier{
			Jail: o.Jail, Address: o.Prefix, Count: int64(o.Count), Last: o.Last, Evidence: patterns.all(o.Jail, o.Evidence),
		})
	}
	for _, j := range d.current.get().all {
		if d.pipeline.Ignores(j, t.Prefix) {
			e.Ignored = append(e.Ignored, control.Ignored{Jail: j.Name, Entry: d.ignoring(j.Name, t.Prefix)})
		}
	}
	for _, b := range d.admission.Quotas.Held(t.Prefix) {
		e.Waiting = append(e.Waiting, control.Waiting{Address: b.Prefix, Jail: b.Jail, Source: b.Source, Since: b.Start, Failures: int64(b.Failures)})
	}
	e.Refused = d.refused(t.Counted(d.v6bits()))
	d.askKernel(ctx, &e, t, bans)
	return e, nil
}

// ignoring is the entry of a jail's ignoreip that an address of p is in, as it is written; without the
// entry where it is a name, or a file that changed since it was read.
func (d *daemon) ignoring(jail string, p netip.Prefix) string {
	for _, c := range d.current.get().loaded.Config.Jails {
		if c.Name != jail {
			continue
		}
		_, entries := host.SplitNames(c.IgnoreIP)
		for _, entry := range entries {
			list := jails.ParseAddrList([]string{entry}, os.ReadFile, func(int, string) {}) // check tells its faults
			if jails.NewAddrSet(list).Overlaps(p) {
				return "ignoreip: " + entry
			}
		}
	}
	return "ignoreip"
}

// holds reports whether the offender's latest ban is one of those that hold.
func holds(bans []*state.Ban, o *state.Offender) bool {
	return slices.ContainsFunc(bans, func(b *state.Ban) bool { return b.Jail == o.Jail && b.Prefix == o.Prefix })
}

// protecting names the protected prefix that a ban of p would hit, beside why it is protected.
func (d *daemon) protecting(p netip.Prefix, why string) string {
	var best netip.Prefix
	for _, x := range d.guard.Prefixes() {
		if x.Overlaps(p) && (!best.IsValid() || x.Bits() > best.Bits()) {
			best = x
		}
	}
	if !best.IsValid() || strings.Contains(why, best.String()) {
		return why
	}
	return fmt.Sprintf("%s: %s", why, best)
}

func (d *daemon) window(w *state.Window) control.Window {
	out := control.Window{Jail: w.Jail, Address: w.Prefix, Failures: int64(w.Count), First: w.First, Last: w.Last}
	if j := d.jail(w.Jail); j != nil {
		t := j.Thresholds[0]
		until := w.First.Add(t.FindTime)
		out.MaxRetry, out.FindTime = int64(t.MaxRetry), control.SecondsOf(t.FindTime)
		out.Left, out.Until = max(0, int64(t.MaxRetry-w.Count)), &until
	}
	return out
}

// patterns are the filters in force and what they are made of, by jail.
type patterns map[string]jailPatterns

type jailPatterns struct {
	filter string
	list   []filter.PatternInfo
}

func (d *daemon) patterns() patterns {
	m := make(patterns)
	for _, b := range d.current.get().bound {
		m[b.Jail.Name] = jailPatterns{filterName(b.Jail), b.Filter.Patterns()}
	}
	return m
}

func (p patterns) all(jail string, list []state.Evidence) (out []control.Evidence) {
	now := p[jail]
	for _, e := range list {
		v := control.Evidence{
			Jail: jail, Time: e.Time, Received: e.Received, Source: e.Source, Trust: e.Trust,
			Origin: control.Text(e.Origin), User: control.Text(e.User), Raw: e.Raw, Pattern: e.Pattern,
			Filter: control.Text(now.filter),
		}
		if e.Pattern >= 0 && e.Pattern < len(now.list) {
			v.Name, v.Expr = control.Text(now.list[e.Pattern].Name), control.Text(now.list[e.Pattern].Text)
		}
		out = append(out, v)
	}
	return out
}

// refused finds the kept samples of refused lines that name an address of the prefix, newest first.
func (d *daemon) refused(p netip.Prefix) (out []control.Refused) {
	names := func(text []byte) bool { return control.Names(string(text), p) }
	add := func(source, listener string, list []receiver.Refusal) {
		for _, r := range list {
			out = append(out, control.Refused{
				Source: control.Text(source), Listener: control.Text(listener), Reason: r.Reason, Count: r.Count,
				Last: r.Last, Sample: r.Sample, Remedy: control.Text(doctor.Remedy(r.Reason, source)),
			})
		}
	}
	for _, s := range d.registry.Load().All() {
		add(s.Name, "", s.Refused.Find(names))
	}
	d.inputs.each(func(t Task) {
		if l, ok := t.(interface {
			Stats() receiver.ListenerStats
			FindRefused(match func(text []byte) bool) []receiver.Refusal
		}); ok {
			add("", l.Stats().Name, l.FindRefused(names))
		}
	})
	slices.SortStableFunc(out, func(a, b control.Refused) int { return b.Last.Compare(a.Last) })
	return slices.CompactFunc(out, func(a, b control.Refused) bool { return a.Reason == b.Reason && a.Sample == b.Sample })
}

// kernelLimit is how long the questions to the kernel may take together.
const kernelLimit = 10 * time.Second

// askKernel fills in what the kernel knows of the address. What cannot be asked becomes a note.
func (d *daemon) askKernel(ctx context.Context, e *control.Explain, t control.Target, bans []*state.Ban) {
	fw, ok := d.enforcer.(*nft.Enforcer)
	if !ok {
		e.Notes = append(e.Notes, "backend observe: bans are recorded, and the kernel is not asked")
		return
	}
	ctx, cancel := context.WithTimeout(ctx, kernelLimit)
	defer cancel()
	if err := d.usage(ctx, fw, e, bans); err != nil {
		e.Notes = append(e.Notes, "the kernel's counters cannot be read: "+err.Error())
	}
	if t.Bare {
		if seen, err := fw.Witnessed(ctx, []netip.Addr{t.Prefix.Addr()}); err == nil {
			e.Witnessed = &seen[0]
		}
	}
	rules, err := doctor.Read(ctx, d.current.get().loaded.Config.Firewall.Table)
	if err != nil {
		e.Notes = append(e.Notes, "other tables cannot be read: "+err.Error())
	} else {
		found, notes := rules.Stopping(ctx, t.Prefix)
		e.Notes = append(e.Notes, notes...)
		for _, f := range found {
			e.Foreign = append(e.Foreign, control.Foreign{
				Table: f.Table, Chain: f.Chain, Handle: f.Handle, Verdict: f.Verdict, Match: f.Match, Conditional: f.Conditional,
			})
		}
	}
	if causes, err := nft.Diagnose(nft.Options{}); err == nil {
		for _, c := range causes {
			e.Notes = append(e.Notes, c.Text)
		}
	}
}

// usage asks for the elements of the bans, each prefix and scope once.
func (d *daemon) usage(ctx context.Context, fw *nft.Enforcer, e *control.Explain, bans []*state.Ban) error {
	var elements []firewall.Element
	for _, b := range bans {
		el := firewall.Element{Prefix: b.Prefix, Scope: firewall.Scope(b.Scope)}
		if !b.Shadow && !slices.ContainsFunc(elements, func(x firewall.Element) bool { return x.Prefix == el.Prefix && x.Scope == el.Scope }) {
			elements = append(elements, el)
		}
	}
	if len(elements) == 0 {
		return nil
	}
	list, err := fw.Usage(ctx, elements)
	for i, u := range list {
		e.Kernel = append(e.Kernel, control.Element{
			Address: elements[i].Prefix, Ports: ports(string(elements[i].Scope)), Present: u.Present,
			Packets: int64(u.Counters.Packets), Bytes: int64(u.Counters.Bytes),
		})
	}
	return err
}
