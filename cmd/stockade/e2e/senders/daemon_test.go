package senders

import (
	"bytes"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

var long = flag.Bool("long", false, "run the long forms of the tests")

var stockade string // the binary under test

func TestMain(m *testing.M) {
	flag.Parse()
	os.Exit(func() int {
		dir, err := os.MkdirTemp("", "stockade-senders-")
		if err != nil {
			fmt.Fprintln(os.Stderr, err)
			return 1
		}
		defer func() { _ = os.RemoveAll(dir) }()
		stockade = filepath.Join(dir, "stockade")
		if out, err := exec.Command("go", "build", "-o", stockade, "stockade/cmd/stockade").CombinedOutput(); err != nil {
			fmt.Fprintf(os.Stderr, "build: %v\n%s", err, out)
			return 1
		}
		return m.Run()
	}())
}

// need skips the test when something is missing; under STOCKADE_REQUIRE=all it fails.
func need(t testing.TB, ok bool, what string) {
	t.Helper()
	switch {
	case ok:
	case os.Getenv("STOCKADE_REQUIRE") == "all":
		t.Fatalf("needs %s", what)
	default:
		t.Skipf("needs %s", what)
	}
}

func needPrograms(t testing.TB, names ...string) {
	t.Helper()
	for _, name := range names {
		_, err := exec.LookPath(name)
		need(t, err == nil, "the program "+name)
	}
}

func within(limit time.Duration, ok func() bool) bool {
	for end := time.Now().Add(limit); !ok(); time.Sleep(5 * time.Millisecond) {
		if time.Now().After(end) {
			return false
		}
	}
	return true
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

// process is a program that runs until the test ends, or is ended before.
type process struct {
	t    testing.TB
	cmd  *exec.Cmd
	out  *output
	done chan struct{}
}

func run(t testing.TB, cmd *exec.Cmd) *process {
	t.Helper()
	p := &process{t: t, cmd: cmd, out: new(output), done: make(chan struct{})}
	cmd.Stdout, cmd.Stderr = p.out, p.out
	cmd.WaitDelay = time.Second
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	go func() { _ = cmd.Wait(); close(p.done) }()
	t.Cleanup(func() { p.end(syscall.SIGKILL) })
	return p
}

// end sends a signal and waits for the end.
func (p *process) end(s syscall.Signal) {
	p.t.Helper()
	_ = p.cmd.Process.Signal(s)
	select {
	case <-p.done:
	case <-time.After(20 * time.Second):
		_ = p.cmd.Process.Kill()
		p.t.Errorf("%s still runs 20 s after %v", p.cmd.Path, s)
	}
}

// daemon is a stockade that records bans and enforces none.
type daemon struct {
	*process
	t      testing.TB
	dir    string
	config string
}

// newDaemon writes the configuration; %DIR% in it is the daemon's folder.
func newDaemon(t testing.TB, config string) *daemon {
	t.Helper()
	dir, err := os.MkdirTemp("", "snd") // short: it holds sockets
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	if err := os.Chmod(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	d := &daemon{t: t, dir: dir, config: filepath.Join(dir, "stockade.yaml")}
	head := "state_dir: %DIR%/state\ncontrol: {socket: %DIR%/control}\nlog: {format: json}\nfirewall: {backend: observe}\n"
	d.write(head + config)
	t.Cleanup(func() {
		if t.Failed() && d.process != nil {
			lines := strings.Split(d.out.String(), "\n")
			t.Logf("the daemon's log:\n%s", strings.Join(lines[max(0, len(lines)-40):], "\n"))
		}
	})
	return d
}

func (d *daemon) write(config string) {
	d.t.Helper()
	if err := os.WriteFile(d.config, []byte(strings.ReplaceAll(config, "%DIR%", d.dir)), 0o644); err != nil {
		d.t.Fatal(err)
	}
}

// start runs serve and waits until it answers. wrap may change the command.
func (d *daemon) start(wrap ...func(*exec.Cmd)) *daemon {
	d.t.Helper()
	cmd := exec.Command(stockade, "serve", "--config", d.config)
	for _, w := range wrap {
		w(cmd)
	}
	d.process = run(d.t, cmd)
	if !within(20*time.Second, func() bool { return strings.Contains(d.out.String(), `"serving"`) }) {
		d.t.Fatalf("serve is not ready:\n%s", d.out)
	}
	return d
}

// stop ends the daemon cleanly.
func (d *daemon) stop() {
	d.t.Helper()
	d.end(syscall.SIGTERM)
	if code := d.cmd.ProcessState.ExitCode(); code != 0 {
		d.t.Errorf("serve exited with %d\n%s", code, d.out)
	}
}

// ask runs a verb that must exit with 0 or 1.
func (d *daemon) ask(args ...string) string {
	d.t.Helper()
	out, err := exec.Command(stockade, append(args, "--config", d.config)...).CombinedOutput()
	var exit *exec.ExitError
	if err != nil && (!errors.As(err, &exit) || exit.ExitCode() != 1) {
		d.t.Fatalf("stockade %s: %v\n%s", strings.Join(args, " "), err, out)
	}
	return string(out)
}

func (d *daemon) decode(v any, args ...string) {
	d.t.Helper()
	out := d.ask(append(args, "--json")...)
	if err := json.Unmarshal([]byte(out), v); err != nil {
		d.t.Fatalf("stockade %s: %v in %s", strings.Join(args, " "), err, out)
	}
}

type ban struct {
	Address string    `json:"address"`
	Start   time.Time `json:"start"`
}

func (d *daemon) bans() (list []ban) {
	d.t.Helper()
	d.decode(&list, "bans")
	return list
}

type source struct {
	Name    string           `json:"name"`
	Lines   int64            `json:"lines"`
	Refused map[string]int64 `json:"refused"`
}

func (d *daemon) source(name string) source {
	d.t.Helper()
	var list []source
	d.decode(&list, "sources")
	for _, s := range list {
		if s.Name == name {
			return s
		}
	}
	d.t.Fatalf("no source %q in %+v", name, list)
	return source{}
}

// failed returns how many failures the jail has counted.
func (d *daemon) failed(jail string) int {
	d.t.Helper()
	total, _ := d.counts(jail)
	return total
}

// counts returns how many failures the jail has counted, and of how many addresses it holds some.
func (d *daemon) counts(jail string) (total, current int) {
	d.t.Helper()
	var s struct {
		Total   int `json:"failed_total"`
		Current int `json:"failed_current"`
	}
	d.decode(&s, "status", jail)
	return s.Total, s.Current
}

// logged returns the records of the daemon's log with this message.
func (d *daemon) logged(message string) (list []map[string]any) {
	d.t.Helper()
	for line := range strings.Lines(d.out.String()) {
		var r map[string]any
		if json.Unmarshal([]byte(line), &r) == nil && r["msg"] == message {
			list = append(list, r)
		}
	}
	return list
}

// freePort returns a TCP port of 127.0.0.1 that nothing listens on.
func freePort(t testing.TB) int {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer ln.Close()
	return ln.Addr().(*net.TCPAddr).Port
}
