package rig

import (
	"context"
	"encoding/json"
	"errors"
	"os/exec"
	"strings"
	"time"

	"stockade/cmd/stockade/control"
)

// Run runs a verb against the daemon and returns its output and exit code.
func (d *Daemon) Run(args ...string) (string, int) {
	d.T.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	if d.Config != "" {
		args = append(args, "--config", d.Config)
	}
	cmd := exec.CommandContext(ctx, Program(d.T, "stockade"), args...)
	out, err := cmd.CombinedOutput()
	var exit *exec.ExitError
	if err != nil && !errors.As(err, &exit) {
		d.T.Fatalf("stockade %s: %v", strings.Join(args, " "), err)
	}
	return string(out), cmd.ProcessState.ExitCode()
}

// Must runs a verb that must exit with 0.
func (d *Daemon) Must(args ...string) string {
	d.T.Helper()
	out, code := d.Run(args...)
	if code != 0 {
		d.T.Fatalf("stockade %s exited with %d:\n%s", strings.Join(args, " "), code, out)
	}
	return out
}

// Ask runs a verb that must exit with 0 or 1.
func (d *Daemon) Ask(args ...string) string {
	d.T.Helper()
	out, code := d.Run(args...)
	if code > 1 {
		d.T.Fatalf("stockade %s exited with %d:\n%s", strings.Join(args, " "), code, out)
	}
	return out
}

// Decode runs a reading verb with --json and decodes what it prints. It may exit with 1.
func (d *Daemon) Decode(v any, args ...string) {
	d.T.Helper()
	out := d.Ask(append(args, "--json")...)
	if err := json.Unmarshal([]byte(out), v); err != nil {
		d.T.Fatalf("stockade %s: %v in %s", strings.Join(args, " "), err, out)
	}
}

// Ban is one ban as `bans --json` prints it. These types repeat the contract instead of using the
// daemon's own, so that a changed name is noticed.
type Ban struct {
	Address  string     `json:"address"`
	Jail     string     `json:"jail"`
	Source   string     `json:"source"`
	Trust    string     `json:"trust"`
	Start    time.Time  `json:"start"`
	End      *time.Time `json:"end"`
	Failures int        `json:"failures"`
	Enforced bool       `json:"enforced"`
}

// Bans returns all bans.
func (d *Daemon) Bans() (list []Ban) {
	d.T.Helper()
	d.Decode(&list, "bans")
	return list
}

// Source is one source as `sources --json` prints it.
type Source struct {
	Name     string           `json:"name"`
	Listener string           `json:"listener"`
	Identity string           `json:"identity"`
	Trust    string           `json:"trust"`
	State    string           `json:"state"`
	Lines    int64            `json:"lines"`
	Failures int64            `json:"failures"`
	Bans     int64            `json:"bans"`
	Refused  map[string]int64 `json:"refused"`
}

// Source returns the source of a name, which must be there.
func (d *Daemon) Source(name string) Source {
	d.T.Helper()
	var list []Source
	d.Decode(&list, "sources")
	for _, s := range list {
		if s.Name == name {
			return s
		}
	}
	d.T.Fatalf("no source %q in %+v", name, list)
	return Source{}
}

// Status is what `status --json` prints of the whole daemon.
type Status struct {
	State    string     `json:"state"`
	Degraded []Degraded `json:"degraded"`
}

// Degraded is one reason why the daemon is degraded.
type Degraded struct {
	Name  string    `json:"name"`
	Cause string    `json:"cause"`
	Since time.Time `json:"since"`
}

// Status returns the daemon's state.
func (d *Daemon) Status() (s Status) {
	d.T.Helper()
	d.Decode(&s, "status")
	return s
}

// Jail is what `status JAIL --json` prints.
type Jail struct {
	FailedCurrent int      `json:"failed_current"`
	FailedTotal   int      `json:"failed_total"`
	BannedCurrent int      `json:"banned_current"`
	BannedTotal   int      `json:"banned_total"`
	Banned        []string `json:"banned"`
}

// Jail returns the numbers of a jail.
func (d *Daemon) Jail(name string) (s Jail) {
	d.T.Helper()
	d.Decode(&s, "status", name)
	return s
}

// Dial returns a client of the daemon's control socket.
func (d *Daemon) Dial() (*control.Client, error) {
	return control.Dial(context.Background(), d.Socket)
}
