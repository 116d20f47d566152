package catalogue

import (
	"fmt"
	"os"
	"os/exec"
	"strings"
	"testing"
)

// sshLab is a lab with an OpenSSH server and its clients.
type sshLab struct {
	*lab
	ssh, agent, add string
	keys            []string // six that the server refuses
	good            string   // one that it accepts
}

// newSSH starts sshd with further options.
func newSSH(t *testing.T, options ...string) *sshLab {
	t.Helper()
	l, bin := newLab(t, "sshd", "ssh", "ssh-keygen", "ssh-agent", "ssh-add")
	s := &sshLab{lab: l, ssh: bin[1], agent: bin[3], add: bin[4]}
	key := func(name string) string {
		path := l.inLab(name)
		l.run(bin[2], "-q", "-t", "ed25519", "-N", "", "-f", path)
		return path
	}
	host := key("host")
	s.good = key("good")
	for i := range 6 {
		s.keys = append(s.keys, key(fmt.Sprintf("key%d", i)))
	}
	l.mkdir("/run/sshd", 0)
	l.mkdir("keys", 0)
	pub, err := os.ReadFile(s.good + ".pub")
	l.must("key", err)
	l.file("keys/"+account, string(pub))
	args := []string{
		"-D", "-f", "/dev/null", "-h", host, "-p", "22", "-o", "PidFile=none", "-o", "StrictModes=no",
		"-o", "AuthorizedKeysFile=" + l.inLab("keys/%u"),
	}
	for _, o := range options {
		args = append(args, "-o", o)
	}
	// Newer servers lock a peer out by themselves after a few failures.
	calm := append(args[1:len(args):len(args)], "-o", "PerSourcePenalties=no")
	if _, err := l.try(nil, bin[0], append([]string{"-t"}, calm...)...); err == nil {
		args = append([]string{"-D"}, calm...)
	}
	l.start("", bin[0], args...)
	l.logged("Server listening on :: port 22")
	return s
}

// login tries to log in with ssh's options and a password. It reports whether that went well.
func (s *sshLab) login(user, pass string, env []string, args ...string) bool {
	s.t.Helper()
	ask := s.file("ask", "#!/bin/sh\necho '"+pass+"'\n")
	s.must("chmod", os.Chmod(ask, 0o755)) //nolint:gosec // a program
	all := append([]string{
		"-F", "none", "-b", peerAddr, "-l", user, "-o", "StrictHostKeyChecking=no", "-o", "UserKnownHostsFile=/dev/null",
		"-o", "LogLevel=ERROR",
	}, args...)
	env = append([]string{"SSH_ASKPASS=" + ask, "SSH_ASKPASS_REQUIRE=force", "SSH_AUTH_SOCK=", "HOME=" + s.dir}, env...)
	_, err := s.try(env, s.ssh, append(all, serverAddr, "true")...)
	return err == nil
}

func passwords(n int) []string {
	return []string{
		"-o", "IdentitiesOnly=yes", "-o", "IdentityFile=none",
		"-o", "PreferredAuthentications=password,keyboard-interactive", "-o", fmt.Sprintf("NumberOfPasswordPrompts=%d", n),
	}
}

func identities(keys ...string) []string {
	args := []string{"-o", "IdentitiesOnly=yes", "-o", "PreferredAuthentications=publickey"}
	for _, k := range keys {
		args = append(args, "-i", k)
	}
	return args
}

func TestRealSSHPasswords(t *testing.T) {
	for _, o := range []struct{ pam, method, other string }{
		{"yes", "PasswordAuthentication", "KbdInteractiveAuthentication"},
		{"yes", "KbdInteractiveAuthentication", "PasswordAuthentication"},
		{"no", "PasswordAuthentication", "KbdInteractiveAuthentication"},
	} {
		t.Run("PAM "+o.pam+", "+o.method, func(t *testing.T) {
			s := newSSH(t, "UsePAM="+o.pam, "PermitRootLogin=yes", o.method+"=yes", o.other+"=no")
			if !s.login(account, password, nil, passwords(1)...) {
				t.Error("the right password is refused")
			}
			s.expect("sshd", attempt{peerAddr, account, 1, true})
			for _, tt := range []struct {
				name, user string
				prompts    int
			}{
				{"one wrong password is one attempt", account, 1},
				{"three are three", "root", 3},
				{"an unknown user", "no-such-user", 2},
				{"a name that looks like a peer", "root from 198.51.100.1 port 22 ssh2", 1},
			} {
				if s.login(tt.user, "wrong", nil, passwords(tt.prompts)...) {
					t.Errorf("%s: the login succeeded", tt.name)
				}
				s.expect("sshd", attempt{peerAddr, tt.user, tt.prompts, false})
			}
		})
	}
}

