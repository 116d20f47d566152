package rig

import (
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"
)

// upWait is how long serve may take to be ready. It restores a million bans in some tests.
const upWait = 60 * time.Second

// Daemon is a stockade with a folder and a configuration of its own. Its methods are called by the
// test's goroutine.
type Daemon struct {
	*Process // nil before Start

	T      testing.TB
	NS     string      // network namespace; "": the test's own
	Dir    string      // every user may enter it
	Config string      // the path of the configuration; "": none, the built-in default serves
	Socket string      // its control socket; where a test moves it, a Rewrite follows
	Wrap   []string    // a command in front of serve, such as one that drops privileges
	Args   []string    // more arguments of serve
	Ready  func() bool // whether it can serve; nil: it has logged that it does
	Took   time.Duration
}

const head = "state_dir: %DIR%/state\ncontrol: {socket: %SOCKET%}\n"

// NewDaemon writes the configuration and starts nothing. %DIR% in it is the daemon's folder; the
// state folder and the control socket are set. When the test ends, the daemon ends, and its log must
// have no panic and no data race.
func NewDaemon(t testing.TB, ns, config string) *Daemon {
	t.Helper()
	dir := OpenDir(t)
	d := &Daemon{T: t, NS: ns, Dir: dir, Config: filepath.Join(dir, "stockade.yaml"), Socket: filepath.Join(dir, "control.sock")}
	d.Rewrite(config)
	return d
}

// NewDefault is a daemon without a configuration file: it takes the paths that the built-in default has
// for root. The test has made sure that those are its own, as in a mount namespace.
func NewDefault(t testing.TB, ns string) *Daemon {
	t.Helper()
	_, err := os.Stat("/etc/stockade")
	Require(t, os.IsNotExist(err), "needs a machine without /etc/stockade")
	return &Daemon{T: t, NS: ns, Dir: OpenDir(t), Socket: "/run/stockade/control.sock"}
}

// Rewrite puts another configuration in the place of the daemon's, in one step.
func (d *Daemon) Rewrite(config string) {
	d.T.Helper()
	next := d.Config + ".next"
	text := strings.NewReplacer("%DIR%", d.Dir, "%SOCKET%", d.Socket).Replace(head + config)
	err := os.WriteFile(next, []byte(text), 0o644) //nolint:gosec // for daemons of other users
	if err == nil {
		err = os.Rename(next, d.Config)
	}
	if err != nil {
		d.T.Fatal(err)
	}
}

// Start runs serve and waits until it is ready; Took is how long that was. adjust may change the
// command.
func (d *Daemon) Start(adjust ...func(*exec.Cmd)) *Daemon {
	d.T.Helper()
	args := append(slices.Clone(d.Wrap), Program(d.T, "stockade"), "serve")
	if d.Config != "" {
		args = append(args, "--config", d.Config)
	}
	cmd := InNS(d.NS, append(args, d.Args...)...)
	for _, f := range adjust {
		f(cmd)
	}
	begin := time.Now()
	d.Process = Start(d.T, cmd)
	p := d.Process
	d.T.Cleanup(func() { d.inspect(p) })
	ready := d.Ready
	if ready == nil {
		ready = func() bool { return strings.Contains(p.Log.String(), `"serving"`) }
	}
	if !Soon(upWait, func() bool { return p.Ended() || ready() }) {
		d.T.Fatalf("serve is not ready after %s\n%s", upWait, Last(p.Log.String(), 40))
	}
	d.Took = time.Since(begin)
	if p.Ended() {
		d.T.Fatalf("serve ended: %v\n%s", p.Cmd.ProcessState, p.Log)
	}
	return d
}

// inspect looks for what a daemon must never say, when the test ends.
func (d *Daemon) inspect(p *Process) {
	p.Kill()
	text := p.Log.String()
	for _, sign := range []string{"panic: ", "fatal error: ", "WARNING: DATA RACE"} {
		if strings.Contains(text, sign) {
			d.T.Errorf("the daemon's log has %q", sign)
		}
	}
	if d.T.Failed() {
		d.T.Logf("the daemon's log:\n%s", Last(text, 40))
	}
}

// Stop ends the daemon cleanly.
func (d *Daemon) Stop() {
	d.T.Helper()
	d.End(syscall.SIGTERM)
	if code := d.Cmd.ProcessState.ExitCode(); code != 0 {
		d.T.Errorf("serve exited with %d\n%s", code, d.Log)
	}
}

// Logged returns the records of the daemon's log with this message.
func (d *Daemon) Logged(message string) (list []map[string]any) {
	for line := range strings.Lines(d.Log.String()) {
		var r map[string]any
		if json.Unmarshal([]byte(line), &r) == nil && r["msg"] == message {
			list = append(list, r)
		}
	}
	return list
}
