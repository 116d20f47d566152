package e2e

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

var (
	long  = flag.Bool("long", false, "run the long forms of the tests")
	build = flag.String("build", "", "a `flag` for go build of the programs under test, such as -race")
)

// binaries is the folder of the programs under test.
var binaries string

func TestMain(m *testing.M) {
	flag.Parse()
	os.Exit(func() int {
		dir, err := os.MkdirTemp("", "stockade-e2e-")
		if err != nil {
			fmt.Fprintln(os.Stderr, err)
			return 1
		}
		defer reaper(dir)()
		if err := os.Chmod(dir, 0o755); err != nil {
			fmt.Fprintln(os.Stderr, err)
			return 1
		}
		args := append([]string{"build", "-o", dir + "/"}, strings.Fields(*build)...)
		args = append(args, "stockade/cmd/stockade", "stockade/cmd/stockade-load")
		if out, err := exec.Command("go", args...).CombinedOutput(); err != nil {
			fmt.Fprintf(os.Stderr, "build: %v\n%s", err, out)
			return 1
		}
		binaries = dir
		return m.Run()
	}())
}

// reaper starts the process that cleans up, and returns what makes it do so. It also does when this
// process is killed or runs out of time, when no cleanup of a test is run.
func reaper(dir string) (reap func()) {
	cmd := exec.Command("sh", "testdata/reaper.sh", strconv.Itoa(os.Getpid()), dir)
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true} // a Ctrl-C is not for it
	alive, err := cmd.StdinPipe()
	if err == nil {
		err = cmd.Start()
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "reaper:", err)
		return func() { _ = os.RemoveAll(dir) }
	}
	return func() { alive.Close(); _ = cmd.Wait() }
}

// require skips the test when something is missing; under STOCKADE_REQUIRE=all it fails.
func require(t testing.TB, ok bool, reason string) {
	t.Helper()
	switch {
	case ok:
	case os.Getenv("STOCKADE_REQUIRE") == "all":
		t.Fatal(reason)
	default:
		t.Skip(reason)
	}
}

func requireRoot(t testing.TB) {
	t.Helper()
	require(t, os.Geteuid() == 0, "needs root: network namespaces and nftables")
}

func requirePrograms(t testing.TB, names ...string) {
	t.Helper()
	for _, name := range names {
		_, err := exec.LookPath(name)
		require(t, err == nil, "needs the program "+name)
	}
}

// eventually waits until ok says true.
func eventually(t testing.TB, limit time.Duration, what string, ok func() bool) {
	t.Helper()
	for deadline := time.Now().Add(limit); !ok(); {
		if time.Now().After(deadline) {
			t.Fatalf("not within %s: %s", limit, what)
		}
		time.Sleep(5 * time.Millisecond)
	}
}

// daemon is a running stockade.
type daemon struct {
	t      testing.TB
	ns     string // network namespace; "": the test's own
	dir    string
	config string
	wrap   []string // a command in front of serve, such as one that drops privileges
	cmd    *exec.Cmd
	log    *output
	done   chan struct{}
	took   time.Duration // from start to serving
}

// output is what a process wrote; it may be read while it is written.
type output struct {
	mu  sync.Mutex
	buf bytes.Buffer
}

func (o *output) Write(p []byte) (int, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.buf.Write(p)
}

func (o *output) String() string {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.buf.String()
}

