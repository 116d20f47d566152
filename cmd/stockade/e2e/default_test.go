package e2e

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"stockade/cmd/stockade/e2e/rig"
)

// upIn is the target for the time from start to serving; the tests allow five times as much.
const upIn = 2 * time.Second

const nobody = 65534 // the user without rights, and its group

// host is a place where serve runs without a configuration, and the verbs reach it.
type host struct {
	t    testing.TB
	env  []string
	user *syscall.Credential // nil: the test's own
	ns   string              // network namespace; the mounts are then the daemon's own, too
	pid  int                 // of the daemon
	log  *rig.Output
}

// plainHost is a user without any right: nobody, where the tests are root.
func plainHost(t testing.TB) *host {
	t.Helper()
	requireNoConfig(t)
	dir := rig.OpenDir(t)
	h := &host{t: t, log: &rig.Output{}}
	for _, name := range []string{"run", "state", "tmp"} {
		if err := os.Mkdir(filepath.Join(dir, name), 0o700); err != nil {
			t.Fatal(err)
		}
		if os.Geteuid() == 0 {
			h.user = &syscall.Credential{Uid: nobody, Gid: nobody}
			if err := os.Chown(filepath.Join(dir, name), nobody, nobody); err != nil {
				t.Fatal(err)
			}
		}
	}
	h.env = append(os.Environ(), "XDG_RUNTIME_DIR="+dir+"/run", "XDG_STATE_HOME="+dir+"/state", "TMPDIR="+dir+"/tmp")
	return h
}

// rootHost is root with empty /run and /var/lib, and a network of its own.
func rootHost(t testing.TB) *host {
	t.Helper()
	ns := rig.NewNS(t)
	rig.RequirePrograms(t, "unshare", "nsenter")
	requireNoConfig(t)
	return &host{t: t, env: os.Environ(), ns: ns, log: &rig.Output{}}
}

func requireNoConfig(t testing.TB) {
	t.Helper()
	_, err := os.Stat("/etc/stockade")
	rig.Require(t, os.IsNotExist(err), "needs a machine without /etc/stockade")
}

// socket is where the built-in default takes lines.
func (h *host) socket() string {
	if h.ns != "" {
		return "/run/stockade/syslog.sock"
	}
	for _, v := range h.env {
		if dir, ok := strings.CutPrefix(v, "XDG_RUNTIME_DIR="); ok {
			return dir + "/stockade/syslog.sock"
		}
	}
	h.t.Fatal("no XDG_RUNTIME_DIR")
	return ""
}

// command is a command of this host, ended after a minute.
func (h *host) command(args ...string) *exec.Cmd {
	h.t.Helper()
	if h.ns != "" && h.pid != 0 {
		args = append([]string{"nsenter", "--target", strconv.Itoa(h.pid), "--mount", "--net", "--wd=."}, args...)
	}
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	h.t.Cleanup(cancel)
	cmd := exec.CommandContext(ctx, args[0], args[1:]...)
	cmd.Env, cmd.WaitDelay = h.env, 2*time.Second
	cmd.SysProcAttr = &syscall.SysProcAttr{Credential: h.user}
	return cmd
}

// start runs a command that is, or becomes, the daemon, and waits until it serves.
func (h *host) start(args ...string) time.Duration {
	h.t.Helper()
	if h.ns != "" {
		script := `mount -t tmpfs tmpfs /run && mount -t tmpfs tmpfs /var/lib && exec "$@"`
		args = append([]string{"ip", "netns", "exec", h.ns, "unshare", "--mount", "--propagation", "private", "sh", "-c", script, "sh"}, args...)
	}
	cmd := exec.Command(args[0], args[1:]...)
	cmd.Env, cmd.Stdout, cmd.Stderr, cmd.WaitDelay = h.env, h.log, h.log, 2*time.Second
	cmd.SysProcAttr = &syscall.SysProcAttr{Credential: h.user}
	begin := time.Now()
	if err := cmd.Start(); err != nil {
		h.t.Fatal(err)
	}
	h.pid = cmd.Process.Pid // every step before the daemon replaces itself by the next
	done := make(chan struct{})
	go func() { _ = cmd.Wait(); close(done) }()
	h.t.Cleanup(func() {
		_ = cmd.Process.Signal(syscall.SIGTERM)
		select {
		case <-done:
		case <-time.After(10 * time.Second):
			_ = cmd.Process.Kill()
			<-done
		}
		if h.t.Failed() {
			h.t.Logf("the daemon's log:\n%s", rig.Last(h.log.String(), 40))
		}
	})
	rig.Eventually(h.t, 5*upIn, "serve is up", func() bool {
		select {
		case <-done:
			h.t.Fatalf("serve ended: %v\n%s", cmd.ProcessState, h.log)
		default:
		}
		return strings.Contains(h.log.String(), `"serving"`)
	})
	return time.Since(begin)
}

// run returns what a verb prints and its exit code.
func (h *host) run(args ...string) (string, int) {
	h.t.Helper()
	cmd := h.command(append([]string{rig.Program(h.t, "stockade")}, args...)...)
	out, _ := cmd.CombinedOutput()
	return string(out), cmd.ProcessState.ExitCode()
}

