package admin

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"stockade/cmd/stockade/config"
	"stockade/cmd/stockade/control"
	"stockade/cmd/stockade/daemon"
	"stockade/cmd/stockade/e2e/rig"
)

const mutatedConfig = `listeners:
  - {name: stream, transport: unix, path: "%DIR%/in.sock", mode: "0666"}
  - {name: quiet, transport: unixgram, path: "%DIR%/quiet.sock"}
tails:
  - {name: web-log, paths: ["%DIR%/*.log"], app: nginx}
sources:
  - {name: here, listener: stream, jails: [app, sshd], quota: none}
  - name: there
    listener: quiet
    uid: [0]
    hostnames: [there]
    apps: [app]
    jails: ["*"]
    expect_every: 30d
    quota: {bans_per_minute: 60, burst: 120, over: quarantine}
defaults: {maxretry: 5, findtime: 1h, bantime: 6h, increment: {enabled: true, multipliers: [1, 4, 24]}}
jails:
  - name: app
    filter: {failregex: ['^failed login from <HOST>$'], ignoreregex: ['192\.0\.2\.9']}
    apps: [app]
    maxretry: 3
    ignoreip: [198.51.100.0/24, "2001:db8::/32"]
    ports: [22, 443/tcp]
  - name: sshd
    filter: sshd
    enabled: true
    enforce: false
    bantime: -1
    min_trust: address
    origin: {uid: [0]}
never_ban: [203.0.113.7, 203.0.113.128/25]
proxies: [192.0.2.1]
protect_lan: true
log: {level: info, format: json}
firewall: {backend: %BACKEND%, verdict: drop}
`

// mutate spoils a text in one place, as a hurried hand does.
func mutate(r *rand.Rand, text string) string {
	lines := strings.Split(strings.TrimSuffix(text, "\n"), "\n")
	i := r.IntN(len(lines))
	words := strings.FieldsFunc(lines[i], func(c rune) bool { return strings.ContainsRune(" {}[],'\"", c) })
	word := ""
	if len(words) > 0 {
		word = words[r.IntN(len(words))]
	}
	at := strings.Index(lines[i], word)
	instead := func(with string) { lines[i] = lines[i][:at] + with + lines[i][at+len(word):] }
	switch r.IntN(9) {
	case 0: // a letter is missing
		if word != "" {
			n := r.IntN(len(word))
			instead(word[:n] + word[n+1:])
		}
	case 1: // two letters change places
		if len(word) > 1 {
			n := r.IntN(len(word) - 1)
			instead(word[:n] + word[n+1:n+2] + word[n:n+1] + word[n+2:])
		}
	case 2:
		instead([]string{"zzz", "-7", "10 parsecs", "[]", "{}", "yes", "0777", "*a", "1e9", "''"}[r.IntN(10)])
	case 3: // a bracket, a quote, a colon is lost
		if marks := []string{"{", "}", "[", "]", "'", "\"", ":", ","}; true {
			lines[i] = strings.Replace(lines[i], marks[r.IntN(len(marks))], "", 1)
		}
	case 4:
		lines[i] = " " + lines[i]
	case 5:
		lines[i] = "\t" + lines[i]
	case 6:
		lines = slices.Insert(lines, i, lines[i])
	case 7:
		lines = slices.Delete(lines, i, i+1)
	case 8:
		instead(word + word)
	}
	return strings.Join(lines, "\n") + "\n"
}

