package daemon

import (
	"fmt"
	"os"

	"stockade/cmd/stockade/config"
	"stockade/cmd/stockade/control"
	"stockade/jails/state"
	"stockade/pipeline/action"
)

// checkActions reads the action files and reports what is wrong with them; with none allowed, that.
func (b *built) checkActions() {
	cfg := b.loaded.Config
	for i, c := range cfg.Actions {
		path := fmt.Sprintf("actions[%d]", i)
		if !cfg.AllowShell {
			b.loaded.Report(path, config.SeverityWarning, "it is off: allow_shell_actions: true would run its commands")
			continue
		}
		for _, jail := range c.Jails {
			if _, err := action.Read(c.Action, jail); err != nil {
				b.loaded.Report(path+".action", config.SeverityError, err.Error())
				break // the other jails' would say the same
			}
		}
	}
}

// openActions makes the runner of the actions.
func (d *daemon) openActions(cfg *config.Config) (err error) {
	host, _ := os.Hostname() // "" is no reason not to serve
	d.actions, err = action.New(cfg.Actions, action.Options{Log: d.log, Allow: cfg.AllowShell, Host: host, Bans: d.bansOf})
	return err
}

// act tells the actions of a jail of a ban or its end.
func (d *daemon) act(b *state.Ban, lifted bool) {
	if d.actions.Wants(b.Jail) {
		d.actions.Post(actionBan(b), lifted)
	}
}

// actOnce tells the actions of a ban that another program made, and of which it told everybody.
func (d *daemon) actOnce(b *state.Ban) {
	if d.actions.Wants(b.Jail) {
		out := actionBan(b)
		out.Restored = true
		d.actions.Post(out, false)
	}
}

// bansOf are the bans of a jail that hold, for an action that starts.
func (d *daemon) bansOf(jail string) []action.Ban {
	var list []action.Ban
	for _, b := range d.store.Bans(jail) {
		list = append(list, actionBan(b))
	}
	return list
}

func actionBan(b *state.Ban) action.Ban {
	out := action.Ban{Jail: b.Jail, Prefix: b.Prefix, Start: b.Start, End: b.End, Count: b.Count, Failures: b.Failures}
	for i := range b.Evidence {
		out.Matches = append(out.Matches, b.Evidence[i].Raw)
		if user := b.Evidence[i].User; user != "" {
			out.User = user
		}
	}
	return out
}

// actionMetrics are what became of the commands of each action.
func (d *daemon) actionMetrics() []control.Metric {
	const help = "Commands of actions by action, jail and outcome; dropped are bans that an action was not told of."
	var m []control.Metric
	for _, s := range d.actions.Stats() {
		for _, o := range []struct {
			outcome string
			n       int64
		}{{"run", s.Run}, {"failed", s.Failed}, {"dropped", s.Dropped}} {
			m = append(m, counter("stockade_actions_total", help, o.n, "action", s.Name, "jail", s.Jail, "outcome", o.outcome))
		}
	}
	return m
}