// fail logs five failed logins of an address, as the README's trial does.
func (h *host) fail(addr string, as ...string) {
	h.t.Helper()
	for i := range 5 {
		args := append(as, "logger", "-u", h.socket(), "-t", "sshd", "-p", "auth.info",
			fmt.Sprintf("Failed password for root from %s port %d ssh2", addr, 40000+i))
		if out, err := h.command(args...).CombinedOutput(); err != nil {
			h.t.Fatalf("logger: %v\n%s", err, out)
		}
	}
}

func (h *host) banned(addr string) bool {
	h.t.Helper()
	out, code := h.run("status", "sshd")
	if code != 0 {
		h.t.Fatalf("status sshd exits with %d:\n%s", code, out)
	}
	return strings.Contains(out, "Currently banned:\t1\n") && strings.Contains(out, "Banned IP list:\t"+addr+"\n")
}

const offender = "198.51.100.99"

// TestDefaultWithoutRoot serves with no file and no right: it observes, says so loudly once, and
// believes its own user.
func TestDefaultWithoutRoot(t *testing.T) {
	rig.RequirePrograms(t, "logger")
	h := plainHost(t)
	t.Logf("up after %s", h.start(rig.Program(t, "stockade"), "serve").Round(time.Millisecond))
	if n := strings.Count(h.log.String(), "NOTHING IS BLOCKED"); n != 1 {
		t.Errorf("the log says %d times that nothing is blocked, want once:\n%s", n, h.log)
	}
	h.fail(offender)
	rig.Eventually(t, 30*time.Second, "status sshd shows the ban", func() bool { return h.banned(offender) })
	out, code := h.run("status")
	if code != 1 || !hasLine(out, "DEGRADED", "observe_fallback") {
		t.Errorf("status exits with %d, want 1 and the reason:\n%s", code, out)
	}
	if out, _ := h.run("bans", "--json"); !strings.Contains(out, `"enforced":false`) {
		t.Errorf("bans --json does not say that the ban is not enforced: %s", out)
	}
}

// TestDefaultAsRoot serves with no file as root: it enforces, and believes root alone.
func TestDefaultAsRoot(t *testing.T) {
	rig.RequirePrograms(t, "logger", "setpriv")
	h := rootHost(t)
	t.Logf("up after %s", h.start(rig.Program(t, "stockade"), "serve").Round(time.Millisecond))
	const slandered = "198.51.100.98"
	h.fail(slandered, "setpriv", fmt.Sprintf("--reuid=%d", nobody), fmt.Sprintf("--regid=%d", nobody), "--clear-groups")
	h.fail(offender)
	rig.Eventually(t, 30*time.Second, "status sshd shows the ban", func() bool { return h.banned(offender) })
	rig.Eventually(t, 30*time.Second, "the kernel holds it", func() bool { return rig.Holds(t, h.ns, "ban4", offender) })
	if rig.Holds(t, h.ns, "ban4", slandered) {
		t.Errorf("the kernel holds %v, want %s alone", rig.Set(t, h.ns, "ban4"), offender)
	}
	if out, code := h.run("status"); code != 0 {
		t.Errorf("status exits with %d, want 0:\n%s", code, out)
	}
}

// TestReadme runs the trial of the README, word for word: the block of shell commands that has the
// line "# trial". Where it starts no daemon, one serves already, as in another terminal.
func TestReadme(t *testing.T) {
	rig.RequirePrograms(t, "logger", "bash")
	root, err := filepath.Abs("../../..")
	if err != nil {
		t.Fatal(err)
	}
	text, err := os.ReadFile(filepath.Join(root, "README.md"))
	rig.Require(t, err == nil, "needs README.md")
	script := trial(string(text))
	rig.Require(t, script != "", "needs a block in README.md with the line # trial")
	var h *host
	if os.Geteuid() == 0 {
		h = rootHost(t)
	} else {
		h = plainHost(t)
	}
	h.env = append(h.env, "PATH="+filepath.Dir(rig.Program(t, "stockade"))+":"+os.Getenv("PATH"), "GOFLAGS=-buildvcs=false")
	// The reader sets S to the socket that serve names.
	script = regexp.MustCompile(`(?m)^S=.*$`).ReplaceAllLiteralString(script, "S="+h.socket())
	if !strings.Contains(script, "stockade serve") {
		h.start(rig.Program(t, "stockade"), "serve")
	} else if h.ns != "" { // the namespaces, in which the script starts it
		h.start("sh", "-c", `echo '"serving"'; exec sleep 300`)
	}
	cmd := h.command("bash", "-c", script)
	cmd.Dir = root
	cmd.SysProcAttr.Setpgid = true
	out := &rig.Output{}
	cmd.Stdout, cmd.Stderr = out, out
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	defer func() { _ = syscall.Kill(-cmd.Process.Pid, syscall.SIGTERM) }() // what the script left running
	err = cmd.Wait()
	if !strings.Contains(out.String(), "Currently banned:\t1\n") {
		t.Errorf("the trial ends with %v and shows no ban:\n%s\nscript:\n%s", err, out, script)
	}
}

// trial is the fenced block of shell commands with the line "# trial", or "".
func trial(text string) string {
	for _, block := range strings.Split(text, "\n```sh\n")[1:] {
		block, _, closed := strings.Cut(block, "\n```")
		if closed && strings.Contains("\n"+block+"\n", "\n# trial") {
			return block
		}
	}
	return ""
}
