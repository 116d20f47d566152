package daemon

import (
	"context"
	"slices"
	"strings"
	"time"

	"stockade/cmd/stockade/control"
	"stockade/cmd/stockade/doctor"
	"stockade/firewall"
	"stockade/firewall/nft"
	"stockade/receiver"
)

// sampledBans is how many bans the doctor looks for in the kernel.
const sampledBans = 500

// Doctor finds the first broken link on the way of a line.
func (d *daemon) Doctor(ctx context.Context, jail string) (control.Diagnosis, error) {
	if jail != "" {
		if err := d.knownJail(jail); err != nil {
			return control.Diagnosis{}, err
		}
	}
	var out control.Diagnosis
	for _, l := range doctor.Walk(ctx, d.facts(ctx), jail) {
		out.Links = append(out.Links, control.Finding{
			Link: l.Name, State: string(l.State), Subject: control.Text(l.Subject), Finding: l.Finding, Remedy: control.Text(l.Remedy),
		})
	}
	return out, nil
}

// facts gathers what the doctor looks at.
func (d *daemon) facts(ctx context.Context) doctor.Facts {
	st := d.pipeline.Stats()
	cfg := d.current.get().loaded.Config
	f := doctor.Facts{
		Now: time.Now(), Started: d.started, Backend: d.enforcer.Name(), Observe: d.enforcer.Name() == firewall.BackendObserve,
		Table: "inet " + cfg.Firewall.Table,
		Lines: doctor.Lines{
			All: st.Lines.Load(), Ignored: st.Ignored.Load(), Refused: st.Refused.Load(), Dropped: st.Dropped.Load(),
			Matched: st.Matched.Load(), Unmatched: st.Unmatched.Load(), Failures: st.Failures.Load(),
		},
	}
	for _, l := range d.listenerStats() {
		f.Listeners = append(f.Listeners, doctor.Listener{Name: l.Name, KernelDrops: l.KernelDrops, Refused: refusals(l.Refused)})
	}
	for _, s := range d.registry.Load().All() {
		f.Sources = append(f.Sources, d.sourceFacts(s))
	}
	for _, j := range d.current.get().all {
		c := d.store.Counts(j.Name)
		f.Jails = append(f.Jails, doctor.Jail{
			Name: j.Name, Enabled: j.Enabled, Enforce: j.Enforce, Failures: c.FailedTotal, Banned: c.BannedCurrent,
			MaxRetry: j.Thresholds[0].MaxRetry, FindTime: j.Thresholds[0].FindTime,
		})
	}
	for _, c := range d.conditions() {
		f.Degraded = append(f.Degraded, doctor.Degraded{Name: c.Name, Cause: c.Cause})
	}
	if fw, ok := d.enforcer.(*nft.Enforcer); ok {
		d.kernelFacts(ctx, fw, &f)
	}
	return f
}

func (d *daemon) sourceFacts(s *receiver.Source) doctor.Source {
	out := doctor.Source{
		Name: s.Name, From: "listener " + s.Listener, Lines: s.Lines.Load(), Failures: s.Failures.Load(), Refused: refusals(s.Refused.All()),
	}
	switch {
	case s.Tail != "":
		out.From = "tail " + s.Tail
	case s.Journal != "":
		out.From = "journal " + s.Journal
	}
	if seen := s.LastSeen.Load(); seen != 0 {
		out.LastSeen = time.Unix(0, seen)
	}
	for _, b := range d.current.get().bound {
		if slices.Contains(s.Jails, "*") || slices.Contains(s.Jails, b.Jail.Name) {
			out.Jails = append(out.Jails, b.Jail.Name)
		}
	}
	if q, limited := d.admission.Quotas.State(s.Name); limited {
		out.Pending, out.Quarantined = q.Pending, !q.Quarantined.IsZero()
	}
	return out
}

func refusals(list []receiver.Refusal) (out []doctor.Refusal) {
	for _, r := range list {
		out = append(out, doctor.Refusal{Reason: r.Reason, Count: r.Count, Last: r.Last})
	}
	slices.SortFunc(out, func(a, b doctor.Refusal) int { return strings.Compare(a.Reason, b.Reason) })
	return out
}

// kernelFacts asks the kernel about our table, the bans in force and the tables of others.
func (d *daemon) kernelFacts(ctx context.Context, fw *nft.Enforcer, f *doctor.Facts) {
	ctx, cancel := context.WithTimeout(ctx, kernelLimit)
	defer cancel()
	cfg := d.current.get().loaded.Config.Firewall
	f.Flaws, f.FlawsErr = nft.Verify(nft.Options{Config: cfg, Log: d.log})
	f.Bypass = d.causes()
	f.Foreign, f.NoRules = doctor.Read(ctx, cfg.Table)
	var elements []firewall.Element
	for prefix, all := range d.store.AllEffective {
		for _, el := range all {
			f.Bans++
			if len(elements) < sampledBans {
				elements = append(elements, firewall.Element{Prefix: prefix, Scope: firewall.Scope(el.Scope)})
				f.Sampled = append(f.Sampled, doctor.Ban{Prefix: prefix, Jail: el.Jail})
			}
		}
	}
	usage, err := fw.Usage(ctx, elements)
	if err != nil {
		f.Sampled = nil
		f.FlawsErr = err
		return
	}
	for i, u := range usage {
		f.Sampled[i].Present, f.Sampled[i].Packets = u.Present, u.Counters.Packets
	}
}
