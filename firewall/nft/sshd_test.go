package nft

import (
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"stockade/firewall"
)

// startSSHD runs a real sshd on the lab's server, with room for two logins that are under way.
func (l *lab) startSSHD() (pid int) {
	l.Helper()
	requireKernel(l.T, "sshd", "ssh-keygen")
	if os.Getenv(inUserNamespace) != "" {
		l.Skip("sshd needs the users of the host")
	}
	dir := l.TempDir()
	key, config := filepath.Join(dir, "key"), filepath.Join(dir, "config")
	if out, err := exec.Command("ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", key).CombinedOutput(); err != nil {
		l.Fatalf("ssh-keygen: %v\n%s", err, out)
	}
	text := "Port 22\nHostKey " + key + "\nUsePAM no\nUseDNS no\nLoginGraceTime 600\nMaxStartups 2:100:2\nPidFile none\n"
	if err := os.WriteFile(config, []byte(text), 0o600); err != nil {
		l.Fatal(err)
	}
	path, err := exec.LookPath("sshd")
	if err != nil {
		l.Fatal(err)
	}
	if err := os.MkdirAll("/run/sshd", 0o755); err != nil {
		l.Fatal(err)
	}
	cmd := exec.Command(path, "-D", "-e", "-f", config)
	if err := in(l.server, cmd.Start); err != nil {
		l.Fatal(err)
	}
	l.Cleanup(func() {
		for _, p := range children(cmd.Process.Pid) {
			_ = syscall.Kill(p, syscall.SIGKILL)
		}
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
	})
	eventually(l.T, 10*time.Second, "sshd answers", func() bool {
		c, err := l.dial(l.gateway, "", server4, 22, time.Second)
		if err != nil {
			return false
		}
		defer func() { _ = c.Close() }()
		return greeting(c) != ""
	})
	eventually(l.T, 10*time.Second, "sshd is idle", func() bool { return len(children(cmd.Process.Pid)) == 0 })
	return cmd.Process.Pid
}

// children are the processes that a process has started and that have not ended.
func children(pid int) (all []int) {
	b, _ := os.ReadFile(fmt.Sprintf("/proc/%d/task/%d/children", pid, pid))
	for _, word := range strings.Fields(string(b)) {
		if n, err := strconv.Atoi(word); err == nil {
			all = append(all, n)
		}
	}
	return all
}

// greeting is the version that sshd sends first, "" when it sends none.
func greeting(c net.Conn) string {
	b := make([]byte, 64)
	_ = c.SetReadDeadline(time.Now().Add(20 * time.Second))
	n, _ := c.Read(b)
	if !strings.HasPrefix(string(b[:n]), "SSH-") {
		return ""
	}
	return string(b[:n])
}

// unacknowledged is how many bytes the other end has not taken yet.
func unacknowledged(c net.Conn) int {
	raw, err := c.(*net.TCPConn).SyscallConn()
	if err != nil {
		return -1
	}
	n := -1
	_ = raw.Control(func(fd uintptr) {
		if n, err = unix.IoctlGetInt(int(fd), unix.SIOCOUTQ); err != nil {
			n = -1
		}
	})
	return n
}

// TestLoginsUnderWayAreFreed: a banned attacker who fills sshd's room for logins under way keeps
// none of it, though sshd would wait ten minutes for him.
func TestLoginsUnderWayAreFreed(t *testing.T) {
	t.Parallel()
	l := newLab(t)
	pid := l.startSSHD()
	for _, v := range versions {
		var held []net.Conn
		for range 2 {
			c, err := l.dial(l.attacker, v.attacker, v.server, 22, 20*time.Second)
			if err != nil {
				t.Fatal(err)
			}
			held = append(held, c)
			if greeting(c) == "" {
				t.Fatal("sshd does not greet the attacker")
			}
		}
		neighbour := func() bool {
			c, err := l.dial(l.attacker, v.above, v.server, 22, time.Second)
			if err != nil {
				return false
			}
			defer func() { _ = c.Close() }()
			return greeting(c) != ""
		}
		if neighbour() {
			t.Fatalf("%s: sshd has room for a third login", v.name)
		}
		// The ban comes while sshd works on what the attacker sent.
		busy := children(pid)
		for _, p := range busy {
			_ = syscall.Kill(p, syscall.SIGSTOP)
		}
		for _, c := range held {
			_, _ = c.Write([]byte("SSH-2.0-attacker\r\n"))
			eventually(t, 20*time.Second, "sshd's host has the attacker's version", func() bool { return unacknowledged(c) == 0 })
		}
		ban := l.ban(v.prefixes[0], "22", firewall.Drop)
		for _, p := range busy {
			_ = syscall.Kill(p, syscall.SIGCONT)
		}
		eventually(t, 10*time.Second, v.name+": a neighbour gets in", neighbour)
		eventually(t, 10*time.Second, "sshd is idle", func() bool { return len(children(pid)) == 0 })
		l.unban(ban)
		for _, c := range held {
			_ = c.Close()
		}
	}
}
