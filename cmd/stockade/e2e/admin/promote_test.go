package admin

import (
	"encoding/json"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"stockade/cmd/stockade/e2e/rig"
)

const shadowConfig = `listeners: [{name: stream, transport: unix, path: "%DIR%/in.sock", mode: "0666"}]
sources: [{name: here, listener: stream, jails: ["*"], quota: none}]
jails:
  - {name: app, filter: {failregex: ['^failed login from <HOST>$']}, apps: [app], maxretry: 2, enforce: false}
firewall: {backend: observe}
`

// TestPromote makes a jail enforce for good: a file is written, the recorded bans hold, and a restart
// finds it so. What cannot be done leaves no file behind.
func TestPromote(t *testing.T) {
	d := rig.NewDaemon(t, "", shadowConfig).Start()
	conn, err := net.Dial("unix", filepath.Join(d.Dir, "in.sock"))
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	for range 2 {
		fmt.Fprint(conn, "<38>Nov 24 10:00:00 host app: failed login from 198.18.0.1\n")
	}
	rig.Eventually(t, 30*time.Second, "the ban is recorded", func() bool { return d.Jail("app").BannedCurrent == 1 })
	file := filepath.Join(d.Dir, "conf.d", "zz-promote-app.yaml")

	if out := d.Must("promote", "app", "--dry-run"); !strings.Contains(out, "jail app only reports: 1 ban would hold now") {
		t.Errorf("dry run:\n%s", out)
	}
	if _, err := os.Stat(file); err == nil {
		t.Fatal("a dry run wrote the file")
	}

	// A file that is read later says otherwise: nothing is written.
	later := filepath.Join(d.Dir, "conf.d", "zzz.yaml")
	if err := os.Mkdir(filepath.Dir(later), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(later, []byte("jails:\n  - {name: app, enforce: false}\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	if out, code := d.Run("promote", "app"); code != 2 || !strings.Contains(out, later+":2:26 is read later and says enforce: false") {
		t.Errorf("exit %d\n%s", code, out)
	}
	if err := os.WriteFile(later, []byte("jails: nonsense\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	if out, code := d.Run("promote", "app"); code != 2 || !strings.Contains(out, later+":1:8:") {
		t.Errorf("exit %d\n%s", code, out)
	}
	if entries, err := os.ReadDir(filepath.Dir(later)); err != nil || len(entries) != 1 {
		t.Errorf("left behind: %v, %v", entries, err)
	}
	if err := os.Remove(later); err != nil {
		t.Fatal(err)
	}

	var answer struct {
		Shadow struct{ Bans []any }
		File   string
		Reload struct {
			Promoted []struct {
				Jail          string
				Began, Spared int
			}
		}
	}
	if err := json.Unmarshal([]byte(d.Must("promote", "app", "--json")), &answer); err != nil {
		t.Fatal(err)
	}
	if p := answer.Reload.Promoted; answer.File != file || len(answer.Shadow.Bans) != 1 || len(p) != 1 || p[0].Began != 1 || p[0].Spared != 0 {
		t.Errorf("answer: %+v", answer)
	}
	if out := d.Must("jails", "--json"); !strings.Contains(out, `"enforce":true`) {
		t.Errorf("jails: %s", out)
	}
	if out, code := d.Run("promote", "app"); code != 1 || !strings.Contains(out, "is no shadow jail") {
		t.Errorf("a second time: exit %d\n%s", code, out)
	}
	d.Stop()
	d.Start()
	if out := d.Must("jails", "--json"); !strings.Contains(out, `"enforce":true`) || len(d.Bans()) != 1 {
		t.Errorf("after a restart: %s", out)
	}
	d.Stop()
}
