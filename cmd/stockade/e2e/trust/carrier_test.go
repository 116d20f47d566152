package trust

import (
	"crypto/x509"
	"encoding/pem"
	"errors"
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

// nobody is a user without rights.
const nobody = 65534

// stranger runs a command as nobody.
func stranger(args ...string) *exec.Cmd {
	cmd := exec.Command(args[0], args[1:]...)
	cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: nobody, Gid: nobody}}
	return cmd
}

// TestSetuidHelper: a stream socket that a setuid helper opened belongs to root by SO_PEERCRED; what
// it writes for its caller is the caller's.
func TestSetuidHelper(t *testing.T) {
	rig.RequireRoot(t) // to make it setuid
	d := rig.NewDaemon(t, "", observe+`
listeners: [{name: local, transport: unix, path: %DIR%/log, mode: "0666"}]
jails: [{name: sshd, filter: sshd, maxretry: 3}]
sources:
  - {name: root, listener: local, uid: [0], jails: [sshd]}
  - {name: users, listener: local, jails: [sshd]}
`).Start()
	helper := filepath.Join(d.Dir, "helper")
	if out, err := exec.Command("go", "build", "-o", helper, "testdata/setuid/main.go").CombinedOutput(); err != nil {
		t.Fatalf("build: %v\n%s", err, out)
	}
	if err := os.Chmod(helper, 0o755|os.ModeSetuid); err != nil {
		t.Fatal(err)
	}
	socket := filepath.Join(d.Dir, "log")
	const lines = 10_000
	line := failure("198.51.100.66", 1)
	if out, err := stranger(helper, socket, fmt.Sprint(lines), line).CombinedOutput(); err != nil {
		rig.Require(t, !strings.Contains(string(out), "effective uid 65534"), "needs a temporary folder that is not mounted nosuid")
		t.Fatalf("helper: %v\n%s", err, out)
	}
	judged(t, d, lines)
	rig.Eventually(t, 10*time.Second, "all are refused as forged", func() bool { return d.Source("users").Refused["forged"] == lines })
	if s := d.Source("root"); s.Lines != 0 {
		t.Errorf("source root has %d lines, want none", s.Lines)
	}
	own := rig.Connect(t, "", "unix", socket)
	sendLines(t, own, failure("198.51.100.99", 1), failure("198.51.100.99", 2), failure("198.51.100.99", 3))
	rig.Eventually(t, 10*time.Second, "root's own failures ban", func() bool { return len(banned(d, "sshd")) > 0 })
	if all := banned(d, ""); len(all) != 1 {
		t.Errorf("bans are %v, want that of root's lines", all)
	}
	t.Logf("%d lines through a setuid helper: 0 bans, all counted as forged", lines)
}

// forwarding is a rsyslogd that follows the example, and hands on what other hosts send it.
const forwarding = `
module(load="imuxsock" SysSock.Name="/dev/log" SysSock.Annotate="on" SysSock.ParseTrusted="on" SysSock.RateLimit.Interval="0")
module(load="imtcp")
input(type="imtcp" address="127.0.0.1" port="%HUB%")
global(workDirectory="%DIR%/work" localHostname="web1")
`

const carried = observe + `
listeners:
  - {name: secure, transport: tls, address: "127.0.0.1:%SECURE%", cert: %DIR%/cert, key: %DIR%/key, client_ca: %DIR%/ca}
  - {name: plain, transport: tcp, address: "127.0.0.1:%PLAIN%"}
jails:
  - {name: sshd, filter: sshd, maxretry: 3}
  - {name: strict, filter: sshd, maxretry: 3, origin: {uid: [0]}}
  - {name: exact, filter: sshd, maxretry: 3, origin: {uid: [0], exe: "/usr/{sbin,lib/openssh}/sshd*"}}
sources:
  - {name: web1, listener: secure, certificate: {san: web1.lan}, vouches: true, jails: [sshd, strict, exact], quota: none}
  - {name: hub, listener: plain, addresses: [127.0.0.1], relay: true, jails: [strict, exact], quota: none}
`

// twoHosts are a host at 203.0.113.2 and the internet that it is connected to, in which somebody has the
// address 198.51.100.7.
func twoHosts(t *testing.T) (host, internet string) {
	t.Helper()
	host, internet = rig.NewNS(t), rig.NewNS(t)
	rig.Sh(t, host, "ip", "link", "add", "wan0", "type", "veth", "peer", "name", "gw0", "netns", internet)
	for _, side := range []struct{ ns, dev, addr string }{{host, "wan0", "203.0.113.2/24"}, {internet, "gw0", "203.0.113.1/24"}, {internet, "gw0", "198.51.100.7/32"}} {
		rig.Sh(t, side.ns, "ip", "link", "set", side.dev, "up")
		rig.Sh(t, side.ns, "ip", "addr", "add", side.addr, "dev", side.dev)
	}
	rig.Sh(t, host, "ip", "route", "add", "default", "via", "203.0.113.1")
	return host, internet
}

