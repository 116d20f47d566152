package daemon

import (
	"context"
	"errors"
	"os"

	"stockade/cmd/stockade/config"
	"stockade/cmd/stockade/control"
	"stockade/pipeline"
)

// Reload reads the configuration again and puts it in force. A bad one changes nothing.
func (d *daemon) Reload(ctx context.Context) (control.ReloadResult, error) {
	d.reloading.Lock()
	defer d.reloading.Unlock()
	next, err := load(d.configOptions(), d.override, d.registry.Load())
	if err != nil {
		return control.ReloadResult{}, badConfig(err)
	}
	if err := d.unchangeable(next.loaded.Config); err != nil {
		return control.ReloadResult{}, err
	}
	// The inputs are the one part that can still fail; they go back by themselves.
	if err := d.inputs.Swap(d.plugs(next.loaded.Config)); err != nil {
		return control.ReloadResult{}, &control.Error{Code: control.CodeBadConfig, Message: err.Error()}
	}
	if err := d.notifier.Swap(next.loaded.Config.Notify); err != nil {
		return control.ReloadResult{}, &control.Error{Code: control.CodeBadConfig, Message: err.Error()}
	}
	d.registry.Swap(next.sources)
	d.setQuotas(next)
	d.pipeline.Swap(pipeline.NewPlan(next.bound, next.sources.All()))
	d.current.set(next)
	d.host.SetLists(operatorLists(next.loaded.Config))
	if err := d.pipeline.Protect(ctx, pipeline.LayerPeers, next.peers); err != nil {
		return control.ReloadResult{}, err
	}
	d.log.Info("reloaded", "jails", len(next.bound), "listeners", len(next.loaded.Config.Listeners))
	var r control.ReloadResult
	for _, p := range next.loaded.Problems() {
		r.Warnings = append(r.Warnings, problem(p))
	}
	return r, nil
}

// unchangeable refuses what needs a restart.
func (d *daemon) unchangeable(next *config.Config) error {
	now := d.current.get().loaded.Config
	for _, c := range []struct {
		path    string
		changed bool
	}{
		{"state_dir", now.StateDir != next.StateDir},
		{"control", now.Control != next.Control},
		{"firewall", now.Firewall != next.Firewall},
		{"log", now.Log != next.Log},
	} {
		if c.changed {
			return &control.Error{Code: control.CodeBadConfig, Message: c.path + " cannot change while serving: restart stockade"}
		}
	}
	return nil
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

// reloadOn reloads at each signal until ctx is done.
func (d *daemon) reloadOn(ctx context.Context, hangup <-chan os.Signal) {
	for {
		select {
		case <-ctx.Done():
			return
		case <-hangup:
			if _, err := d.Reload(ctx); err != nil {
				d.log.Warn("reload refused; the configuration in force stays", "err", err)
			}
		}
	}
}