// TestMutatedConfigurationsChangeNothing gives a running daemon 200 configurations with a fault: each
// is refused with the place of every fault, as check refuses it, and neither the kernel nor the state
// nor the jails change.
func TestMutatedConfigurationsChangeNothing(t *testing.T) {
	ns, backend := "", "observe"
	if os.Geteuid() == 0 {
		ns, backend = rig.NewNS(t), "nftables"
	}
	good := strings.ReplaceAll(mutatedConfig, "%BACKEND%", backend)
	d := rig.NewDaemon(t, ns, good).Start()
	conn, err := net.Dial("unix", filepath.Join(d.Dir, "in.sock"))
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	sent := 0
	fail := func(address string, n int) {
		t.Helper()
		for range n {
			fmt.Fprintf(conn, "<38>Nov 24 10:00:00 host app: failed login from %s\n", address)
		}
		sent += n
		rig.Eventually(t, 30*time.Second, "the failures are counted", func() bool { return d.Source("here").Failures == int64(sent) })
		d.Must("ping") // a worker answers when it is done with the lines: a failure is counted before its ban
	}
	fail("198.18.0.1", 3)
	fail("198.18.0.2", 2)
	d.Must("ban", "198.18.0.9", "--for", "1d")
	if ns != "" { // shown once the disk has it, too
		rig.Eventually(t, 30*time.Second, "both bans are enforced", func() bool {
			bans := d.Bans()
			return len(bans) == 2 && bans[0].Enforced && bans[1].Enforced
		})
	}
	c, err := d.Dial()
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	before := everything(t, d, ns)
	r := rand.New(rand.NewPCG(9, 9))
	texts := map[string]bool{}
	for refused := 0; refused < 200; {
		text := mutate(r, good)
		if texts[text] || text == good {
			continue
		}
		texts[text] = true
		d.Rewrite(text)
		want := places(d.Config)
		if len(want) == 0 {
			continue // another good one
		}
		refused++
		_, err := c.Reload(t.Context(), control.ReloadRequest{})
		var e *control.Error
		if !errors.As(err, &e) || e.Code != control.CodeBadConfig {
			t.Fatalf("reload = %v, want %q of\n%s", err, want, text)
		}
		var got []string
		for _, p := range e.Problems {
			if p.Severity == "error" {
				got = append(got, fmt.Sprintf("%s:%d:%d: %s", p.File, p.Line, p.Column, p.Message))
			}
			if p.File != d.Config || p.Line < 1 || p.Column < 1 {
				t.Errorf("a fault without a place: %+v of\n%s", p, text)
			}
		}
		if !slices.Equal(got, want) {
			t.Errorf("reload says\n%s\ncheck says\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
		}
		if refused%50 == 0 {
			d.Rewrite(good) // it tells the verbs where the socket is
			if after := everything(t, d, ns); after != before {
				t.Fatalf("after %d refused configurations:\n%s\nbefore:\n%s", refused, after, before)
			}
		}
	}
	t.Logf("%d texts for 200 with a fault", len(texts))
	// What needs a restart, or cannot be opened, has a place too.
	for what, with := range map[string][2]string{
		"firewall.verdict: cannot change":     {"verdict: drop", "verdict: reject"},
		"listeners[1]: ":                      {"%DIR%/quiet.sock", "%DIR%/none/quiet.sock"},
		"log.target: open the log's target: ": {"format: json", "format: json, target: /proc/none"},
	} {
		d.Rewrite(strings.Replace(good, with[0], with[1], 1))
		if out, code := d.Run("reload"); code != 2 || !strings.Contains(out, what) || !strings.HasPrefix(out, d.Config+":") {
			t.Errorf("%s: exit %d\n%s", what, code, out)
		}
	}
	d.Rewrite(good)
	if after := everything(t, d, ns); after != before {
		t.Errorf("after all:\n%s\nbefore:\n%s", after, before)
	}
	d.Must("reload")
	conn2, err := net.Dial("unix", filepath.Join(d.Dir, "in.sock"))
	if err != nil {
		t.Fatal(err)
	}
	defer conn2.Close()
	conn = conn2
	fail("198.18.0.2", 1)
	if j := d.Jail("app"); j.BannedCurrent != 2 {
		t.Errorf("the window did not live on: %+v", j)
	}
	d.Stop()
}

// places are the errors that check finds, each with its place.
func places(file string) (list []string) {
	for _, p := range daemon.Check(daemon.CheckOptions{Config: file}) {
		if p.Severity == config.SeverityError {
			list = append(list, fmt.Sprintf("%s:%d:%d: %s", p.File, p.Line, p.Column, p.Message))
		}
	}
	return list
}

// everything is what a daemon holds: in the kernel, in its state, of its configuration.
func everything(t *testing.T, d *rig.Daemon, ns string) string {
	t.Helper()
	parts := []string{d.Must("bans", "--json"), d.Must("jails", "--json"), d.Ask("explain", "198.18.0.2"), d.Must("status", "app", "--json")}
	if ns != "" {
		rules := rig.Sh(t, ns, "nft", "-s", "list", "table", "inet", "stockade")
		var kept []string
		for line := range strings.Lines(rules) {
			kept = append(kept, expires.ReplaceAllString(line, ""))
		}
		parts = append(parts, strings.Join(kept, ""))
	}
	return strings.Join(parts, "\n")
}

// expires is how long an element still holds, which changes by itself.
var expires = regexp.MustCompile(` expires [0-9a-z]+`)
