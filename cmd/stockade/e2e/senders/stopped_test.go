package senders

import (
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"stockade/cmd/stockade/e2e/rig"
	"stockade/receiver/receivertest"
)

// TestSendersWhileStopped is bar F5 with real senders: Stockade stands still, and rsyslogd goes on
// writing its own files, over TCP and over a local socket; afterwards lines flow again by themselves.
func TestSendersWhileStopped(t *testing.T) {
	rig.RequirePrograms(t, "rsyslogd")
	still := 1500 * time.Millisecond
	if rig.Long() {
		still = time.Minute
	}
	port := receivertest.FreePort(t)
	d := observe(t, fmt.Sprintf(`
listeners:
  - {name: lan, transport: tcp, address: "127.0.0.1:%d"}
  - {name: local, transport: unixgram, path: %%DIR%%/log}
sources:
  - {name: web1, listener: lan, addresses: [127.0.0.1], jails: ["*"]}
  - {name: this-host, listener: local, jails: ["*"]}
`, port)).Start()
	dir, err := os.MkdirTemp("", "rsl")
	if err != nil {
		t.Fatal(err)
	}
	defer os.RemoveAll(dir)
	file := filepath.Join(dir, "auth.log")
	conf := fmt.Sprintf(`global(workDirectory=%[1]q)
module(load="imuxsock" SysSock.Use="off")
module(load="omuxsock")
input(type="imuxsock" Socket="%[1]s/in" RateLimit.Interval="0")
if $programname != "sshd" then stop
action(type="omfile" file=%[2]q flushOnTXEnd="on")
action(type="omfwd" target="127.0.0.1" port="%[3]d" protocol="tcp" queue.type="LinkedList" queue.size="200000" action.resumeRetryCount="-1" action.resumeInterval="1")
ruleset(name="local" queue.type="LinkedList" queue.size="200000" queue.timeoutEnqueue="0") {
$OMUxSockSocket %[4]s/log
*.* :omuxsock:
}
call local
`, dir, file, port, d.Dir)
	if err := os.WriteFile(filepath.Join(dir, "conf"), []byte(conf), 0o600); err != nil {
		t.Fatal(err)
	}
	r := rig.Start(t, exec.Command("rsyslogd", "-n", "-f", filepath.Join(dir, "conf"), "-i", filepath.Join(dir, "pid")))
	var in net.Conn
	if !rig.Soon(20*time.Second, func() bool {
		in, err = net.Dial("unixgram", filepath.Join(dir, "in"))
		return err == nil
	}) {
		t.Fatalf("rsyslogd does not listen: %v\n%s", err, r.Log)
	}
	defer in.Close()
	sent := 0
	say := func() {
		sent++
		if _, err := fmt.Fprintf(in, "<38>%s sshd[1]: line %d %s", time.Now().Format(time.Stamp), sent, strings.Repeat("x", 300)); err != nil {
			t.Fatal(err)
		}
	}
	written := func() int {
		text, _ := os.ReadFile(file)
		return strings.Count(string(text), "\n")
	}
	say()
	if !rig.Soon(30*time.Second, func() bool { return d.Source("web1").Lines == 1 && d.Source("this-host").Lines == 1 }) {
		t.Fatalf("nothing arrives: %s\n%s", d.Ask("sources"), r.Log)
	}

	if err := d.Cmd.Process.Signal(syscall.SIGSTOP); err != nil {
		t.Fatal(err)
	}
	var slowest time.Duration
	for end := time.Now().Add(still); time.Now().Before(end); time.Sleep(200 * time.Microsecond) {
		began := time.Now()
		say()
		slowest = max(slowest, time.Since(began))
	}
	began := time.Now()
	local := rig.Soon(30*time.Second, func() bool { return written() == sent })
	behind := time.Since(began)
	if err := d.Cmd.Process.Signal(syscall.SIGCONT); err != nil {
		t.Fatal(err)
	}
	began = time.Now()
	if !rig.Soon(60*time.Second, func() bool { return d.Source("web1").Lines == int64(sent) }) {
		t.Errorf("over TCP %d of %d lines arrived", d.Source("web1").Lines, sent)
	}
	back := time.Since(began)
	before := d.Source("this-host").Lines
	if !rig.Soon(30*time.Second, func() bool { say(); return d.Source("this-host").Lines > before }) {
		t.Error("over the local socket nothing arrives any more")
	}
	t.Logf("F5: stopped for %s while %d lines came: rsyslogd wrote all to its file (%s behind), no program waited longer than %s; over TCP all arrived %s after we went on, over the local socket lines flow again",
		still, sent, behind.Round(time.Millisecond), slowest.Round(time.Microsecond), back.Round(time.Millisecond))
	// rsyslogd makes a program wait 2 s (queue.timeoutEnqueue) once it has no room for what it may not send.
	if !local || slowest > 1900*time.Millisecond {
		t.Errorf("rsyslogd was harmed: %d of %d lines in its file, a program waited %s", written(), sent, slowest)
	}
}