// TestRealSSHThirdAttempt counts connections until a jail with maxretry 3 would ban.
func TestRealSSHThirdAttempt(t *testing.T) {
	s := newSSH(t, "UsePAM=yes", "PasswordAuthentication=yes", "KbdInteractiveAuthentication=no")
	for i := range 3 {
		s.login(account, "wrong", nil, passwords(1)...)
		s.expect("sshd", attempt{peerAddr, account, 1, false})
		if t.Failed() {
			t.Fatalf("at connection %d", i+1)
		}
	}
}

func TestRealSSHKeyOnly(t *testing.T) {
	s := newSSH(t, "UsePAM=yes", "PasswordAuthentication=no", "KbdInteractiveAuthentication=no", "PermitRootLogin=yes")
	for i := range 3 {
		if s.login("root", "", nil, identities(s.keys[i])...) {
			t.Fatal("the login succeeded")
		}
		s.expect("sshd", attempt{peerAddr, "root", 1, false})
	}
	s.login("root", "", nil, identities(s.keys...)...)
	s.expect("sshd", attempt{peerAddr, "root", 1, false})
	s.login("no-such-user", "", nil, identities(s.keys[0])...)
	s.expect("sshd", attempt{peerAddr, "no-such-user", 1, false})
	if !s.login(account, "", nil, identities(s.keys[0], s.keys[1], s.good)...) {
		t.Error("the good key is refused")
	}
	s.expect("sshd", attempt{peerAddr, account, 1, true})
}

// TestRealSSHAgent offers the six keys of an agent: one connection, one attempt.
func TestRealSSHAgent(t *testing.T) {
	s := newSSH(t, "UsePAM=yes", "PasswordAuthentication=yes", "PermitRootLogin=yes")
	sock := s.inLab("agent.sock")
	s.start("", s.agent, "-D", "-a", sock)
	s.until("agent", func() bool { _, err := os.Stat(sock); return err == nil })
	env := []string{"SSH_AUTH_SOCK=" + sock}
	if out, err := s.try(env, s.add, append([]string{"-q"}, s.keys...)...); err != nil {
		t.Fatalf("ssh-add: %v: %s", err, out)
	}
	for range 2 {
		if s.login("root", "wrong", env, "-o", "PreferredAuthentications=publickey,password", "-o", "NumberOfPasswordPrompts=1") {
			t.Fatal("the login succeeded")
		}
		s.expect("sshd", attempt{peerAddr, "root", 1, false})
	}
}

func TestRealDropbear(t *testing.T) {
	l, bin := newLab(t, "dropbear", "dbclient", "dropbearkey")
	host := l.inLab("host")
	l.run(bin[2], "-t", "ed25519", "-f", host)
	l.start("dropbear", bin[0], "-F", "-T", "1", "-r", host, "-p", serverAddr+":22")
	l.listens(serverAddr + ":22")
	login := func(user, pass string) bool {
		_, err := l.try([]string{"DROPBEAR_PASSWORD=" + pass}, bin[1], "-y", "-y", "-b", peerAddr, "-l", user, serverAddr, "true")
		return err == nil
	}
	if !login(account, password) {
		t.Error("the right password is refused")
	}
	l.expect("dropbear", attempt{peerAddr, account, 1, true})
	if login(account, "wrong") {
		t.Error("the wrong password is accepted")
	}
	l.expect("dropbear", attempt{peerAddr, account, 1, false})
	login("no-such-user", "wrong")
	l.expect("dropbear", attempt{peerAddr, "", 1, false})
}

// TestRealSudo makes sudo fail: it names no peer, so nobody is accused.
func TestRealSudo(t *testing.T) {
	l, bin := newLab(t, "sudo", "setpriv")
	run := func(args ...string) {
		cmd := exec.Command(bin[1], append([]string{"--reuid=4242", "--regid=4242", "--clear-groups", bin[0], "-S", "-k"}, args...)...)
		cmd.Stdin = strings.NewReader("wrong\nwrong\nwrong\n")
		if out, err := cmd.CombinedOutput(); err == nil {
			t.Errorf("sudo succeeded: %s", out)
		}
	}
	run("true")
	l.logged("authentication failure")
	l.logged("user NOT in sudoers")
	l.quiet()
	if len(l.got) != 0 {
		t.Errorf("accused: %+v", l.got)
	}
}
