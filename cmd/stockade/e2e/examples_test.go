package e2e

import (
	"encoding/json"
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
)

const examples = "../../../examples"

// example reads a file of the examples.
func example(t testing.TB, name string) string {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(examples, name))
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

func TestExampleConfigs(t *testing.T) {
	files, err := filepath.Glob(examples + "/*.yaml")
	if err != nil || len(files) == 0 {
		t.Fatalf("no examples: %v", err)
	}
	for _, file := range files {
		if filepath.Base(file) == "openapi.yaml" {
			continue // the description of the API
		}
		out, code := stockade(t, "check", "--json", "--config", file)
		var verdict struct {
			Problems []struct{ Path, Message string }
		}
		if err := json.Unmarshal([]byte(out), &verdict); err != nil {
			t.Errorf("check %s: %v\n%s", file, err, out)
		}
		want := 0
		for _, p := range verdict.Problems {
			// Certificates are of the reader's making, the action is off, and a plain user may not see
			// which program wrote a line.
			missing := strings.HasPrefix(p.Path, "listeners[") && strings.HasSuffix(p.Message, "serve does not start without it")
			off := strings.HasPrefix(p.Path, "actions[") && strings.HasPrefix(p.Message, "it is off: ")
			plain := os.Geteuid() != 0 && strings.HasSuffix(p.Path, "origin.exe") && strings.Contains(p.Message, "it needs CAP_SYS_PTRACE")
			if plain {
				want = 2
			}
			if !missing && !off && !plain {
				t.Errorf("check %s: %s: %s", file, p.Path, p.Message)
			}
		}
		if code != want {
			t.Errorf("check %s exits with %d, want %d:\n%s", file, code, want, out)
		}
	}
}

// TestRsyslogSnippets lets rsyslogd itself check each snippet.
func TestRsyslogSnippets(t *testing.T) {
	rsyslogd := needRsyslogd(t)
	snippets, err := filepath.Glob(examples + "/rsyslog-*.conf")
	if err != nil || len(snippets) < 3 {
		t.Fatalf("snippets: %v, %v", snippets, err)
	}
	check := func(text string) (string, error) {
		dir := t.TempDir()
		conf := filepath.Join(dir, "rsyslog.conf")
		head := fmt.Sprintf("global(workDirectory=%q)\nmodule(load=\"imuxsock\" SysSock.Use=\"off\")\n", dir)
		if err := os.WriteFile(conf, []byte(head+text), 0o600); err != nil {
			t.Fatal(err)
		}
		out, err := exec.Command(rsyslogd, "-N1", "-f", conf, "-i", filepath.Join(dir, "pid")).CombinedOutput()
		return string(out), err
	}
	for _, s := range snippets {
		if out, err := check(example(t, filepath.Base(s))); err != nil || strings.Contains(out, "error") {
			t.Errorf("%s: rsyslogd -N1: %v\n%s", filepath.Base(s), err, out)
		}
	}
	if out, err := check("auth.* action(type=\"omfwd\" targett=\"192.0.2.1\")\n"); err == nil {
		t.Errorf("rsyslogd -N1 finds no fault where one is:\n%s", out)
	}
}

// TestSyslogNGSnippet lets syslog-ng check its snippet, where it is installed.
func TestSyslogNGSnippet(t *testing.T) {
	program, err := exec.LookPath("syslog-ng")
	if err != nil {
		t.Skip("syslog-ng is not installed; rsyslog is the one that every run checks")
	}
	conf := filepath.Join(t.TempDir(), "syslog-ng.conf")
	head := "@version: current\nsource s_src { internal(); };\n"
	if err := os.WriteFile(conf, []byte(head+example(t, "syslog-ng.conf")), 0o600); err != nil {
		t.Fatal(err)
	}
	if out, err := exec.Command(program, "--syntax-only", "-f", conf).CombinedOutput(); err != nil {
		t.Errorf("syslog-ng --syntax-only: %v\n%s", err, out)
	}
}

const forwarded = `
listeners:
  - {name: plain, transport: tcp, address: "127.0.0.1:%d"}
  - {name: local, transport: unixgram, path: "%%DIR%%/syslog.sock"}
sources:
  - {name: nas, listener: plain, addresses: [127.0.0.1], apps: [sshd], jails: [sshd]}
  - {name: this-host, listener: local, uid: [0], vouches: true, jails: [sshd]}
jails:
  - {name: sshd, filter: sshd, maxretry: 3}
firewall: {backend: observe}
`

