package daemon

import (
	"context"
	"errors"
	"reflect"
	"slices"
	"strings"
	"time"

	"stockade/cmd/stockade/config"
	"stockade/cmd/stockade/control"
	"stockade/pipeline"
)

// reloadLimit is how long a reload may wait for the kernel.
const reloadLimit = 45 * time.Second

// Reload reads the configuration again and puts it in force, or confirms the one that is. A bad one
// changes nothing. While a configuration waits for its confirmation every further one waits with it:
// the way back is to the last that was confirmed.
func (d *daemon) Reload(ctx context.Context, r control.ReloadRequest) (control.ReloadResult, error) {
	// Whoever asked may leave: half a reload is worse than one that nobody hears of.
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), reloadLimit)
	defer cancel()
	d.reloading.Lock()
	defer d.reloading.Unlock()
	if r.Keep {
		return control.ReloadResult{}, d.trial.keep(d.log)
	}
	next, err := load(d.configOptions(), d.override, d.registry.Load(), true)
	if err != nil {
		return control.ReloadResult{}, badConfig(err)
	}
	before := d.current.get()
	if err := d.unchangeable(next.loaded); err != nil {
		return control.ReloadResult{}, err
	}
	if err := d.put(ctx, next); err != nil {
		return control.ReloadResult{}, err
	}
	until := d.trial.reloaded(before, r.Confirm.Duration(), time.Now())
	d.log.Info("reloaded", "jails", len(next.bound), "listeners", len(next.loaded.Config.Listeners))
	d.sayWaiting(until)
	out := control.ReloadResult{ConfirmUntil: control.Moment(until)}
	for _, p := range next.loaded.Problems() {
		out.Warnings = append(out.Warnings, problem(p))
	}
	out.Promoted, err = d.promote(ctx, before)
	return out, err
}

// put makes a configuration the one in force: all of it, or nothing.
func (d *daemon) put(ctx context.Context, next *built) error {
	cfg := next.loaded.Config
	// The inputs, the channels and the log's target are what can still fail; they go back by themselves.
	if err := d.inputs.Swap(d.plugs(cfg)); err != nil {
		path := ""
		if e, ok := errors.AsType[*inputError](err); ok {
			path = e.path
		}
		return unopened(next.loaded, path, err)
	}
	now := d.current.get().loaded.Config
	if err := d.notifier.Swap(cfg.Notify); err != nil {
		return unopened(next.loaded, "notify", errors.Join(err, d.inputs.Swap(d.plugs(now))))
	}
	if err := d.actions.Swap(cfg.Actions, cfg.AllowShell); err != nil {
		return unopened(next.loaded, "actions", errors.Join(err, d.notifier.Swap(now.Notify), d.inputs.Swap(d.plugs(now))))
	}
	if now.Log != cfg.Log {
		if err := d.logs.set(cfg.Log); err != nil {
			return unopened(next.loaded, "log.target", errors.Join(err, d.actions.Swap(now.Actions, now.AllowShell),
				d.notifier.Swap(now.Notify), d.inputs.Swap(d.plugs(now))))
		}
	}
	d.registry.Swap(next.sources)
	d.setQuotas(next)
	d.pipeline.Swap(pipeline.NewPlan(next.bound, next.sources.All()))
	d.current.set(next)
	d.host.SetLists(operatorLists(cfg))
	if now.ProtectLAN != cfg.ProtectLAN {
		d.addresses.again(ctx)
	}
	d.peers.put(ctx)
	return nil
}

// unchangeable refuses what needs a restart, each with its place.
func (d *daemon) unchangeable(next *config.Loaded) error {
	was, is := d.current.get().loaded.Config, next.Config
	refused := &control.Error{Code: control.CodeBadConfig, Message: "what changed needs a restart of stockade; nothing was changed"}
	paths := slices.Concat(changedKeys("control", was.Control, is.Control), changedKeys("firewall", was.Firewall, is.Firewall),
		changedKeys("memory", was.Memory, is.Memory))
	if was.StateDir != is.StateDir {
		paths = append(paths, "state_dir")
	}
	for _, path := range paths {
		refused.Problems = append(refused.Problems, placed(next, path, "cannot change while serving: restart stockade"))
	}
	if len(refused.Problems) == 0 {
		return nil
	}
	return refused
}

// changedKeys are the keys below path whose values differ. The structures have comparable fields.
func changedKeys[T any](path string, was, is T) (list []string) {
	old, now := reflect.ValueOf(was), reflect.ValueOf(is)
	for i := range old.NumField() {
		if !old.Field(i).Equal(now.Field(i)) {
			key, _, _ := strings.Cut(old.Type().Field(i).Tag.Get("yaml"), ",")
			list = append(list, path+"."+key)
		}
	}
	return list
}

// placed is a fault of a configuration at the place where its path is written.
func placed(l *config.Loaded, path, message string) control.Problem {
	p := control.Problem{Path: control.Text(path), Severity: string(config.SeverityError), Message: message}
	p.File, p.Line, p.Column = l.Origins.At(path)
	return p
}

// unopened is what cannot be opened although the configuration is good.
func unopened(l *config.Loaded, path string, err error) error {
	return &control.Error{Code: control.CodeBadConfig, Message: "the configuration cannot be put in force; nothing was changed",
		Problems: []control.Problem{placed(l, path, err.Error())}}
}

func badConfig(err error) error {
	var faults *config.Errors
	if !errors.As(err, &faults) {
		return &control.Error{Code: control.CodeBadConfig, Message: err.Error()}
	}
	e := &control.Error{Code: control.CodeBadConfig, Message: "the configuration is bad; nothing was changed"}
	for _, p := range faults.Problems {
		e.Problems = append(e.Problems, problem(p))
	}
	return e
}

func problem(p config.Problem) control.Problem {
	return control.Problem{
		File: p.File, Line: p.Line, Column: p.Column, Path: control.Text(p.Path),
		Severity: string(p.Severity), Message: p.Message,
	}
}
