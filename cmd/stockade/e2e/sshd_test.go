package e2e

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

const (
	user     = "alice"
	password = "correct horse battery staple"
)

const rsyslogConf = `
module(load="imuxsock" SysSock.Name="/dev/log")
global(workDirectory="%DIR%/log" localHostname="server")
*.* action(type="omfwd" target="192.0.2.1" port="601" protocol="tcp" TCP_Framing="octet-counted" template="RSYSLOG_SyslogProtocol23Format"
  queue.type="LinkedList" action.resumeRetryCount="-1" action.resumeInterval="1")
*.* action(type="omfile" file="%DIR%/log/all.log")
`

const sshdConfig = `
Port 22
HostKey %DIR%/host_key
UsePAM yes
PasswordAuthentication yes
KbdInteractiveAuthentication no
UseDNS no
LoginGraceTime 60
MaxStartups 100:30:200
PidFile none
`

// sshHost is the server with real rsyslogd and sshd.
type sshHost struct {
	t   testing.TB
	dir string
	cmd *exec.Cmd
	out *rig.Output
}

// startSSH runs rsyslogd and sshd on the lab's server, and waits until sshd answers.
func (l *lab) startSSH() *sshHost {
	l.t.Helper()
	rig.RequirePrograms(l.t, "rsyslogd", "sshd", "ssh", "ssh-keygen", "sshpass", "unshare", "openssl")
	h := &sshHost{t: l.t, dir: l.t.TempDir(), out: &rig.Output{}}
	write := func(name, text string, mode os.FileMode) {
		if err := os.WriteFile(filepath.Join(h.dir, name), []byte(strings.ReplaceAll(text, "%DIR%", h.dir)), mode); err != nil {
			l.t.Fatal(err)
		}
	}
	write("rsyslog.conf", rsyslogConf, 0o644)
	write("sshd_config", sshdConfig, 0o644)
	rig.Sh(l.t, "", "ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", filepath.Join(h.dir, "host_key"))
	hash := strings.TrimSpace(rig.Sh(l.t, "", "openssl", "passwd", "-6", password))
	passwd, err := os.ReadFile("/etc/passwd")
	if err != nil {
		l.t.Fatal(err)
	}
	shadow, err := os.ReadFile("/etc/shadow")
	if err != nil {
		l.t.Fatal(err)
	}
	write("passwd", string(passwd)+user+":x:54321:54321::/:/bin/sh\n", 0o644)
	write("shadow", string(shadow)+user+":"+hash+":19000:0:99999:7:::\n", 0o600)

	h.cmd = rig.InNS(l.server, "unshare", "--mount", "--propagation", "private", "bash", "testdata/server.sh", h.dir)
	h.cmd.Stdout, h.cmd.Stderr = h.out, h.out
	if err := h.cmd.Start(); err != nil {
		l.t.Fatal(err)
	}
	l.t.Cleanup(func() {
		_ = h.cmd.Process.Signal(syscall.SIGTERM)
		_ = h.cmd.Wait()
		if l.t.Failed() {
			log, _ := os.ReadFile(filepath.Join(h.dir, "log", "all.log"))
			l.t.Logf("what sshd logged:\n%s\n%s", rig.Last(string(log), 30), rig.Last(h.out.String(), 10))
		}
	})
	rig.Eventually(l.t, 60*time.Second, "sshd answers", func() bool { return l.reachable(l.gateway, gwLAN, server+":22") })
	return h
}

// login runs ssh with a password for at most so many seconds and returns what it printed; a nil error
// is a login.
func (l *lab) login(seconds, ns, from, to, pass string) (string, error) {
	l.t.Helper()
	out, err := l.sshCommand(seconds, ns, from, to, pass, "true").CombinedOutput()
	return string(out), err
}

// sshCommand is ssh as its client would run it, ended after so many seconds.
func (l *lab) sshCommand(seconds, ns, from, to, pass string, command ...string) *exec.Cmd {
	args := []string{"timeout", seconds, "sshpass", "-p", pass, "ssh", "-b", from, "-F", "/dev/null",
		"-o", "StrictHostKeyChecking=no", "-o", "UserKnownHostsFile=/dev/null", "-o", "LogLevel=ERROR",
		"-o", "NumberOfPasswordPrompts=1", "-o", "PreferredAuthentications=password", "-o", "PubkeyAuthentication=no",
		"-o", "ConnectTimeout=20", user + "@" + to}
	return rig.InNS(ns, append(args, command...)...)
}

const gatewayConfig = `
listeners:
  - {name: lan, transport: tcp, address: "192.0.2.1:601"}
sources:
  - {name: server, listener: lan, addresses: [192.0.2.10], jails: [sshd]}
jails:
  - {name: sshd, filter: sshd, maxretry: 3, findtime: 10m, bantime: 1h}
`

