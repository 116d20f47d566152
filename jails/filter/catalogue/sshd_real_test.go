package catalogue

import (
	"bufio"
	"context"
	"net"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"stockade/jails/filter"
)

// missing skips a test that needs something of the machine, or fails it where CI demands all.
func missing(t *testing.T, why string) {
	t.Helper()
	if os.Getenv("STOCKADE_REQUIRE") == "all" {
		t.Fatal(why)
	}
	t.Skip(why)
}

// TestRealSSHD makes failures with the installed OpenSSH, on loopback, and counts the attempts
// that its lines stand for.
func TestRealSSHD(t *testing.T) {
	if testing.Short() {
		t.Skip("starts a daemon")
	}
	if os.Getuid() != 0 {
		missing(t, "needs root: sshd changes its user")
	}
	var tools [3]string
	for i, name := range []string{"sshd", "ssh", "ssh-keygen"} {
		path, err := exec.LookPath(name)
		if err != nil {
			if path = "/usr/sbin/" + name; !isFile(path) {
				missing(t, name+" is not installed")
			}
		}
		tools[i] = path
	}
	dir := t.TempDir()
	for _, key := range []string{"host", "1", "2", "3", "4", "5", "6"} {
		if out, err := exec.Command(tools[2], "-q", "-t", "ed25519", "-N", "", "-f", filepath.Join(dir, key)).CombinedOutput(); err != nil {
			t.Fatalf("ssh-keygen: %v: %s", err, out)
		}
	}
	ask := filepath.Join(dir, "ask")
	if err := os.WriteFile(ask, []byte("#!/bin/sh\necho wrong\n"), 0o700); err != nil { //nolint:gosec // a program
		t.Fatal(err)
	}
	s := startSSHD(t, tools[0], filepath.Join(dir, "host"))
	tests := []struct {
		name, user string
		args       []string
		want       int
	}{
		{"three wrong passwords", "root", []string{"-o", "PreferredAuthentications=password", "-o", "NumberOfPasswordPrompts=3"}, 3},
		{"one wrong password", "root", []string{"-o", "PreferredAuthentications=password", "-o", "NumberOfPasswordPrompts=1"}, 1},
		{"an unknown user, two prompts", "nobody-of-that-name", []string{"-o", "PreferredAuthentications=password", "-o", "NumberOfPasswordPrompts=2"}, 2},
		{"a name that looks like a peer", "root from 198.51.100.1 port 22 ssh2", []string{"-o", "PreferredAuthentications=password", "-o", "NumberOfPasswordPrompts=1"}, 1},
		{"six refused keys", "root", keys(dir, "1", "2", "3", "4", "5", "6"), 1},
		{"one refused key", "root", keys(dir, "1"), 1},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			ctx, cancel := context.WithTimeout(t.Context(), 60*time.Second)
			defer cancel()
			args := append([]string{
				"-F", "none", "-p", s.port, "-l", tt.user, "-o", "StrictHostKeyChecking=no", "-o", "UserKnownHostsFile=/dev/null",
				"-o", "LogLevel=ERROR", "-o", "IdentitiesOnly=yes",
			}, tt.args...)
			cmd := exec.CommandContext(ctx, tools[1], append(args, "127.0.0.1", "true")...)
			cmd.Env = append(os.Environ(), "SSH_ASKPASS="+ask, "SSH_ASKPASS_REQUIRE=force", "SSH_AUTH_SOCK=", "HOME="+dir)
			if err := cmd.Run(); err == nil {
				t.Fatal("the login succeeded")
			}
			if got := s.attempts(t); got != tt.want {
				t.Errorf("%d attempts, want %d", got, tt.want)
			}
		})
	}
}

func isFile(path string) bool {
	info, err := os.Stat(path)
	return err == nil && info.Mode().IsRegular()
}

func keys(dir string, names ...string) []string {
	args := []string{"-o", "PreferredAuthentications=publickey"}
	for _, n := range names {
		args = append(args, "-i", filepath.Join(dir, n))
	}
	return args
}

type realSSHD struct {
	port    string
	lines   chan string
	set     *filter.Set
	matcher *filter.Matcher
}

func startSSHD(t *testing.T, path, hostKey string) *realSSHD {
	t.Helper()
	if err := os.MkdirAll("/run/sshd", 0o755); err != nil { //nolint:gosec // sshd's own folder
		t.Fatal(err)
	}
	probe, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	_, port, _ := net.SplitHostPort(probe.Addr().String())
	_ = probe.Close()
	cmd := exec.Command(path, "-D", "-e", "-f", "/dev/null", "-h", hostKey, "-p", port,
		"-o", "ListenAddress=127.0.0.1", "-o", "PidFile=none", "-o", "UsePAM=no", "-o", "PasswordAuthentication=yes",
		"-o", "KbdInteractiveAuthentication=no", "-o", "PermitRootLogin=yes", "-o", "AuthorizedKeysFile=none")
	stderr, err := cmd.StderrPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	s := &realSSHD{port: port, lines: make(chan string, 1000)} // a test writes far fewer lines
	done := make(chan struct{})
	go func() {
		defer close(done)
		for in := bufio.NewScanner(stderr); in.Scan(); {
			s.lines <- strings.TrimRight(in.Text(), "\r")
		}
		close(s.lines)
	}()
	t.Cleanup(func() {
		_ = cmd.Process.Kill()
		<-done
		_ = cmd.Wait()
	})
	for up := false; !up; {
		select {
		case l, ok := <-s.lines:
			if !ok {
				t.Fatal("sshd ended")
			}
			up = strings.HasPrefix(l, "Server listening")
		case <-time.After(60 * time.Second):
			t.Fatal("sshd does not listen")
		}
	}
	spec, err := Get("sshd", nil)
	if err != nil {
		t.Fatal(err)
	}
	f, err := filter.Compile(spec)
	if err != nil {
		t.Fatal(err)
	}
	s.set = filter.NewSet([]*filter.Filter{f}, nil)
	s.matcher = s.set.NewMatcher()
	return s
}

// attempts reads the lines of one connection, up to its end.
func (s *realSSHD) attempts(t *testing.T) int {
	t.Helper()
	total := 0
	route := s.set.Route([]byte("sshd"))
	for {
		select {
		case text := <-s.lines:
			t.Log(strconv.Quote(text))
			line := filter.Line{App: []byte("sshd"), Text: []byte(text), Time: time.Now(), Facility: -1, Source: "s"}
			for _, m := range s.matcher.Match(&line, route) {
				if m.Addr != netip.MustParseAddr("127.0.0.1") {
					t.Errorf("accused %v", m.Addr)
				}
				total += m.Attempts
			}
			if strings.HasSuffix(text, "[preauth]") && (strings.HasPrefix(text, "Connection closed by") || strings.HasPrefix(text, "Disconnecting")) {
				return total
			}
		case <-time.After(60 * time.Second):
			t.Fatal("the connection does not end in the log")
		}
	}
}
