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

// TestPlainUserIsRefused runs the real command as a user without any group.
func TestPlainUserIsRefused(t *testing.T) {
	if os.Geteuid() != 0 {
		if os.Getenv("STOCKADE_REQUIRE") == "all" {
			t.Fatal("needs root to run commands as another user")
		}
		t.Skip("needs root to run commands as another user")
	}
	fake, socket, err := startFake(t.Cleanup)
	if err != nil {
		t.Fatal(err)
	}
	dir, err := os.MkdirTemp("", "stk") // t.TempDir is closed to other users
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	binary := filepath.Join(dir, "stockade")
	copyBinary(t, binary)
	if err := errors.Join(os.Chmod(dir, 0o755), os.Chmod(filepath.Dir(socket), 0o755)); err != nil {
		t.Fatal(err)
	}
	for _, verb := range []string{
		"status", "status sshd", "status --json", "jails", "sources", "bans", "explain 192.0.2.7",
		"ban 192.0.2.7", "unban 192.0.2.7", "unban --all", "reload", "ping",
	} {
		cmd := exec.CommandContext(t.Context(), binary, append(strings.Fields(verb), "--socket", socket)...)
		cmd.Dir = "/"
		cmd.Env = []string{"GORACE=atexit_sleep_ms=0"}
		cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: 64001, Gid: 64001}}
		var stdout, stderr bytes.Buffer
		cmd.Stdout, cmd.Stderr = &stdout, &stderr
		_ = cmd.Run() // the exit code is looked at
		if code := cmd.ProcessState.ExitCode(); code != exitPermission || stdout.Len() > 0 || !strings.Contains(stderr.String(), "not permitted") {
			t.Errorf("%s: exit code %d, stdout %q, stderr %q", verb, code, &stdout, &stderr)
		}
	}
	if fake.Changes() != 0 {
		t.Error("a plain user changed something")
	}
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
