package trust

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"stockade/cmd/stockade/e2e/rig"
)

// programs are two jails for the same lines of sshd, those that its processes write in mid-life and
// their last ones: the one demands root, the other sshd as well.
const programs = observe + `
listeners: [{name: local, transport: unixgram, path: %DIR%/log, mode: "0666"}]
sources: [{name: this-host, listener: local, jails: ["*"]}]
jails:
  - {name: root, filter: {failregex: [%LINES%]}, apps: [sshd], maxretry: 10000, origin: {uid: [0]}}
  - {name: exact, filter: {failregex: [%LINES%]}, apps: [sshd], maxretry: 10000, origin: {uid: [0], exe: "/usr/{sbin,lib/openssh}/sshd*"}}
`

const sshdLines = `'^Invalid user \S* from <HOST> port \d+$', '^Connection closed by (?:invalid|authenticating) user \S* <HOST> port \d+ \[preauth\]$', ` +
	`'^Failed password for root from <HOST> port \d+ ssh2$'`

// counted are the failures of both jails and the lines that the exact one refused, once each line that
// counted in the one is dealt with in the other.
func counted(t *testing.T, d *rig.Daemon, least int) (root, exact int, refused map[string]int64) {
	t.Helper()
	rig.Eventually(t, 30*time.Second, "both jails have dealt with the same lines", func() bool {
		root = d.Jail("root").FailedTotal
		exact, refused = d.Jail("exact").FailedTotal, d.Source("this-host").Refused
		return root >= least && exact+int(refused["forged"]+refused["origin_unknown"]) == root
	})
	return root, exact, refused
}

// TestProgramsOfShortLives: root's logger is gone before anybody can look at it, and no jail that demands
// sshd takes it for sshd. Real sshd, whose processes end with their last line, counts there.
func TestProgramsOfShortLives(t *testing.T) {
	rig.RequireRoot(t)
	rig.RequirePrograms(t, "sshd", "ssh", "ssh-keygen", "logger", "unshare", "ip")
	host, internet := twoHosts(t)
	d := rig.NewDaemon(t, host, strings.ReplaceAll(programs, "%LINES%", sshdLines))
	sshd := strings.ReplaceAll("ListenAddress 203.0.113.2\nHostKey %DIR%/host_key\nUsePAM no\nUseDNS no\nPidFile none\nMaxStartups 500:30:600\n", "%DIR%", d.Dir)
	if err := os.WriteFile(filepath.Join(d.Dir, "sshd_config"), []byte(sshd), 0o600); err != nil {
		t.Fatal(err)
	}
	rig.Sh(t, "", "ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", filepath.Join(d.Dir, "host_key"))
	d.Start()
	lab := rig.Start(t, rig.InNS(host, "unshare", "--mount", "--propagation", "private", "bash", "testdata/host.sh", d.Dir))
	t.Cleanup(func() { lab.End(syscall.SIGTERM) })
	rig.Eventually(t, 30*time.Second, "sshd runs", func() bool { _, err := os.Stat(filepath.Join(d.Dir, "ready")); return err == nil })

	loggers := rig.Size(20, 50, 2000)
	for n := range loggers {
		line := fmt.Sprintf("Failed password for root from 198.51.100.99 port %d ssh2", 1000+n)
		if out, err := exec.Command("logger", "-u", filepath.Join(d.Dir, "log"), "-p", "authpriv.info", "-t", "sshd", line).CombinedOutput(); err != nil {
			t.Fatalf("logger: %v\n%s", err, out)
		}
	}
	root, exact, refused := counted(t, d, loggers)
	if root != loggers || exact != 0 {
		t.Errorf("of %d lines of root's logger %d count where root is demanded and %d where sshd is, want all and none", loggers, root, exact)
	}
	t.Logf("%d lines of root's logger: 0 count where sshd is demanded, refused %v", loggers, refused)

	connections := rig.Size(4, 6, 200)
	var clients []*rig.Process
	for n := range connections { // at once: sshd may soon refuse an address that fails
		user := []string{fmt.Sprintf("nobody%d", n), "root"}[n%2] // the one is named in mid-life, too
		clients = append(clients, rig.Start(t, rig.InNS(internet, "ssh", "-b", "198.51.100.7", "-F", "/dev/null", "-o", "BatchMode=yes", "-o", "StrictHostKeyChecking=no",
			"-o", "UserKnownHostsFile=/dev/null", "-o", "ConnectTimeout=20", user+"@203.0.113.2", "true")))
		if n%8 == 7 {
			ended(t, clients)
		}
	}
	ended(t, clients)
	root, exact, refused = counted(t, d, loggers+connections/2)
	if exact < connections/2 {
		t.Errorf("of %d lines of real sshd %d count where sshd is demanded, want the %d that were written in mid-life at least; refused %v",
			root-loggers, exact, connections/2, refused)
	}
	t.Logf("%d lines of real sshd: %d count where sshd is demanded", root-loggers, exact)
}

// ended waits until programs have ended.
func ended(t *testing.T, list []*rig.Process) {
	t.Helper()
	rig.Eventually(t, time.Minute, "the clients end", func() bool {
		for _, p := range list {
			if !p.Ended() {
				return false
			}
		}
		return true
	})
}
