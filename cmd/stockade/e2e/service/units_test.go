package service

import (
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"testing"

	"stockade/cmd/stockade/e2e/rig"
)

// TestUnits holds the shipped unit to its exposure level, alone and with each drop-in.
func TestUnits(t *testing.T) {
	rig.RequirePrograms(t, "systemd-analyze")
	level := regexp.MustCompile(`exposure level for \S+: ([0-9.]+)`)
	for _, tt := range []struct {
		name, dropIn string
		most         float64
	}{
		{"alone", "", 2.0},
		{"jails that demand exe", "stockade.service.d/exe.conf", 2.5},
		{"exec channels with a user", "exec.conf", 2.5},
	} {
		dir := t.TempDir()
		put := func(from, to string) {
			text, err := os.ReadFile(units + from)
			if err == nil {
				err = os.MkdirAll(filepath.Dir(filepath.Join(dir, to)), 0o755)
			}
			if err == nil {
				err = os.WriteFile(filepath.Join(dir, to), text, 0o644)
			}
			if err != nil {
				t.Fatal(err)
			}
		}
		put("stockade.service", "stockade.service")
		if tt.dropIn != "" {
			put(tt.dropIn, "stockade.service.d/drop-in.conf")
		}
		out, err := exec.Command("systemd-analyze", "security", "--offline=true", "--no-pager", filepath.Join(dir, "stockade.service")).CombinedOutput()
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
