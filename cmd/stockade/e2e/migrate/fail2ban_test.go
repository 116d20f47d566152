package migrate

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"stockade/cmd/stockade/e2e/rig"
)

func TestMain(m *testing.M) { os.Exit(rig.Main(m)) }

// fail2ban is a running fail2ban with a folder of its own.
type fail2ban struct {
	*rig.Process
	t   testing.TB
	ns  string
	dir string // its configuration
	run string // socket, log and database
}

const fail2banConf = `[DEFAULT]
loglevel = INFO
logtarget = %RUN%/fail2ban.log
syslogsocket = auto
socket = %RUN%/fail2ban.sock
pidfile = %RUN%/fail2ban.pid
dbfile = %RUN%/fail2ban.sqlite3
dbpurgeage = 1d
dbmaxmatches = 10
allowipv6 = auto
[Definition]
[Thread]
`

// newFail2ban writes the configuration and starts nothing. %RUN% in the files is a folder for what
// fail2ban writes.
func newFail2ban(t testing.TB, ns string, files map[string]string) *fail2ban {
	t.Helper()
	rig.RequirePrograms(t, "fail2ban-server", "fail2ban-client")
	rig.Program(t, "stockade") // built now, so that no verb has to wait for it
	base := rig.OpenDir(t)
	f := &fail2ban{t: t, ns: ns, dir: filepath.Join(base, "fail2ban"), run: filepath.Join(base, "run")}
	if err := os.Mkdir(f.run, 0o755); err != nil {
		t.Fatal(err)
	}
	f.write("fail2ban.conf", fail2banConf)
	for name, text := range files {
		f.write(name, text)
	}
	return f
}

func (f *fail2ban) write(name, text string) {
	f.t.Helper()
	path := filepath.Join(f.dir, name)
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		f.t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(strings.ReplaceAll(text, "%RUN%", f.run)), 0o644); err != nil { //nolint:gosec // as /etc/fail2ban is
		f.t.Fatal(err)
	}
}

// start runs the server and waits until it answers.
func (f *fail2ban) start() *fail2ban {
	f.t.Helper()
	f.Process = rig.Start(f.t, rig.InNS(f.ns, "fail2ban-server", "-f", "-c", f.dir, "-s", f.run+"/fail2ban.sock", "-p", f.run+"/fail2ban.pid", "start"))
	if !rig.Soon(60*time.Second, func() bool { return f.Ended() || f.try("ping") == nil }) || f.Ended() {
		log, _ := os.ReadFile(f.run + "/fail2ban.log")
		f.t.Fatalf("fail2ban does not start: %s\n%s", f.Log, log)
	}
	return f
}

func (f *fail2ban) command(args ...string) *exec.Cmd {
	return rig.InNS(f.ns, append([]string{"fail2ban-client", "-c", f.dir, "-s", f.run + "/fail2ban.sock"}, args...)...)
}

func (f *fail2ban) try(args ...string) error { return f.command(args...).Run() }

// client runs fail2ban-client, which must succeed.
func (f *fail2ban) client(args ...string) string {
	f.t.Helper()
	out, err := f.command(args...).CombinedOutput()
	if err != nil {
		f.t.Fatalf("fail2ban-client %s: %v\n%s", strings.Join(args[:min(len(args), 4)], " "), err, out)
	}
	return string(out)
}

// log is what fail2ban has logged so far.
func (f *fail2ban) logged() string {
	text, _ := os.ReadFile(f.run + "/fail2ban.log") // missing: nothing yet
	return string(text)
}

// stop ends the server as an operator does: its bans end.
func (f *fail2ban) stop() {
	f.t.Helper()
	f.client("stop")
	select {
	case <-f.Done:
	case <-time.After(60 * time.Second):
		f.t.Fatal("fail2ban still runs a minute after stop")
	}
}

// writeRun writes a file into the folder that %RUN% stands for.
func (f *fail2ban) writeRun(name, text string) {
	f.t.Helper()
	if err := os.WriteFile(filepath.Join(f.run, name), []byte(text), 0o644); err != nil { //nolint:gosec // read by daemons of other users
		f.t.Fatal(err)
	}
}
