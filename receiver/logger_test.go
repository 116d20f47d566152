package receiver

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"stockade/receiver/receivertest"
)

// TestRealLogger sends a file of numbered lines with logger(1) in each of its ways.
func TestRealLogger(t *testing.T) {
	logger, err := exec.LookPath("logger")
	receivertest.Need(t, err == nil, "logger")
	lines := manyLines()
	var b strings.Builder
	for i := range lines {
		fmt.Fprintf(&b, "Failed password for root%d from 192.0.2.7 port 22 ssh2 é\n", i)
	}
	file := filepath.Join(t.TempDir(), "lines")
	if err := os.WriteFile(file, []byte(b.String()), 0o600); err != nil {
		t.Fatal(err)
	}
	want := strings.Split(strings.TrimSpace(b.String()), "\n")
	for _, transport := range []string{"udp", "tcp", "unix", "unixgram"} {
		for _, options := range []string{"--rfc3164", "--rfc5424", "--rfc5424=notime", "--octet-count --rfc5424"} {
			if strings.HasPrefix(options, "--octet-count") && transport != "tcp" {
				continue
			}
			t.Run(transport+" "+options, func(t *testing.T) {
				cfg, sources := loopback(transport), local
				args := append(strings.Fields(options), "-t", "sshd", "-f", file)
				if transport == "unix" || transport == "unixgram" {
					cfg, sources = ListenerConfig{Transport: transport, Path: socketPath(t)}, []SourceConfig{{Name: "any"}}
				}
				r := start(t, cfg, sources, nil)
				if cfg.isUnix() {
					args = append(args, "--socket", cfg.Path, "--socket-errors=on")
				} else {
					args = append(args, "--"+transport, "--server", "127.0.0.1", "--port", fmt.Sprint(port(r.Addr())))
				}
				if out, err := exec.Command(logger, args...).CombinedOutput(); err != nil { //nolint:gosec // a test's own arguments
					t.Fatalf("%v: %s", err, out)
				}
				got := make(map[string]bool)
				for _, l := range r.lines(lines) {
					if l.app != "sshd" || l.truncated {
						t.Fatalf("line %+v", l)
					}
					got[l.text] = true
				}
				for _, text := range want {
					if !got[text] {
						t.Fatalf("no line %q; one is %q", text, r.rec.all()[0].raw)
					}
				}
			})
		}
	}
}
