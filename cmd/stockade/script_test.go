package main

import (
	"context"
	"errors"
	"flag"
	"log/slog"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/rogpeppe/go-internal/testscript"

	"stockade/cmd/stockade/control"
	"stockade/cmd/stockade/control/controltest"
)

var update = flag.Bool("update", false, "rewrite the expected outputs in testdata/script")

func TestMain(m *testing.M) {
	testscript.Main(m, map[string]func(){"stockade": main})
}

// TestScripts walks the verbs against a fake daemon. In a script, `code N stockade …` runs a
// command and demands its exit code; `daemon` gives the fake daemon a state.
func TestScripts(t *testing.T) {
	testscript.Run(t, testscript.Params{
		Dir:           filepath.Join("testdata", "script"),
		UpdateScripts: *update,
		Setup: func(env *testscript.Env) error {
			fake, socket, err := startFake(env.Defer)
			if err != nil {
				return err
			}
			env.Setenv("SOCKET", socket)
			env.Setenv("TZ", "UTC")
			env.Setenv("GORACE", "atexit_sleep_ms=0") // the race detector's default is a second a command
			env.Setenv("XDG_RUNTIME_DIR", filepath.Dir(socket))
			env.Setenv("XDG_STATE_HOME", filepath.Dir(socket))
			env.Values["fake"] = fake
			return nil
		},
		Cmds: map[string]func(ts *testscript.TestScript, neg bool, args []string){
			"code":   code,
			"daemon": setDaemon,
			"await":  await,
		},
	})
}

// startFake serves a fake daemon on a socket of its own until done.
func startFake(done func(func())) (*controltest.Fake, string, error) {
	dir, err := os.MkdirTemp("", "stk") // short: a socket path has at most 107 bytes
	if err != nil {
		return nil, "", err
	}
	fake := &controltest.Fake{}
	socket := filepath.Join(dir, "control.sock")
	s, err := control.New(control.Options{Socket: socket, Services: control.ServicesOf(fake), Log: slog.New(slog.DiscardHandler)})
	if err != nil {
		return nil, "", err
	}
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		_ = s.Run(ctx) // package control tests it
	}()
	done(func() {
		cancel()
		<-ended
		_ = os.RemoveAll(dir)
	})
	return fake, socket, nil
}

// code runs a command: code N COMMAND [ARG…]
func code(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) < 2 {
		ts.Fatalf("usage: code N command [arg…]")
	}
	want, err := strconv.Atoi(args[0])
	ts.Check(err)
	got := 0
	if err := ts.Exec(args[1], args[2:]...); err != nil {
		var exit *exec.ExitError
		if !errors.As(err, &exit) {
			ts.Fatalf("%v", err)
		}
		got = exit.ExitCode()
	}
	if got != want {
		ts.Fatalf("%s: exit code %d, want %d", strings.Join(args[1:], " "), got, want)
	}
}

// await waits until a daemon answers: await [FLAG…]
func await(ts *testscript.TestScript, neg bool, args []string) {
	for begin := time.Now(); time.Since(begin) < 30*time.Second; time.Sleep(20 * time.Millisecond) {
		if ts.Exec("stockade", append([]string{"ping"}, args...)...) == nil {
			return
		}
	}
	ts.Fatalf("no daemon answers")
}

// setDaemon changes the fake: daemon degraded|well|ban|badconfig
func setDaemon(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 1 {
		ts.Fatalf("usage: daemon degraded|well|ban|badconfig")
	}
	fake := ts.Value("fake").(*controltest.Fake)
	switch args[0] {
	case "degraded":
		fake.Degrade(
			control.Degraded{Name: "observe_fallback", Cause: "no CAP_NET_ADMIN: bans are only recorded", Since: controltest.Now},
			control.Degraded{Name: "ineffective", Cause: "jail sshd: \x1b[31m is not on our path", Since: controltest.Now.Add(time.Minute)})
	case "well":
		fake.Degrade()
	case "ban":
		end := controltest.Now.Add(time.Hour)
		fake.Add(control.Ban{Address: netip.MustParsePrefix("192.0.2.7/32"), Jail: "sshd", Source: "this-host", Trust: "kernel",
			Start: controltest.Now, End: &end, Reason: "5 failures in 10m", Failures: 5, Enforced: true, Ports: []string{"22"}, Count: 1})
		fake.Add(control.Ban{Address: netip.MustParsePrefix("2001:db8::/64"), Jail: "sshd", Source: "this-host", Trust: "kernel",
			Start: controltest.Now, Reason: "clear \x1b[2J\u202e", Failures: 5, Count: 4})
	case "badconfig":
		fake.FailReload(&control.Error{Code: control.CodeBadConfig, Message: "the new configuration is not used: 2 errors",
			Problems: []control.Problem{
				{File: "stockade.yaml", Line: 3, Column: 5, Path: "jails[0].findtime", Severity: "error", Message: `"10q" is not a duration`},
				{File: "conf.d/web.yaml", Line: 1, Column: 1, Severity: "warning", Message: "empty file"},
			}})
	default:
		ts.Fatalf("unknown state %q", args[0])
	}
}
