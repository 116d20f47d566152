package daemon

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"stockade/cmd/stockade/control"
	"stockade/jails"
	"stockade/jails/state"
	"stockade/pipeline"
)

// manualJail holds bans by hand that name no jail.
const manualJail = "manual"

// Status says how the daemon is.
func (d *daemon) Status(context.Context) (control.Status, error) {
	s := control.Status{
		Degraded: d.conditions(),
		Backend:  d.enforcer.Name(),
		Started:  d.started,
	}
	var note string
	if s.Pending, note = d.trial.report(); note != "" {
		s.Notes = append(s.Notes, note)
	}
	for _, j := range d.current.get().all {
		if j.Enabled {
			s.Jails = append(s.Jails, d.jailStatus(j.Name))
		}
	}
	if counts := d.store.Counts(manualJail); counts.BannedTotal > 0 {
		s.Jails = append(s.Jails, d.jailStatus(manualJail))
	}
	return s, nil
}

// faults are the degraded states that the pipeline knows of.
func (d *daemon) faults() []control.Degraded {
	var list []control.Degraded
	for _, f := range d.pipeline.Faults() {
		list = append(list, control.Degraded{Name: f.Name, Cause: f.Cause, Since: f.Since})
	}
	return list
}

func (d *daemon) jailStatus(name string) control.JailStatus {
	c := d.store.Counts(name)
	return control.JailStatus{
		Name:          name,
		FailedCurrent: int64(c.FailedCurrent),
		FailedTotal:   c.FailedTotal,
		BannedCurrent: int64(c.BannedCurrent),
		BannedTotal:   c.BannedTotal,
	}
}

// JailReport says how one jail is.
func (d *daemon) JailReport(_ context.Context, name string) (control.JailReport, error) {
	if err := d.knownJail(name); err != nil {
		return control.JailReport{}, err
	}
	r := control.JailReport{JailStatus: d.jailStatus(name)}
	for _, s := range d.registry.Load().All() {
		if slices.Contains(s.Jails, "*") || slices.Contains(s.Jails, name) {
			r.Sources = append(r.Sources, s.Name)
		}
	}
	for _, b := range d.store.Bans(name) {
		r.Banned = append(r.Banned, b.Prefix)
	}
	return r, nil
}

// knownJail refuses a name that no jail has. The jail of manual bans is always known.
func (d *daemon) knownJail(name string) error {
	if name == manualJail || d.jail(name) != nil {
		return nil
	}
	var names []string
	for _, j := range d.current.get().all {
		names = append(names, j.Name)
	}
	return &control.Error{Code: control.CodeUsage, Message: fmt.Sprintf("unknown jail %q: the jails are %s", name, strings.Join(names, ", "))}
}

func (d *daemon) jail(name string) *jails.Jail {
	for _, j := range d.current.get().all {
		if j.Name == name {
			return j
		}
	}
	return nil
}

// Jails lists the configured jails.
func (d *daemon) Jails(context.Context) ([]control.Jail, error) {
	b := d.current.get()
	list := make([]control.Jail, 0, len(b.all))
	for _, j := range b.all {
		t := j.Thresholds[0]
		apps := j.Apps
		for _, bound := range b.bound {
			if bound.Jail == j && apps == nil {
				apps = bound.Filter.Apps()
			}
		}
		list = append(list, control.Jail{
			Name: j.Name, Filter: filterName(j), Enabled: j.Enabled, Enforce: j.Enforce,
			MaxRetry: int64(t.MaxRetry), FindTime: control.SecondsOf(t.FindTime), BanTime: control.SecondsOf(t.BanTime),
			Ports: ports(j.Scope), MinTrust: j.MinTrust.String(), Apps: apps,
		})
	}
	return list, nil
}

// filterName is where the patterns of a jail are written.
func filterName(j *jails.Jail) string { return cmp.Or(j.Filter.Name, "inline") }

func ports(scope string) []string {
	if scope == "" {
		return nil
	}
	return strings.Split(scope, ",")
}

// Bans lists active bans.
func (d *daemon) Bans(ctx context.Context, jail string) ([]control.Ban, error) {
	if jail != "" {
		if err := d.knownJail(jail); err != nil {
			return nil, err
		}
	}
	bans := d.store.Bans(jail)
	list := make([]control.Ban, len(bans))
	for i, b := range bans {
		list[i] = ban(b)
	}
	d.stopped(ctx, bans, list)
	return list, nil
}

func ban(b *state.Ban) control.Ban {
	return control.Ban{
		Address: b.Prefix, Jail: b.Jail, Source: control.Text(b.Source), Trust: control.Text(b.Trust),
		Start: b.Start, End: control.Moment(b.End), Reason: control.Text(b.Reason),
		Failures: int64(b.Failures), Enforced: b.Enforced, Ports: ports(b.Scope), Count: int64(b.Count),
	}
}

