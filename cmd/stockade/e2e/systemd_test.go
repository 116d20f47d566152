package e2e

import (
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"testing"
	"time"

	"stockade/cmd/stockade/e2e/rig"
)

// TestUnits holds the shipped unit to its exposure level, without and with the drop-in.
func TestUnits(t *testing.T) {
	rig.RequirePrograms(t, "systemd-analyze")
	dir := t.TempDir()
	unit, err := os.ReadFile("../../../examples/systemd/stockade.service")
	if err != nil {
		t.Fatal(err)
	}
	alone := filepath.Join(dir, "stockade.service")
	if err := os.WriteFile(alone, unit, 0o644); err != nil {
		t.Fatal(err)
	}
	level := regexp.MustCompile(`exposure level for \S+: ([0-9.]+)`)
	for _, tt := range []struct {
		name, path string
		most       float64
	}{
		{"alone", alone, 2.0},
		{"with the drop-in", "../../../examples/systemd/stockade.service", 2.5},
	} {
		out, err := exec.Command("systemd-analyze", "security", "--offline=true", "--no-pager", tt.path).CombinedOutput()
		m := level.FindSubmatch(out)
		if m == nil {
			t.Fatalf("%s: systemd-analyze: %v\n%s", tt.name, err, rig.Last(string(out), 5))
		}
		got, err := strconv.ParseFloat(string(m[1]), 64)
		if err != nil || got > tt.most {
			t.Errorf("%s: exposure level %s, want at most %.1f", tt.name, m[1], tt.most)
		}
		t.Logf("%s: exposure level %s", tt.name, m[1])
	}
}

// TestUnprivilegedDaemon runs serve as the unit does: no root, two capabilities. It still bans.
func TestUnprivilegedDaemon(t *testing.T) {
	l := newLab(t)
	rig.RequirePrograms(t, "setpriv")
	d := rig.NewDaemon(t, l.gateway, gatewayConfig+`
  - {name: own, filter: {failregex: ['^denied <HOST>$']}, maxretry: 1}
`)
	if out, err := exec.Command("chown", "-R", "nobody:", d.Dir).CombinedOutput(); err != nil {
		t.Fatalf("chown: %v: %s", err, out)
	}
	d.Wrap = []string{"setpriv", "--reuid=nobody", "--regid=nogroup", "--clear-groups", "--no-new-privs",
		"--inh-caps=-all,+net_admin,+net_bind_service", "--ambient-caps=-all,+net_admin,+net_bind_service",
		"--bounding-set=-all,+net_admin,+net_bind_service"}
	d.Start()
	d.Must("ban", attacker, "--reason", "as the unit runs it")
	rig.Eventually(t, 5*time.Second, "the ban is in the kernel", func() bool { return rig.Holds(t, l.gateway, "ban4", attacker) })
}
