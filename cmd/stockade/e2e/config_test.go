package e2e

import (
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"stockade/cmd/stockade/e2e/rig"
)

const wrongConfig = `state_dir: %DIR%/state
control: {socket: %DIR%/control.sock, colour: blue}
listeners:
  - {name: local, transport: unixgram, path: %DIR%/syslog.sock}
sources:
  - {name: this-host, listener: local, jails: ["*"]}
jails:
  - name: sshd
    filter: sshdd
    findtime: 10 parsecs
  - name: web
    filter:
      failregex:
        - '^a line without the address$'
  - name: sshd
    filter: sshd
`

const wrongFragment = `jails:
  - name: mail
    filter: postfix
    bantime: -7m
    maxretries: 3
`

// TestWrongConfig refuses every fault of every file at once, each with its place, and starts nothing.
func TestWrongConfig(t *testing.T) {
	dir := t.TempDir()
	main, fragment := filepath.Join(dir, "stockade.yaml"), filepath.Join(dir, "conf.d", "10-mail.yaml")
	if err := os.Mkdir(filepath.Dir(fragment), 0o755); err != nil {
		t.Fatal(err)
	}
	for path, text := range map[string]string{main: strings.ReplaceAll(wrongConfig, "%DIR%", dir), fragment: wrongFragment} {
		if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	faults := []struct{ name, place, text string }{
		{"unknown key", main + ":2:", "colour"},
		{"bad duration", main + ":10:", "10 parsecs"},
		{"unknown filter", main + ":9:", "sshdd"},
		{"regex without <HOST>", main + ":14:", "<HOST>"},
		{"duplicate jail", main + ":15:", "sshd"},
		{"bad duration in conf.d", fragment + ":4:", "-7m"},
		{"unknown key in conf.d", fragment + ":5:", "maxretries"},
	}
	for _, verb := range []string{"serve", "check"} {
		out, code := stockade(t, verb, "--config", main)
		if code != 2 {
			t.Errorf("%s exits with %d, want 2", verb, code)
		}
		for _, f := range faults {
			if !hasLine(out, f.place, f.text) {
				t.Errorf("%s does not tell the %s: no line with %q and %q in\n%s", verb, f.name, f.place, f.text, out)
			}
		}
	}
	if _, err := os.Stat(filepath.Join(dir, "state")); err == nil {
		t.Error("serve made its state folder for a bad configuration")
	}

	var answer struct {
		OK       bool `json:"ok"`
		Problems []struct {
			File   string `json:"file"`
			Line   int    `json:"line"`
			Column int    `json:"column"`
		} `json:"problems"`
	}
	out, code := stockade(t, "check", "--json", "--config", main)
	if err := json.Unmarshal([]byte(out), &answer); err != nil || code != 2 || answer.OK {
		t.Fatalf("check --json exits with %d, %v: %s", code, err, out)
	}
	if len(answer.Problems) != len(faults) {
		t.Errorf("check --json has %d problems, want %d: %s", len(answer.Problems), len(faults), out)
	}
	for _, p := range answer.Problems {
		if p.File == "" || p.Line == 0 || p.Column == 0 {
			t.Errorf("a problem without a place: %+v", p)
		}
	}
	t.Logf("check prints:\n%s", strings.ReplaceAll(func() string { s, _ := stockade(t, "check", "--config", main); return s }(), dir+"/", ""))
}

// TestAddressInUse exits with 2 and leaves nothing behind when another program has the address.
func TestAddressInUse(t *testing.T) {
	tcp, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer tcp.Close()
	udp, err := net.ListenPacket("udp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer udp.Close()
	for transport, address := range map[string]string{"tcp": tcp.Addr().String(), "udp": udp.LocalAddr().String()} {
		d := rig.NewDaemon(t, "", fmt.Sprintf(`
listeners:
  - {name: local, transport: unixgram, path: "%%DIR%%/syslog.sock"}
  - {name: busy, transport: %s, address: "%s"}
sources:
  - {name: this-host, listener: local, jails: ["*"]}
jails:
  - {name: sshd, filter: sshd}
firewall: {backend: observe}
`, transport, address))
		out, code := d.Run("serve")
		if code != 2 || !hasLine(out, "busy", address) {
			t.Errorf("%s: serve exits with %d, want 2, and names the listener and %s:\n%s", transport, code, address, out)
		}
		for _, name := range []string{"syslog.sock", "control.sock"} {
			if _, err := os.Lstat(filepath.Join(d.Dir, name)); err == nil {
				t.Errorf("%s: serve left %s behind", transport, name)
			}
		}
	}
}

// TestTwoDaemons refuses a second daemon on the same configuration; the first goes on.
func TestTwoDaemons(t *testing.T) {
	d := rig.NewDaemon(t, "", observing).Start()
	if out, code := d.Run("serve"); code != 2 {
		t.Errorf("a second daemon exits with %d, want 2:\n%s", code, out)
	}
	d.Must("ping")
	d.Stop()
}

// observing is a configuration that anybody can serve.
const observing = `
listeners:
  - {name: local, transport: unixgram, path: "%DIR%/syslog.sock"}
sources:
  - {name: this-host, listener: local, jails: ["*"]}
jails:
  - {name: logins, filter: {failregex: ['^Failed password for \S+ from <HOST> port \d+']}, maxretry: 3}
firewall: {backend: observe}
`

// hasLine reports whether a line of a text has all parts.
func hasLine(text string, parts ...string) bool {
line:
	for l := range strings.Lines(text) {
		for _, p := range parts {
			if !strings.Contains(l, p) {
				continue line
			}
		}
		return true
	}
	return false
}

// stockade runs the program to its end, for at most 20 seconds.
func stockade(t testing.TB, args ...string) (out string, code int) {
	t.Helper()
	cmd := exec.Command(rig.Program(t, "stockade"), args...)
	kill := time.AfterFunc(20*time.Second, func() { _ = cmd.Process.Kill() })
	defer kill.Stop()
	text, err := cmd.CombinedOutput()
	var exit *exec.ExitError
	if err != nil && !errors.As(err, &exit) {
		t.Fatalf("stockade %s: %v", strings.Join(args, " "), err)
	}
	return string(text), cmd.ProcessState.ExitCode()
}
