package journal

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"stockade/cmd/stockade/e2e/rig"
)

// TestAFileThatAnybodyMayWrite: its lines are believed as little as is shown, and ban nobody; those of a
// file that has one writer do.
func TestAFileThatAnybodyMayWrite(t *testing.T) {
	t.Parallel()
	d := rig.NewDaemon(t, "", `
tails:
  - {name: open, paths: ["%DIR%/open.log"], app: web, from: start}
  - {name: own, paths: ["%DIR%/own.log"], app: web, from: start}
jails: [{name: web, filter: {failregex: ['^denied <HOST>$']}, maxretry: 3}]
firewall: {backend: observe}
`)
	const slandered, offender = "198.51.100.7", "198.51.100.8"
	for name, address := range map[string]string{"open.log": slandered, "own.log": offender} {
		path := filepath.Join(d.Dir, name)
		if err := os.WriteFile(path, []byte(strings.Repeat(fmt.Sprintf("denied %s\n", address), 3)), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.Chmod(filepath.Join(d.Dir, "open.log"), 0o666); err != nil {
		t.Fatal(err)
	}
	if out := d.Must("check"); !strings.Contains(out, "warning: tails[0].paths: its lines are believed as spoofable") || strings.Contains(out, "tails[1]") {
		t.Errorf("check prints:\n%s", out)
	}
	d.Start()
	rig.Eventually(t, 20*time.Second, "the file's owner is believed", func() bool { return len(d.Bans()) == 1 })
	rig.Eventually(t, 20*time.Second, "the open file's lines are refused", func() bool { return d.Source("open").Refused["below_min_trust"] == 3 })
	own := "kernel"
	if os.Geteuid() != 0 {
		own = "address"
	}
	if s, b := d.Source("own"), d.Bans()[0]; s.Trust != own || b.Trust != own || b.Address != offender+"/32" {
		t.Errorf("shown as %s, banned %s as %s, want %s", s.Trust, b.Address, b.Trust, own)
	}
	if s := d.Source("open"); s.Trust != "spoofable" || s.Failures != 0 {
		t.Errorf("a file that anybody may write: %+v", s)
	}
	if out := d.Must("sources"); !strings.Contains(out, "source open is believed as spoofable: "+d.Dir+"/open.log can be written by everybody") {
		t.Errorf("sources does not say why:\n%s", out)
	}
}
