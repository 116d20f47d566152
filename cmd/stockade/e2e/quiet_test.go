package e2e

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"stockade/cmd/stockade/e2e/rig"
)

const quietConfig = `
listeners: [{name: lan, transport: tcp, address: "127.0.0.1:601"}]
sources: [{name: lo, listener: lan, addresses: [127.0.0.1], jails: ["*"], quota: none}]
jails:
  - {name: sshd, filter: sshd, maxretry: 3}
  - {name: names, filter: {failregex: ['^denied <HOST>$']}, apps: [app], maxretry: 1}
firewall: {backend: observe}
`

// TestAsksNobody runs the daemon under strace while lines name hosts: no name is looked up and no
// program is run, whatever a line says.
func TestAsksNobody(t *testing.T) {
	ns := rig.NewNS(t)
	rig.RequirePrograms(t, "strace")
	d := rig.NewDaemon(t, ns, quietConfig)
	trace := filepath.Join(d.Dir, "trace")
	d.Wrap = []string{"strace", "-f", "-qq", "-o", trace, "-e", "trace=execve,execveat,connect,sendto,sendmsg,sendmmsg", "-e", "signal=none"}
	d.Start()
	templates := filepath.Join(d.Dir, "templates")
	text := "<38>{stamp} web1 sshd[{n}]: Failed password for root from host{n}.example.com port 40022 ssh2\n" +
		"<38>{stamp} web1 app: denied host{n}.example.com\n" +
		"<38>{stamp} web1 app: denied $(reboot).{addr}.example.com\n" +
		"<38>{stamp} web1 sshd[{n}]: Failed password for root from {addr} port 40022 ssh2\n"
	if err := os.WriteFile(templates, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
	count := "100000"
	if testing.Short() {
		count = "10000"
	}
	if rig.Long() {
		count = "1000000"
	}
	out, err := rig.InNS(ns, rig.Program(t, "stockade-load"), "-to", "tcp:127.0.0.1:601", "-count", count, "-template", templates, "-addresses", "101", "-quiet").CombinedOutput()
	if err != nil {
		t.Fatalf("stockade-load: %v: %s", err, out)
	}
	rig.Eventually(t, 60*time.Second, "the addresses are banned", func() bool { return len(d.Bans()) == 101 })
	// strace ends when the daemon does, which takes the signal itself.
	pid := strings.TrimSpace(rig.Sh(t, "", "pgrep", "-f", "serve --config "+d.Config+"$"))
	if fields := strings.Fields(pid); len(fields) > 0 {
		if out, err := exec.Command("kill", fields[len(fields)-1]).CombinedOutput(); err != nil {
			t.Fatalf("kill: %v: %s", err, out)
		}
	}
	select {
	case <-d.Done:
	case <-time.After(20 * time.Second):
		t.Fatal("serve does not stop")
	}
	log, err := os.ReadFile(trace)
	if err != nil {
		t.Fatal(err)
	}
	execs, asks := 0, 0
	for line := range strings.Lines(string(log)) {
		if strings.Contains(line, "execve") {
			execs++
		}
		if strings.Contains(line, "htons(53)") {
			asks++
		}
	}
	t.Logf("%s lines: %d programs run, itself among them, %d names asked for", count, execs, asks)
	if execs != 1 || asks != 0 {
		t.Errorf("%d programs run, want 1: serve itself; %d DNS queries, want 0", execs, asks)
	}
}
