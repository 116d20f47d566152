package receiver

import (
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"stockade/receiver/receivertest"
)

// rsyslogModules is where rsyslogd finds its drivers; STOCKADE_TEST_RSYSLOG_MODULES names one
// more folder.
const rsyslogModules = "/usr/lib/*/rsyslog"

// TestRealRsyslog sends numbered lines through a real rsyslogd, with each of its four templates,
// over each transport and framing, and compares the texts. It is the receiver's part of bar B7.
func TestRealRsyslog(t *testing.T) {
	rsyslogd, err := exec.LookPath("rsyslogd")
	receivertest.Need(t, err == nil, "rsyslogd")
	lines := 10_000
	if testing.Short() || slow {
		lines = 1000
	}
	ca := newAuthority(t, "ca", nil)
	dir := filepath.Dir(socketPath(t))
	if err := os.Chmod(dir, 0o755); err != nil { //nolint:gosec // rsyslogd may drop its privileges
		t.Fatal(err)
	}
	in := filepath.Join(dir, "in")
	conf := fmt.Sprintf(`global(workDirectory=%q)
$MaxMessageSize 16k
main_queue(queue.type="FixedArray" queue.size="100000")
module(load="imuxsock" SysSock.Use="off")
input(type="imuxsock" Socket=%q RateLimit.Interval="0" UseSysTimeStamp="off")
module(load="omuxsock")
`, dir, in)

	type leg struct {
		name string
		r    *rig
	}
	var legs []leg
	cert, key := ca.clientFiles(t, "web1.lan")
	modules, _ := filepath.Glob(rsyslogModules)
	if more := os.Getenv("STOCKADE_TEST_RSYSLOG_MODULES"); more != "" {
		modules = append(modules, more)
	}
	drivers := 0
	for _, m := range modules {
		if _, err := os.Stat(filepath.Join(m, "lmnsd_ossl.so")); err == nil {
			drivers++
		}
	}
	templates := []string{"RSYSLOG_TraditionalForwardFormat", "RSYSLOG_ForwardFormat", "RSYSLOG_SyslogProtocol23Format", "RSYSLOG_SyslogRFC5424Format"}
	for _, template := range templates {
		for _, way := range []string{"tcp traditional", "tcp octet-counted", "tls traditional", "tls octet-counted", "udp", "unixgram"} {
			transport, framing, _ := strings.Cut(way, " ")
			cfg, sources := loopback(transport), local
			switch transport {
			case "unixgram":
				cfg, sources = ListenerConfig{Transport: transport, Path: filepath.Join(dir, template)}, []SourceConfig{{Name: "any"}}
			case "tls":
				if drivers == 0 {
					continue
				}
				cfg, sources = ca.files(t, t.TempDir()), named("web1")
			}
			r := start(t, cfg, sources, nil)
			legs = append(legs, leg{template + " " + way, r})
			if transport == "unixgram" {
				conf += fmt.Sprintf("$OMUxSockSocket %s\n*.* :omuxsock:;%s\n", cfg.Path, template)
				continue
			}
			action := fmt.Sprintf(`action(type="omfwd" target="127.0.0.1" port="%d" protocol=%q template=%q`,
				port(r.Addr()), strings.Replace(transport, "tls", "tcp", 1), template)
			if framing != "" {
				action += fmt.Sprintf(" TCP_Framing=%q", framing)
			}
			if transport == "tls" {
				action += fmt.Sprintf(` StreamDriver="ossl" StreamDriverMode="1" StreamDriverAuthMode="x509/name"
 StreamDriverPermittedPeers="server.lan" StreamDriver.CAFile=%q StreamDriver.CertFile=%q StreamDriver.KeyFile=%q`, r.cfg.ClientCA, cert, key)
			}
			conf += action + ")\n"
		}
	}
	file := filepath.Join(dir, "conf")
	if err := os.WriteFile(file, []byte(conf), 0o600); err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(rsyslogd, "-n", "-M", strings.Join(modules, ":"), "-f", file, "-i", filepath.Join(dir, "pid")) //nolint:gosec // a test's own paths
	out := new(receivertest.Log)
	cmd.Stdout, cmd.Stderr = out, out
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
	})
	var c net.Conn
	if !receivertest.Eventually(20*time.Second, func() bool {
		c, err = net.Dial("unixgram", in)
		return err == nil
	}) {
		t.Fatalf("rsyslogd does not listen: %v\n%s\n%s", err, out, conf)
	}
	defer c.Close()
	want := make(map[string]bool, lines)
	for i := range lines {
		text := fmt.Sprintf("Failed password for invalid user <%d>%s from 192.0.2.7 port 22 ssh2 [preauth] \u00e9", i, strings.Repeat("x", i%700))
		want[text] = true
		stamp := time.Now().Format(time.Stamp)
		if _, err := fmt.Fprintf(c, "<38>%s sshd[%d]: %s", stamp, i+1, text); err != nil {
			t.Fatal(err)
		}
		if i%100 == 99 { // udp has no other brake
			for _, l := range legs {
				l.r.wait("lines in between", func() bool { return l.r.rec.count() > i-100 })
			}
		}
	}
	for _, l := range legs {
		t.Run(l.name, func(t *testing.T) {
			if !receivertest.Eventually(20*time.Second, func() bool { return l.r.rec.count() >= lines }) {
				t.Errorf("%d of %d lines", l.r.rec.count(), lines)
			}
			seen, foreign := make(map[string]bool, lines), ""
			for _, x := range l.r.rec.all() {
				if x.app != "sshd" || !want[x.text] {
					foreign = x.raw
					continue
				}
				seen[x.text] = true
			}
			if len(seen) != lines {
				t.Errorf("%d of %d texts are identical; another: %q", len(seen), lines, foreign)
			}
		})
	}
	t.Logf("B7: rsyslogd: %d lines over each of %d ways", lines, len(legs))
	receivertest.Need(t, drivers > 0, "rsyslog-openssl, for the TLS ways")
}

func port(a net.Addr) int {
	switch a := a.(type) {
	case *net.TCPAddr:
		return a.Port
	case *net.UDPAddr:
		return a.Port
	}
	return 0
}