// newDaemon writes the configuration; %DIR% in it is the daemon's folder.
func newDaemon(t testing.TB, ns, config string) *daemon {
	t.Helper()
	dir := t.TempDir()
	d := &daemon{t: t, ns: ns, dir: dir, config: filepath.Join(dir, "stockade.yaml")}
	head := "state_dir: %DIR%/state\ncontrol: {socket: %DIR%/control.sock}\n"
	text := strings.ReplaceAll(head+config, "%DIR%", dir)
	if err := os.WriteFile(d.config, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(d.kill)
	return d
}

// inNS is the command run in a network namespace; "" is the test's own.
func inNS(ns string, args ...string) *exec.Cmd {
	if ns != "" {
		args = append([]string{"ip", "netns", "exec", ns}, args...)
	}
	cmd := exec.Command(args[0], args[1:]...)
	cmd.WaitDelay = 2 * time.Second // a grandchild may keep the pipes open
	return cmd
}

// start runs serve and waits until it answers.
func (d *daemon) start() *daemon {
	d.t.Helper()
	begin := time.Now()
	d.cmd = inNS(d.ns, append(slices.Clone(d.wrap), filepath.Join(binaries, "stockade"), "serve", "--config", d.config)...)
	d.log = &output{}
	d.cmd.Stderr, d.cmd.Stdout = d.log, d.log
	if err := d.cmd.Start(); err != nil {
		d.t.Fatal(err)
	}
	cmd, done := d.cmd, make(chan struct{})
	d.done = done
	go func() { _ = cmd.Wait(); close(done) }()
	for !strings.Contains(d.log.String(), `"serving"`) {
		select {
		case <-done:
			d.t.Fatalf("serve ended: %v\n%s", d.cmd.ProcessState, d.log)
		case <-time.After(time.Millisecond):
		}
		if time.Since(begin) > 20*time.Second {
			d.t.Fatalf("serve is not ready after 20 s\n%s", d.log)
		}
	}
	d.took = time.Since(begin)
	return d
}

func (d *daemon) signal(s syscall.Signal) {
	d.t.Helper()
	if err := d.cmd.Process.Signal(s); err != nil {
		d.t.Fatal(err)
	}
	select {
	case <-d.done:
	case <-time.After(15 * time.Second):
		d.t.Fatalf("serve still runs 15 s after %v", s)
	}
}

// stop ends the daemon cleanly.
func (d *daemon) stop() {
	d.t.Helper()
	d.signal(syscall.SIGTERM)
	if code := d.cmd.ProcessState.ExitCode(); code != 0 {
		d.t.Errorf("serve exited with %d\n%s", code, d.log)
	}
}

func (d *daemon) kill() {
	if d.cmd == nil {
		return
	}
	select {
	case <-d.done:
	default:
		_ = d.cmd.Process.Kill()
		<-d.done
	}
	for _, sign := range []string{"panic: ", "fatal error: ", "WARNING: DATA RACE"} {
		if strings.Contains(d.log.String(), sign) {
			d.t.Errorf("the daemon's log has %q", sign)
		}
	}
	if d.t.Failed() {
		d.t.Logf("the daemon's log:\n%s", tail(d.log.String(), 40))
	}
}

// tail returns the last lines of a text.
func tail(text string, lines int) string {
	all := strings.Split(strings.TrimSpace(text), "\n")
	return strings.Join(all[max(0, len(all)-lines):], "\n")
}

// run runs a verb against the daemon and returns its output and exit code.
func (d *daemon) run(args ...string) (string, int) {
	d.t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	args = append(args, "--config", d.config)
	cmd := exec.CommandContext(ctx, filepath.Join(binaries, "stockade"), args...)
	out, err := cmd.CombinedOutput()
	var exit *exec.ExitError
	if err != nil && !errors.As(err, &exit) {
		d.t.Fatalf("stockade %s: %v", strings.Join(args, " "), err)
	}
	return string(out), cmd.ProcessState.ExitCode()
}

// must runs a verb that must exit with 0.
func (d *daemon) must(args ...string) string {
	d.t.Helper()
	out, code := d.run(args...)
	if code != 0 {
		d.t.Fatalf("stockade %s exited with %d:\n%s", strings.Join(args, " "), code, out)
	}
	return out
}

type jsonBan struct {
	Address  string     `json:"address"`
	Jail     string     `json:"jail"`
	Source   string     `json:"source"`
	End      *time.Time `json:"end"`
	Failures int        `json:"failures"`
	Enforced bool       `json:"enforced"`
}

func (d *daemon) bans() []jsonBan {
	d.t.Helper()
	var list []jsonBan
	d.decode(&list, "bans", "--json")
	return list
}

type jsonSource struct {
	Name     string           `json:"name"`
	Lines    int64            `json:"lines"`
	Failures int64            `json:"failures"`
	Refused  map[string]int64 `json:"refused"`
}

func (d *daemon) source(name string) jsonSource {
	d.t.Helper()
	var list []jsonSource
	d.decode(&list, "sources", "--json")
	for _, s := range list {
		if s.Name == name {
			return s
		}
	}
	d.t.Fatalf("no source %q in %+v", name, list)
	return jsonSource{}
}

func (d *daemon) decode(v any, args ...string) {
	d.t.Helper()
	out := d.must(args...)
	if err := json.Unmarshal([]byte(out), v); err != nil {
		d.t.Fatalf("stockade %s: %v in %s", strings.Join(args, " "), err, out)
	}
}

// freePort returns a port of 127.0.0.1 that nothing listens on, for TCP and UDP.
func freePort(t testing.TB) int {
	t.Helper()
	for range 100 {
		ln, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		port := ln.Addr().(*net.TCPAddr).Port
		conn, err := net.ListenPacket("udp", ln.Addr().String())
		ln.Close()
		if err == nil {
			conn.Close()
			return port
		}
	}
	t.Fatal("no port is free for both TCP and UDP")
	return 0
}