// TestOriginOfPrograms: real rsyslogd and sshd in a host of their own. What another host writes into
// an origin, on the way through a hub or straight to us, is nobody's word; root's logger is not sshd.
func TestOriginOfPrograms(t *testing.T) {
	rig.RequireRoot(t)
	rig.RequirePrograms(t, "rsyslogd", "sshd", "ssh", "ssh-keygen", "logger", "unshare", "nsenter", "ip")
	found, _ := filepath.Glob("/usr/lib/*/rsyslog/lmnsd_ossl.so")
	rig.Require(t, len(found) > 0, "needs rsyslog's lmnsd_ossl.so (package rsyslog-openssl)")
	host, internet := twoHosts(t)
	hub := "5140"
	ports := strings.NewReplacer("%HUB%", hub, "%SECURE%", "6514", "%PLAIN%", "601")
	d := rig.NewDaemon(t, host, ports.Replace(carried))
	ca := newAuthority(t, "ca", nil)
	ca.write(d.Dir)
	ca.writeClient(d.Dir, "web1.lan")
	example, err := os.ReadFile("../../../../examples/rsyslog-origin.conf")
	if err != nil {
		t.Fatal(err)
	}
	recipe := strings.NewReplacer("/etc/rsyslog-tls/ca.pem", d.Dir+"/ca", "/etc/rsyslog-tls/host.pem", d.Dir+"/host.pem", "/etc/rsyslog-tls/host.key", d.Dir+"/host.key",
		`target="gateway.lan"`, `target="127.0.0.1"`, `StreamDriverPermittedPeers="gateway.lan"`, `StreamDriverPermittedPeers="server.lan"`).Replace(string(example))
	write := func(name, text string) {
		if err := os.WriteFile(filepath.Join(d.Dir, name), []byte(strings.ReplaceAll(ports.Replace(text), "%DIR%", d.Dir)), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	write("rsyslog.conf", forwarding+recipe)
	write("sshd_config", "ListenAddress 203.0.113.2\nHostKey %DIR%/host_key\nUsePAM no\nUseDNS no\nPidFile none\nMaxStartups 100:30:200\n")
	rig.Sh(t, "", "ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", filepath.Join(d.Dir, "host_key"))
	if err := syscall.Mkfifo(filepath.Join(d.Dir, "root"), 0o600); err != nil {
		t.Fatal(err)
	}
	d.Start()
	lab := rig.Start(t, rig.InNS(host, "unshare", "--mount", "--propagation", "private", "bash", "testdata/host.sh", d.Dir))
	t.Cleanup(func() { lab.End(syscall.SIGTERM) })
	rig.Eventually(t, 30*time.Second, "rsyslogd and sshd run", func() bool { _, err := os.Stat(filepath.Join(d.Dir, "ready")); return err == nil })

	// Another host, by way of the hub and straight: its origin is ignored.
	forged := func(victim string, n int) string {
		return strings.Replace(failure(victim, n), " - - Failed", ` - [origin@32473 uid="0" exe="/usr/sbin/sshd" pid="1"] Failed`, 1)
	}
	const lines = 1000
	foreign := make([]string, 0, lines)
	for n := range lines {
		foreign = append(foreign, forged("198.51.100.66", n))
	}
	sendLines(t, rig.Connect(t, host, "tcp", "127.0.0.1:"+hub), foreign...)
	for n := range foreign {
		foreign[n] = forged("198.51.100.67", n)
	}
	sendLines(t, rig.Connect(t, host, "tcp", "127.0.0.1:601"), foreign...)
	rig.Eventually(t, 30*time.Second, "the hub's lines are refused", func() bool {
		return d.Source("web1").Refused["origin_unknown"] >= 2*lines && d.Source("hub").Refused["origin_not_vouched"] == lines
	})

	// Root's logger writes like sshd, and lives on, so that its program is known.
	pipe, err := os.OpenFile(filepath.Join(d.Dir, "root"), os.O_WRONLY, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer pipe.Close()
	for n := range 5 {
		fmt.Fprintf(pipe, "Failed password for root from 198.51.100.99 port %d ssh2\n", 1000+n)
	}
	rig.Eventually(t, 30*time.Second, "root's logger is believed where uid is enough", func() bool { return len(banned(d, "strict")) > 0 })
	rig.Eventually(t, 10*time.Second, "and is forged where sshd is demanded", func() bool { return d.Source("web1").Refused["forged"] >= 5 })

	// And those that are gone before rsyslogd can look at them.
	refused := func() int64 {
		all := d.Source("web1").Refused
		return all["forged"] + all["origin_unknown"]
	}
	before, loggers := refused(), rig.Size(5, 20, 500)
	for n := range loggers {
		rig.Sh(t, "", "nsenter", "--mount", "--target", fmt.Sprint(lab.Cmd.Process.Pid), "--",
			"logger", "-u", "/dev/log", "-p", "authpriv.info", "-t", "sshd", fmt.Sprintf("Failed password for root from 198.51.100.98 port %d ssh2", 1000+n))
	}
	rig.Eventually(t, 30*time.Second, "each of them is refused where sshd is demanded", func() bool { return refused() >= before+int64(loggers) })

	// Real sshd on the same path.
	for n := range 5 {
		cmd := rig.InNS(internet, "ssh", "-b", "198.51.100.7", "-F", "/dev/null", "-o", "BatchMode=yes", "-o", "StrictHostKeyChecking=no",
			"-o", "UserKnownHostsFile=/dev/null", "-o", "ConnectTimeout=5", fmt.Sprintf("nobody%d@203.0.113.2", n), "true")
		if out, err := cmd.CombinedOutput(); err == nil {
			t.Fatalf("somebody got in: %s", out)
		}
	}
	rig.Eventually(t, 30*time.Second, "real failures ban where sshd is demanded", func() bool { return len(banned(d, "exact")) > 0 })
	for _, jail := range []string{"sshd", "strict", "exact"} {
		all := banned(d, jail)
		delete(all, "198.51.100.7/32")
		if jail == "sshd" { // over a network the catalogue's default asks for nothing that is not known
			delete(all, "198.51.100.66/32")
		}
		if jail != "exact" {
			delete(all, "198.51.100.98/32")
			delete(all, "198.51.100.99/32")
		}
		if len(all) > 0 {
			t.Errorf("jail %s banned %v", jail, all)
		}
	}
	t.Logf("origins of other hosts: %d lines through a hub and %d straight, 0 bans where an origin is demanded; %d loggers of root, 0 bans where sshd is; refused: web1 %v, hub %v",
		lines, lines, loggers, d.Source("web1").Refused, d.Source("hub").Refused)
}

// TestExeWithoutTheRight: a jail that demands a program where none can be seen is refused by check.
func TestExeWithoutTheRight(t *testing.T) {
	rig.RequireRoot(t)
	rig.RequirePrograms(t, "setpriv")
	dir := rig.OpenDir(t)
	file := filepath.Join(dir, "stockade.yaml")
	config := strings.ReplaceAll(`
listeners: [{name: local, transport: unixgram, path: %DIR%/log}]
sources: [{name: this-host, listener: local, jails: ["*"]}]
jails: [{name: sshd, filter: sshd, origin: {uid: [0], exe: /usr/sbin/sshd}}]
`, "%DIR%", dir)
	if err := os.WriteFile(file, []byte(config), 0o600); err != nil {
		t.Fatal(err)
	}
	check := []string{rig.Program(t, "stockade"), "check", "--config", file}
	if out, err := exec.Command(check[0], check[1:]...).CombinedOutput(); err != nil {
		t.Errorf("with the right: %v\n%s", err, out)
	}
	out, err := exec.Command("setpriv", append([]string{"--bounding-set=-sys_ptrace", "--inh-caps=-sys_ptrace"}, check...)...).CombinedOutput()
	var exit *exec.ExitError
	if !errors.As(err, &exit) || exit.ExitCode() != 2 || !strings.Contains(string(out), "needs CAP_SYS_PTRACE") || !strings.Contains(string(out), "stockade.yaml:4:") {
		t.Errorf("without the right: %v\n%s", err, out)
	}
}

// writeClient puts the certificate and the key of a sender into a folder, as host.pem and host.key.
func (a *authority) writeClient(dir, name string) {
	a.t.Helper()
	c := a.issue(client(name))
	der, err := x509.MarshalPKCS8PrivateKey(c.PrivateKey)
	if err != nil {
		a.t.Fatal(err)
	}
	for file, block := range map[string]*pem.Block{"host.pem": {Type: "CERTIFICATE", Bytes: c.Certificate[0]}, "host.key": {Type: "PRIVATE KEY", Bytes: der}} {
		if err := os.WriteFile(filepath.Join(dir, file), pem.EncodeToMemory(block), 0o600); err != nil {
			a.t.Fatal(err)
		}
	}
}