// Ban bans by hand.
func (d *daemon) Ban(ctx context.Context, r control.BanRequest) (control.BanResult, error) {
	name := r.Jail
	if name == "" {
		name = manualJail
	}
	if err := d.knownJail(name); err != nil {
		return control.BanResult{}, err
	}
	prefix := r.Address.Counted(d.v6bits())
	if _, protected := d.guard.Protects(prefix); protected {
		prefix = r.Address.Prefix // the address alone, where its network holds a protected one
	}
	if why, protected := d.guard.Protects(prefix); protected {
		return control.BanResult{}, &control.Error{Code: control.CodeProtected, Message: fmt.Sprintf("%s is never banned: %s", r.Address, why)}
	}
	b := state.Ban{
		Jail: name, Prefix: prefix, Start: time.Now(), Reason: r.Reason, Source: pipeline.SourceOperator, Trust: jails.TrustKernel.String(),
	}
	bantime := d.current.get().loaded.Config.Defaults.BanTime
	if j := d.jail(name); j != nil {
		b.Scope, bantime = j.Scope, j.Thresholds[0].BanTime
	}
	if r.For != nil {
		bantime = r.For.Duration()
	}
	if bantime >= 0 {
		b.End = b.Start.Add(bantime)
	}
	if b.Reason == "" {
		b.Reason = "by the operator"
	}
	made, changed, err := d.pipeline.Ban(ctx, b)
	if err != nil {
		return control.BanResult{}, err
	}
	return control.BanResult{Ban: ban(d.newest(made)), Changed: changed}, nil
}

// newest returns the ban as the store has it now.
func (d *daemon) newest(b *state.Ban) *state.Ban {
	for _, x := range d.store.BansOf(b.Prefix.Addr()) {
		if x.Prefix == b.Prefix && x.Jail == b.Jail {
			return x
		}
	}
	return b
}

func (d *daemon) v6bits() int { return d.current.get().loaded.Config.Firewall.IPv6Prefix }

// Unban lifts bans.
func (d *daemon) Unban(ctx context.Context, r control.UnbanRequest) (control.UnbanResult, error) {
	if r.Jail != "" {
		if err := d.knownJail(r.Jail); err != nil {
			return control.UnbanResult{}, err
		}
	}
	prefix := r.Address.Counted(d.v6bits())
	single := r.Address.Prefix
	lifted, err := d.pipeline.Unban(ctx, func(b *state.Ban) bool {
		switch {
		case r.Jail != "" && b.Jail != r.Jail:
			return false
		case r.All:
			return true
		case r.Source != "":
			return b.Source == r.Source && (r.Since == nil || !b.Start.Before(*r.Since))
		}
		return b.Prefix == prefix || b.Prefix == single
	})
	if err != nil {
		return control.UnbanResult{}, err
	}
	if len(lifted) == 0 {
		return control.UnbanResult{}, d.nothingLifted(r)
	}
	return control.UnbanResult{Unbanned: int64(len(lifted))}, nil
}

func (d *daemon) nothingLifted(r control.UnbanRequest) error {
	if r.Address.IsZero() {
		return &control.Error{Code: control.CodeNotFound, Message: "nothing to unban"}
	}
	for _, b := range d.store.BansOf(r.Address.Prefix.Addr()) {
		if b.Prefix.Bits() < r.Address.Prefix.Bits() && (r.Jail == "" || r.Jail == b.Jail) {
			return &control.Error{Code: control.CodeCovered, Message: fmt.Sprintf(
				"%s lies under the ban of %s in jail %s: unban that", r.Address, b.Prefix, b.Jail)}
		}
	}
	return &control.Error{Code: control.CodeNotFound, Message: fmt.Sprintf("%s is not banned", r.Address)}
}

// Approve begins the bans that wait for a source's quota.
func (d *daemon) Approve(ctx context.Context, r control.SourceRequest) (control.ApproveResult, error) {
	if err := d.knownSource(r.Source); err != nil {
		return control.ApproveResult{}, err
	}
	n, err := d.pipeline.Approve(ctx, r.Source)
	d.log.Info("approved", "source", r.Source, "bans", n)
	return control.ApproveResult{Approved: int64(n)}, err
}

// Release ends the quarantine of a source.
func (d *daemon) Release(_ context.Context, r control.SourceRequest) (control.ReleaseResult, error) {
	if err := d.knownSource(r.Source); err != nil {
		return control.ReleaseResult{}, err
	}
	if !d.admission.Quotas.Release(r.Source) {
		return control.ReleaseResult{}, &control.Error{Code: control.CodeNotFound, Message: fmt.Sprintf("source %s is not in quarantine", r.Source)}
	}
	d.log.Info("released from quarantine", "source", r.Source)
	return control.ReleaseResult{Released: true}, nil
}

func (d *daemon) knownSource(name string) error {
	var names []string
	for _, s := range d.registry.Load().All() {
		if s.Name == name {
			return nil
		}
		names = append(names, s.Name)
	}
	return &control.Error{Code: control.CodeUsage, Message: fmt.Sprintf("unknown source %q: the sources are %s", name, strings.Join(names, ", "))}
}
