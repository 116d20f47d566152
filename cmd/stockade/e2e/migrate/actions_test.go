package migrate

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"stockade/cmd/stockade/e2e/rig"
)

const actionsConfig = `
firewall: {backend: observe}
listeners: [{name: local, transport: unixgram, path: "%DIR%/l.sock"}]
tails: [{name: log, paths: ["%DIR%/app.log"], app: app}]
sources: [{name: log, tail: log, jails: ["*"], quota: none}]
jails:
  - {name: app, filter: {failregex: ['^user <F-USER>.+?</F-USER> from <HOST>$']}, maxretry: 2}
ALLOW
actions:
  - {name: note, action: 'fail2ban:%DIR%/note.conf[mark="by $(id)"]', jails: [app]}
`

const noteAction = `[Definition]
actionstart = echo start <name> >> %DIR%/out/log
actionstop = echo stop >> %DIR%/out/log
actionban = echo "ban <ip> <failures> <restored> '<F-USER>'" >> %DIR%/out/log; printf '%%s\n' "<matches>" >> %DIR%/out/log
actionunban = echo unban <ip> >> %DIR%/out/log
`

// TestActionsBesideBans has the daemon run an action file for bans that hostile lines led to.
func TestActionsBesideBans(t *testing.T) {
	t.Parallel()
	rig.Program(t, "stockade")
	for _, allowed := range []bool{true, false} {
		config := strings.Replace(actionsConfig, "ALLOW", "", 1)
		if allowed {
			config = strings.Replace(actionsConfig, "ALLOW", "allow_shell_actions: true", 1)
		}
		d := rig.NewDaemon(t, "", config)
		out := filepath.Join(d.Dir, "out")
		if err := os.Mkdir(out, 0o777); err != nil {
			t.Fatal(err)
		}
		if err := os.Chmod(out, 0o777); err != nil { //nolint:gosec // the action runs as nobody
			t.Fatal(err)
		}
		for name, text := range map[string]string{"note.conf": noteAction, "app.log": ""} {
			if err := os.WriteFile(filepath.Join(d.Dir, name), []byte(strings.ReplaceAll(text, "%DIR%", d.Dir)), 0o644); err != nil { //nolint:gosec // as /etc/fail2ban is
				t.Fatal(err)
			}
		}
		d.Start()
		log := func() string {
			text, _ := os.ReadFile(filepath.Join(out, "log")) // missing: nothing ran
			return string(text)
		}
		const addr = "198.18.4.7"
		hostile := "x'; touch " + out + "/canary; echo '$(touch " + out + "/canary)`touch " + out + "/canary`"
		appendLines(t, filepath.Join(d.Dir, "app.log"), "user "+hostile+" from "+addr, "user "+hostile+" from "+addr)
		rig.Eventually(t, 30*time.Second, "the address is banned", func() bool { return bannedHere(d, "app", addr) })
		if allowed {
			rig.Eventually(t, 30*time.Second, "the action ran", func() bool { return strings.Count(log(), "canary") >= 3 })
			d.Must("unban", addr)
			rig.Eventually(t, 30*time.Second, "the action took it back", func() bool { return strings.Contains(log(), "unban "+addr+"\n") })
		}
		d.Stop()
		want := ""
		if allowed {
			line := "user " + hostile + " from " + addr + "\n"
			want = "start app\nban " + addr + " 2 0 '" + hostile + "'\n" + line + line + "unban " + addr + "\nstop\n"
		}
		if got := log(); got != want {
			t.Errorf("allowed %t: it wrote\n%s\nwant\n%s", allowed, got, want)
		}
		if _, err := os.Stat(out + "/canary"); err == nil {
			t.Error("a command of a line ran")
		}
	}
}
