package migrate

import (
	"bufio"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"stockade/cmd/stockade/e2e/rig"
)

const guide = "../../../../examples/from-fail2ban.md"

// guideCommands are the commands of the block that begins with "# move".
func guideCommands(t *testing.T) (list []string) {
	t.Helper()
	file, err := os.Open(guide)
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	inside := false
	for lines := bufio.NewScanner(file); lines.Scan(); {
		switch line := lines.Text(); {
		case strings.HasPrefix(line, "# move"):
			inside = true
		case strings.HasPrefix(line, "```"):
			inside = false
		case inside:
			list = append(list, line)
		}
	}
	return list
}

// TestGuide runs the commands of examples/from-fail2ban.md in their order, with Debian's own filter and
// action files and a ban that fail2ban itself has put into the kernel.
func TestGuide(t *testing.T) {
	t.Parallel()
	_, err := os.Stat("/etc/fail2ban/action.d/nftables-multiport.conf")
	rig.Require(t, err == nil, "needs /etc/fail2ban/action.d")
	ns := rig.NewNS(t)
	f := newFail2ban(t, ns, nil)
	for _, folder := range []string{"/filter.d", "/action.d"} {
		if err := os.CopyFS(f.dir+folder, os.DirFS("/etc/fail2ban"+folder)); err != nil {
			t.Fatal(err)
		}
	}
	f.write("jail.conf", "[DEFAULT]\nbackend = polling\nbantime = 1h\nmaxretry = 3\nfindtime = 10m\nignoreself = false\nfilter = %(__name__)s\nbanaction = nftables-multiport\n"+
		"action = %(banaction)s[port=\"%(port)s\"]\n[sshd]\nenabled = true\nport = ssh\nlogpath = %RUN%/auth.log\n[nginx-http-auth]\nport = http,https\nlogpath = %RUN%/error.log\n")
	f.writeRun("auth.log", "")
	f.start()
	const banned = "198.18.3.7"
	f.client("set", "sshd", "banip", banned)
	rig.Eventually(t, 30*time.Second, "fail2ban's own set holds the address", func() bool {
		out, _ := rig.InNS(ns, "nft", "list", "ruleset").Output()
		return strings.Contains(string(out), banned)
	})

	d := rig.NewDaemon(t, ns, "firewall: {backend: nftables}\n")
	ran := map[string]bool{}
	for _, command := range guideCommands(t) {
		words := strings.Fields(command)
		switch {
		case words[0] == "stockade":
			args := words[1:]
			if args[0] == "import" {
				args = append([]string{"import", "fail2ban", f.dir}, args[2:]...)
			}
			out, code := d.Run(args...)
			if code != 0 {
				t.Fatalf("%s exits with %d: %s", command, code, out)
			}
			ran[strings.Join(words[1:], " ")] = true
		case strings.Contains(command, "enable --now stockade"):
			d.Start()
		case strings.HasPrefix(command, "journalctl"):
			file := filepath.Join(d.Dir, "journal")
			if err := os.WriteFile(file, []byte(d.Log.String()), 0o644); err != nil { //nolint:gosec // a copy for the verb
				t.Fatal(err)
			}
			out, code := d.Run("compare", f.run+"/fail2ban.log", "--log", file)
			if code != 0 || !strings.Contains(out, "bans by both") {
				t.Fatalf("%s exits with %d: %s", command, code, out)
			}
			ran["compare"] = true
		case strings.Contains(command, "disable --now fail2ban"):
			if !heldAnywhere(t, ns, banned) {
				t.Error("stockade does not hold the ban before fail2ban ends")
			}
			f.stop()
			ran["stop"] = true
		default:
			t.Errorf("the guide has a command that is not tried: %s", command)
		}
	}
	for _, want := range []string{"import fail2ban --dry-run", "import fail2ban", "check", "import fail2ban --bans", "compare", "stop"} {
		if !ran[want] {
			t.Errorf("the guide lacks %q", want)
		}
	}
	if !heldAnywhere(t, ns, banned) {
		t.Error("the ban is gone after the switch")
	}
	if bans := d.Bans(); len(bans) != 1 || bans[0].Jail != "sshd" || !strings.HasPrefix(bans[0].Address, banned) || !bans[0].Enforced {
		t.Errorf("bans %+v", bans)
	}
}

// heldAnywhere reports whether a set of Stockade's table has the address, on whatever ports.
func heldAnywhere(t *testing.T, ns, addr string) bool {
	t.Helper()
	out, _ := rig.InNS(ns, "nft", "list", "table", "inet", "stockade").Output()
	return strings.Contains(string(out), addr)
}
