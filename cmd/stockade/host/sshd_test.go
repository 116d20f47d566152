package host

import (
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"stockade/cmd/stockade/e2e/rig"
)

const insideVariable = "STOCKADE_TEST_HOST_INSIDE"

// TestRealSSHD runs itself again as root of a machine of its own, with a real sshd: who has logged
// in is protected, who is only connected is not.
func TestRealSSHD(t *testing.T) {
	if dir := os.Getenv(insideVariable); dir != "" {
		realSSHD(t, dir)
		return
	}
	rig.RequireRoot(t)
	rig.RequirePrograms(t, "sshd", "ssh", "ssh-keygen", "unshare", "ip")
	const setup = `set -e
mount -t tmpfs tmpfs /run
mkdir -p /run/sshd
ip link set lo up
for a in 192.0.2.1 198.51.100.7 198.51.100.8; do ip addr add $a/32 dev lo; done
exec "$0" -test.run '^TestRealSSHD$' -test.v`
	cmd := exec.Command("unshare", "--mount", "--net", "--pid", "--fork", "--kill-child", "--mount-proc", "bash", "-c", setup, os.Args[0])
	cmd.Env = append(os.Environ(), insideVariable+"="+t.TempDir())
	cmd.WaitDelay = 5 * time.Second
	limit := time.AfterFunc(60*time.Second, func() { _ = cmd.Process.Kill() })
	defer limit.Stop()
	out, err := cmd.CombinedOutput()
	if t.Logf("%s", out); err != nil {
		t.Fatal(err)
	}
}

func realSSHD(t *testing.T, dir string) {
	path := func(name string) string { return filepath.Join(dir, name) }
	for _, key := range []string{"host", "user"} {
		if out, err := exec.Command("ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", path(key)).CombinedOutput(); err != nil {
			t.Fatalf("%v\n%s", err, out)
		}
	}
	program, err := exec.LookPath("sshd") // it wants its full path
	if err != nil {
		t.Fatal(err)
	}
	sshd := exec.Command(program, "-D", "-e", "-f", "/dev/null", "-p", "22", "-h", path("host"), "-o", "ListenAddress=192.0.2.1",
		"-o", "PermitRootLogin=yes", "-o", "StrictModes=no", "-o", "AuthorizedKeysFile="+path("user.pub"), "-o", "UsePAM=no", "-o", "PidFile=none")
	log, err := os.Create(path("sshd.log"))
	if err != nil {
		t.Fatal(err)
	}
	defer log.Close()
	sshd.Stdout, sshd.Stderr = log, log
	if err := sshd.Start(); err != nil {
		t.Fatal(err)
	}
	defer func() { _ = sshd.Process.Kill(); _ = sshd.Wait() }()
	var stranger net.Conn
	from := net.Dialer{LocalAddr: &net.TCPAddr{IP: net.IPv4(198, 51, 100, 8)}}
	eventually(t, 60*time.Second, "sshd answers", func() bool {
		stranger, err = from.Dial("tcp", "192.0.2.1:22")
		return err == nil
	})
	defer stranger.Close()

	var s seen
	w := New(Options{Changed: s.set})
	run(t, w)
	const admin = "198.51.100.7 login session"
	if got := s.text(); strings.Contains(got, "login session") {
		t.Errorf("nobody has logged in: %s", got)
	}
	ssh := exec.Command("ssh", "-F", "/dev/null", "-b", "198.51.100.7", "-i", path("user"), "-o", "StrictHostKeyChecking=no",
		"-o", "UserKnownHostsFile=/dev/null", "-o", "LogLevel=ERROR", "root@192.0.2.1", "echo in; sleep 600")
	stdout, err := ssh.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	ssh.Stderr = log
	if err := ssh.Start(); err != nil {
		t.Fatal(err)
	}
	defer func() { _ = ssh.Process.Kill(); _ = ssh.Wait() }()
	if _, err := stdout.Read(make([]byte, 1)); err != nil {
		text, _ := os.ReadFile(path("sshd.log"))
		t.Fatalf("ssh: %v\n%s", err, text)
	}
	took := eventually(t, 30*time.Second, "the login is seen", func() bool { return strings.Contains(s.text(), admin) })
	t.Logf("protected %v after the login", took.Round(time.Millisecond))
	if got := s.text(); strings.Contains(got, "198.51.100.8") {
		t.Errorf("who has not logged in is protected: %s", got)
	}
}