// TestRsyslogForwards runs the TCP and the unix snippet in a real rsyslogd: a program's failures
// become a ban, and other facilities are not forwarded.
func TestRsyslogForwards(t *testing.T) {
	rig.RequireRoot(t) // the catalogue's sshd believes root's processes
	rig.RequirePrograms(t, "logger", "setpriv")
	rsyslogd := needRsyslogd(t)
	ns, port := rig.NewNS(t), 601
	d := rig.NewDaemon(t, ns, fmt.Sprintf(forwarded, port)).Start()
	for i, c := range []struct {
		file, old, new, source string
		vouches                bool
	}{
		{"rsyslog-tcp.conf", `target="192.0.2.1" port="601"`, fmt.Sprintf(`target="127.0.0.1" port="%d"`, port), "nas", false},
		{"rsyslog-unix.conf", "/run/stockade/syslog.sock", filepath.Join(d.Dir, "syslog.sock"), "this-host", true},
	} {
		snippet := example(t, c.file)
		if !strings.Contains(snippet, c.old) {
			t.Fatalf("%s no longer has %q", c.file, c.old)
		}
		dir := rig.OpenDir(t)
		socket := filepath.Join(dir, "log")
		conf := fmt.Sprintf("global(workDirectory=%q)\nmodule(load=\"imuxsock\" SysSock.Use=\"off\")\ninput(type=\"imuxsock\" Socket=%q Annotate=\"on\" ParseTrusted=\"on\")\n", dir, socket)
		conf += strings.ReplaceAll(snippet, c.old, c.new)
		if err := os.WriteFile(filepath.Join(dir, "rsyslog.conf"), []byte(conf), 0o600); err != nil {
			t.Fatal(err)
		}
		cmd := rig.InNS(ns, rsyslogd, "-n", "-f", filepath.Join(dir, "rsyslog.conf"), "-i", filepath.Join(dir, "pid"))
		out := &rig.Output{}
		cmd.Stdout, cmd.Stderr = out, out
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		stop := func() {
			_ = cmd.Process.Signal(syscall.SIGTERM)
			force := time.AfterFunc(5*time.Second, func() { _ = cmd.Process.Kill() })
			defer force.Stop()
			_ = cmd.Wait()
		}
		t.Cleanup(stop)
		rig.Eventually(t, 60*time.Second, "rsyslogd listens", func() bool {
			conn, err := net.Dial("unixgram", socket)
			if err == nil {
				conn.Close()
			}
			return err == nil
		})
		log := func(facility, addr string, as ...string) {
			for range 3 {
				rig.Sh(t, "", append(as, "logger", "-u", socket, "-t", "sshd", "-p", facility+".info",
					fmt.Sprintf("Failed password for root from %s port 40022 ssh2", addr))...)
			}
		}
		other, slandered, addr := fmt.Sprintf("198.18.3.%d", i), fmt.Sprintf("198.18.4.%d", i), fmt.Sprintf("198.18.2.%d", i)
		log("local3", other)
		if c.vouches {
			log("auth", slandered, "setpriv", fmt.Sprintf("--reuid=%d", nobody), fmt.Sprintf("--regid=%d", nobody), "--clear-groups")
		}
		log("authpriv", addr)
		rig.Eventually(t, 60*time.Second, c.file+": the failures become a ban", func() bool {
			for _, b := range d.Bans() {
				if b.Address == addr+"/32" && b.Source == c.source {
					return true
				}
			}
			return false
		})
		if c.vouches { // another worker may judge those lines
			rig.Soon(15*time.Second, func() bool { return d.Source(c.source).Refused["forged"] >= 3 })
		}
		s := d.Source(c.source)
		if s.Failures != 3 {
			t.Errorf("%s: source %s counted %d failures, want 3", c.file, c.source, s.Failures)
		}
		if c.vouches && s.Refused["forged"] != 3 {
			t.Errorf("%s: of what a user wrote %v was refused, want 3 as forged", c.file, s.Refused)
		}
		t.Logf("%s: 3 failures counted, refused %v", c.file, s.Refused)
	}
	if n := len(d.Bans()); n != 2 {
		t.Errorf("%d bans, want 2: %+v", n, d.Bans())
	}
}

// needRsyslogd finds rsyslogd, which a plain user's PATH may lack.
func needRsyslogd(t testing.TB) string {
	t.Helper()
	program, err := exec.LookPath("rsyslogd")
	if err != nil {
		program = "/usr/sbin/rsyslogd"
		_, err = os.Stat(program)
	}
	rig.Require(t, err == nil, "needs the program rsyslogd")
	return program
}
