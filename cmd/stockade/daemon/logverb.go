package daemon

import (
	"context"
	"path/filepath"

	"stockade/cmd/stockade/control"
)

// logFolder is where logs belong.
const logFolder = "/var/log"

// Log tells how the daemon logs.
func (d *daemon) Log(context.Context) (control.LogState, error) { return d.logs.now(), nil }

// SetLog changes how the daemon logs.
func (d *daemon) SetLog(_ context.Context, r control.LogRequest) (control.LogState, error) {
	cfg := d.current.get().loaded.Config
	dirs := []string{logFolder, cfg.StateDir}
	if filepath.IsAbs(cfg.Log.Target) {
		dirs = append(dirs, filepath.Dir(cfg.Log.Target))
	}
	state, err := d.logs.change(r, dirs)
	if err != nil {
		return control.LogState{}, &control.Error{Code: control.CodeUsage, Message: err.Error()}
	}
	d.log.Info("the log changed", "level", state.Level, "target", state.Target)
	return state, nil
}
