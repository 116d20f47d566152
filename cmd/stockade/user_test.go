package main

import (
	"bytes"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
)

// TestPlainUserIsRefused runs the real command as a user without any group: whatever asks the daemon is
// refused and changes nothing, and so is what would read or write where that user may not.
func TestPlainUserIsRefused(t *testing.T) {
	binary := publicBinary(t)
	fake, socket, err := startFake(t.Cleanup)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(filepath.Dir(socket), 0o755); err != nil {
		t.Fatal(err)
	}
	_, slave := openPTY(t)
	runs := asking()
	for _, args := range runs {
		code, stdout, stderr := asPlainUser(t, binary, slave, append([]string{"--socket", socket}, strings.Fields(args)...)...)
		if code != exitPermission || stdout != "" || !strings.Contains(stderr, "not permitted") {
			t.Errorf("%s: exit code %d, stdout %q, stderr %q", args, code, stdout, stderr)
		}
	}
	if fake.Changes() != 0 {
		t.Error("a plain user changed something")
	}
	t.Logf("%d of %d runs were refused", len(runs), len(runs))

	dir := filepath.Join(filepath.Dir(binary), "closed")
	open := filepath.Join(filepath.Dir(binary), "open.yaml")
	if err := errors.Join(os.Mkdir(dir, 0o700), os.WriteFile(open, []byte("firewall: {table: nobody}\n"), 0o644)); err != nil { //nolint:gosec // other users read it
		t.Fatal(err)
	}
	for at, w := range verbs {
		if w.closed == "" {
			continue
		}
		args := strings.Fields(strings.NewReplacer("%DIR%", dir, "%OPEN%", open).Replace(w.closed))
		code, stdout, stderr := asPlainUser(t, binary, nil, args...)
		if code != exitPermission || stdout != "" || !strings.HasPrefix(stderr, "stockade: ") {
			t.Errorf("%s: exit code %d, stdout %q, stderr %q", at, code, stdout, stderr)
		}
	}
}

// TestBackendWithoutCapability demands that a configured backend is not silently replaced.
func TestBackendWithoutCapability(t *testing.T) {
	binary := publicBinary(t)
	dir := filepath.Dir(binary)
	file := filepath.Join(dir, "stockade.yaml")
	text := strings.ReplaceAll(`
state_dir: DIR/own/state
control: {socket: DIR/own/control.sock}
listeners: [{name: local, transport: unixgram, path: DIR/own/log.sock}]
sources: [{name: this-host, listener: local, jails: ["*"]}]
jails: [{name: sshd, filter: sshd}]
firewall: {backend: nftables}
`, "DIR", dir)
	if err := errors.Join(
		os.WriteFile(file, []byte(text), 0o644), os.Mkdir(filepath.Join(dir, "own"), 0o755), //nolint:gosec // other users read it
		os.Chown(filepath.Join(dir, "own"), plainID, plainID),
	); err != nil {
		t.Fatal(err)
	}
	code, _, stderr := asPlainUser(t, binary, nil, "serve", "--config", file)
	if code != exitPermission {
		t.Errorf("exit code %d, stderr %s", code, stderr)
	}
	if err := os.Chmod(file, 0o600); err != nil {
		t.Fatal(err)
	}
	if code, _, stderr = asPlainUser(t, binary, nil, "status", "--config", file); code != exitPermission {
		t.Errorf("a configuration that may not be read: exit code %d, stderr %s", code, stderr)
	}
}

const plainID = 64001 // a user and group that own nothing

// asPlainUser runs a command and returns its exit code and what it printed. The command top has the
// terminal for its input and output.
func asPlainUser(t *testing.T, binary string, terminal *os.File, args ...string) (code int, stdout, stderr string) {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), binary, args...)
	cmd.Dir = "/"
	cmd.Env = []string{"GORACE=atexit_sleep_ms=0"}
	cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: plainID, Gid: plainID}}
	var out, errs bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &errs
	if args[len(args)-1] == "top" {
		cmd.Stdin, cmd.Stdout = terminal, terminal
	}
	var exit *exec.ExitError
	if err := cmd.Run(); err != nil && !errors.As(err, &exit) {
		t.Fatal(err)
	}
	return cmd.ProcessState.ExitCode(), out.String(), errs.String()
}

// publicBinary returns stockade in a folder that other users may enter. It needs root.
func publicBinary(t *testing.T) string {
	t.Helper()
	if os.Geteuid() != 0 {
		if os.Getenv("STOCKADE_REQUIRE") == "all" {
			t.Fatal("needs root to run commands as another user")
		}
		t.Skip("needs root to run commands as another user")
	}
	dir, err := os.MkdirTemp("", "stk") // t.TempDir is closed to other users
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	if err := os.Chmod(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	binary := filepath.Join(dir, "stockade")
	copyBinary(t, binary)
	return binary
}

// copyBinary puts the test binary, which acts as stockade under that name, where anyone may run it.
func copyBinary(t *testing.T, path string) {
	t.Helper()
	exe, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	content, err := os.ReadFile(exe)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, content, 0o755); err != nil {
		t.Fatal(err)
	}
}