// TestGateway is the main job: wrong passwords on a server become dropped packets on the gateway.
func TestGateway(t *testing.T) {
	for _, family := range []struct {
		name, attacker, bystander, server, gwOut, set, element string
	}{
		{"IPv4", attacker, bystander, server, gwOut, "ban4", attacker},
		{"IPv6", attacker6, bystander6, server6, gwOut6, "ban6", "2001:db8:a:7::"},
	} {
		t.Run(family.name, func(t *testing.T) {
			t.Parallel() // most of the time sshd lets a wrong password wait
			l := newLab(t)
			l.startSSH()
			d := rig.NewDaemon(t, l.gateway, gatewayConfig).Start()
			host := func(addr, port string) string {
				if strings.Contains(addr, ":") {
					return "[" + addr + "]:" + port
				}
				return addr + ":" + port
			}
			// A foreign table forwards the gateway's port 2222 to the server.
			rig.Sh(t, l.gateway, "nft", fmt.Sprintf(`
				table inet foreign {
					chain forwarded {
						type nat hook prerouting priority dstnat
						ip daddr %s tcp dport 2222 dnat ip to %s:22
						ip6 daddr %s tcp dport 2222 dnat ip6 to [%s]:22
					}
				}`, gwOut, server, gwOut6, server6))
			l.echo(l.gateway, host(family.gwOut, "8080"))
			l.echo(l.internet, host(family.attacker, "9090"))

			// A session that the attacker already holds. Its output runs until the server is cut off.
			held := l.sshCommand("120", l.internet, family.attacker, family.server, password, "while date; do sleep 0.1; done")
			heldOut := &rig.Output{}
			held.Stdout = heldOut
			if err := held.Start(); err != nil {
				t.Fatal(err)
			}
			defer func() { _ = held.Process.Kill(); _ = held.Wait() }()
			rig.Eventually(t, 60*time.Second, "the attacker's session is open", func() bool { return heldOut.String() != "" })
			sessions := func() int {
				return strings.Count(rig.Sh(t, l.server, "ss", "-Htn", "state", "established", "sport", "=", ":22"), "\n")
			}
			if sessions() == 0 {
				t.Fatal("the server shows no session")
			}

			for i := 1; i <= 3; i++ {
				if i == 3 { // sshd's answer may be dropped already: the ban is quicker
					_, _ = l.login("8", l.internet, family.attacker, family.server, "wrong")
					break
				}
				out, _ := l.login("60", l.internet, family.attacker, family.server, "wrong")
				if !strings.Contains(out, "Permission denied") {
					t.Fatalf("wrong password %d: ssh says %q, want sshd's refusal", i, out)
				}
				if rig.Holds(t, l.gateway, family.set, family.element) {
					t.Fatalf("banned after %d of 3 wrong passwords", i)
				}
			}
			rig.Eventually(t, 30*time.Second, "the attacker is in the set", func() bool { return rig.Holds(t, l.gateway, family.set, family.element) })

			for name, to := range map[string]string{
				"the gateway": host(family.gwOut, "8080"), "the server": host(family.server, "22"), "the forwarded port": host(family.gwOut, "2222"),
			} {
				if l.reachable(l.internet, family.attacker, to) {
					t.Errorf("the attacker still reaches %s", name)
				}
				if !l.reaches(l.internet, family.bystander, to) {
					t.Errorf("a bystander no longer reaches %s", name)
				}
			}
			if out, err := l.login("60", l.internet, family.bystander, family.server, password); err != nil {
				t.Errorf("a bystander cannot log in: %v: %s", err, out)
			}
			rig.Eventually(t, 30*time.Second, "the server's end of the held session is closed", func() bool { return sessions() == 0 })
			for i := range 5 { // opened from inside: answers still pass
				if !l.reaches(l.server, family.server, host(family.attacker, "9090")) {
					t.Errorf("connection %d from the LAN to the banned address failed", i)
				}
			}
			if family.name == "IPv6" { // neighbour discovery of the banned router's network still works
				rig.Sh(t, l.gateway, "ip", "-6", "neigh", "flush", "dev", "wan0")
				if !l.reaches(l.internet, family.bystander, host(family.gwOut, "8080")) {
					t.Error("neighbour discovery no longer works")
				}
			}

			bans := d.Bans()
			if len(bans) != 1 || bans[0].Jail != "sshd" || !bans[0].Enforced || bans[0].Failures != 3 {
				t.Errorf("bans = %+v; want one of jail sshd, enforced, with 3 failures", bans)
			}
			d.Must("unban", family.attacker)
			if !l.reaches(l.internet, family.attacker, host(family.server, "22")) {
				t.Error("the attacker is still kept out after unban")
			}
			if s := d.Source("server"); s.Failures != 3 {
				t.Errorf("the source counted %d failures, want 3 attempts", s.Failures)
			}
		})
	}
}

// TestBansOutliveTheDaemon stops and kills the daemon: the kernel keeps the ban, and the next
// start knows it with the right time left.
func TestBansOutliveTheDaemon(t *testing.T) {
	l := newLab(t)
	d := rig.NewDaemon(t, l.gateway, gatewayConfig).Start()
	l.echo(l.gateway, gwOut+":8080")
	d.Must("ban", attacker, "--for", "10m", "--reason", "test")
	end := d.Bans()[0].End
	for _, how := range []struct {
		name string
		end  func()
	}{
		{"stop", d.Stop},
		{"kill -9", func() { d.End(syscall.SIGKILL) }},
	} {
		how.end()
		if !rig.Holds(t, l.gateway, "ban4", attacker) || l.reachable(l.internet, attacker, gwOut+":8080") {
			t.Fatalf("%s: the ban is gone while nothing runs", how.name)
		}
		d.Start()
		bans := d.Bans()
		if len(bans) != 1 || bans[0].Address != attacker+"/32" || !bans[0].Enforced {
			t.Fatalf("%s: bans = %+v", how.name, bans)
		}
		if diff := bans[0].End.Sub(*end).Abs(); diff > 2*time.Second {
			t.Errorf("%s: the ban's end moved by %s", how.name, diff)
		}
		inKernel := rig.Set(t, l.gateway, "ban4")
		if len(inKernel) != 1 {
			t.Fatalf("%s: the set holds %v", how.name, inKernel)
		}
		if diff := (time.Until(*end) - inKernel[0].Expires).Abs(); diff > 2*time.Second {
			t.Errorf("%s: the kernel's time left is %s off", how.name, diff)
		}
	}
}
