package journald

import (
	"context"
	"flag"
	"fmt"
	"log/slog"
	"os"
	"os/exec"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"go.uber.org/goleak"

	"stockade/receiver"
)

var long = flag.Bool("long", false, "run the bars at their full length")

func TestMain(m *testing.M) {
	flag.Parse()
	goleak.VerifyTestMain(m)
}

// need skips the test, or fails it where nothing may be skipped.
func need(t testing.TB, ok bool, what string) {
	t.Helper()
	if ok {
		return
	}
	if os.Getenv("STOCKADE_REQUIRE") == "all" {
		t.Fatalf("needs %s", what)
	}
	t.Skipf("needs %s", what)
}

func needProgram(t testing.TB, path, deb string) string {
	t.Helper()
	p, err := exec.LookPath(path)
	need(t, err == nil, path+" (package "+deb+")")
	return p
}

type got struct {
	text, app, pid, host, raw string
	stamp, received           time.Time
	facility, severity        int8
	peer                      receiver.Peer
	origin                    receiver.Origin
	truncated, continued      bool
}

type recorder struct {
	mu    sync.Mutex
	lines []got
}

func (r *recorder) open(bool) receiver.Sink { return r }

func (r *recorder) Put(e *receiver.Entry) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.lines = append(r.lines, got{
		text: string(e.Text), app: string(e.App), pid: string(e.ProcID), host: string(e.Hostname), raw: string(e.Raw),
		stamp: e.Stamp, received: e.Received, facility: e.Facility, severity: e.Severity,
		peer: e.Peer, origin: e.Origin, truncated: e.Truncated, continued: e.Continued,
	})
}

func (r *recorder) Flush() {}

func (r *recorder) all() []got {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.lines[:len(r.lines):len(r.lines)]
}

// of returns the lines of one app.
func (r *recorder) of(app string) []got {
	var some []got
	for _, l := range r.all() {
		if l.app == app {
			some = append(some, l)
		}
	}
	return some
}

type logBuffer struct {
	mu sync.Mutex
	b  strings.Builder
}

func (l *logBuffer) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

func (l *logBuffer) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}

func registry(t testing.TB, cfgs ...receiver.SourceConfig) *receiver.Registry {
	t.Helper()
	for i := range cfgs {
		cfgs[i].Jails = []string{"*"}
	}
	ss, err := receiver.NewSources(cfgs, nil)
	if err != nil {
		t.Fatal(err)
	}
	return receiver.NewRegistry(ss)
}

// task is what runs in the daemon.
type task interface {
	Run(ctx context.Context) error
	Ready() <-chan struct{}
	String() string
}

// run runs a task until the returned function is called, at the latest when the test ends.
func run(t testing.TB, x task) (stop func()) {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- x.Run(ctx) }()
	select {
	case <-x.Ready():
	case err := <-done:
		t.Fatalf("%s: %v", x, err)
	case <-time.After(20 * time.Second):
		t.Fatalf("%s does not become ready", x)
	}
	var once sync.Once
	stop = func() {
		once.Do(func() {
			cancel()
			select {
			case err := <-done:
				if err != nil {
					t.Errorf("%s: %v", x, err)
				}
			case <-time.After(20 * time.Second):
				t.Errorf("%s does not stop", x)
			}
		})
	}
	t.Cleanup(stop)
	return stop
}

func eventually(limit time.Duration, ok func() bool) bool {
	for end := time.Now().Add(limit); ; time.Sleep(time.Millisecond) {
		if ok() {
			return true
		}
		if time.Now().After(end) {
			return false
		}
	}
}

const (
	journaldPath = "/lib/systemd/systemd-journald"
	remotePath   = "/lib/systemd/systemd-journal-remote"
	uploadPath   = "/lib/systemd/systemd-journal-upload"
)

// inside runs the body of a test in a child process with a private mount namespace, in which a
// journald of its own can live.
func inside(t *testing.T, body func(t *testing.T)) {
	t.Helper()
	const mark = "STOCKADE_TEST_JOURNALD_INSIDE"
	if os.Getenv(mark) != "" {
		body(t)
		return
	}
	need(t, os.Geteuid() == 0, "root for a mount namespace")
	needProgram(t, journaldPath, "systemd")
	unshare := needProgram(t, "unshare", "util-linux")
	cmd := exec.Command(unshare, "--mount", "--propagation", "private",
		os.Args[0], "-test.run=^"+t.Name()+"$", "-test.v", "-test.timeout=90s", fmt.Sprintf("-long=%v", *long), fmt.Sprintf("-test.short=%v", testing.Short()))
	cmd.Env = append(os.Environ(), mark+"=1")
	out, err := cmd.CombinedOutput()
	for line := range strings.SplitSeq(string(out), "\n") {
		if strings.Contains(line, "_test.go:") {
			t.Log(strings.TrimSpace(line))
		}
	}
	if err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
}

// journal is a running systemd-journald.
type journal struct {
	t   *testing.T
	cmd *exec.Cmd
}

const devLog = "/run/systemd/journal/dev-log"

var hostSource = receiver.SourceConfig{Name: "host", Journal: "local"}

// startJournald starts a journald that nobody else sees. It must be called inside.
func startJournald(t *testing.T, settings string) *journal {
	t.Helper()
	for _, dir := range []string{"/run", "/etc/systemd", "/var/log"} {
		if err := syscall.Mount("tmpfs", dir, "tmpfs", 0, "mode=755"); err != nil {
			t.Fatalf("mount %s: %v", dir, err)
		}
	}
	conf := "[Journal]\nStorage=volatile\nReadKMsg=no\nAudit=no\n" + settings + "\n"
	if err := os.WriteFile("/etc/systemd/journald.conf", []byte(conf), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.MkdirAll("/run/systemd/journal", 0o755); err != nil { //nolint:gosec // as systemd makes it
		t.Fatal(err)
	}
	j := &journal{t: t}
	j.start()
	t.Cleanup(j.stop)
	return j
}

func (j *journal) start() {
	j.t.Helper()
	j.cmd = exec.Command(journaldPath)
	if err := j.cmd.Start(); err != nil {
		j.t.Fatal(err)
	}
	ok := eventually(10*time.Second, func() bool {
		if exec.Command("logger", "-u", devLog, "-t", "probe", "probe").Run() != nil {
			return false
		}
		out, _ := exec.Command("journalctl", "--quiet", "--lines=1", "--identifier=probe").Output() // nothing yet is an error
		return len(out) > 0
	})
	if !ok {
		j.t.Fatal("journald does not take messages")
	}
}

func (j *journal) stop() {
	if j.cmd == nil {
		return
	}
	_ = j.cmd.Process.Signal(syscall.SIGTERM)
	_ = j.cmd.Wait()
	j.cmd = nil
}

// logger runs logger(1), as another user when uid is not 0.
func (j *journal) logger(uid int, args ...string) {
	j.t.Helper()
	args = append([]string{"logger", "-u", devLog}, args...)
	if uid != 0 {
		args = append([]string{"setpriv", fmt.Sprintf("--reuid=%d", uid), fmt.Sprintf("--regid=%d", uid), "--clear-groups"}, args...)
	}
	if out, err := exec.Command(args[0], args[1:]...).CombinedOutput(); err != nil {
		j.t.Fatalf("%v: %v %s", args, err, out)
	}
}

func textLog(b *logBuffer) *slog.Logger { return slog.New(slog.NewTextHandler(b, nil)) }
