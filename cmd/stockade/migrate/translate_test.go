package migrate

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// folder writes files of a fail2ban folder.
func folder(t *testing.T, files map[string]string) string {
	t.Helper()
	dir := t.TempDir()
	for name, text := range files {
		path := filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

// translated is the file and the report of a folder.
func translated(t *testing.T, o Options, files map[string]string) (text, report string) {
	t.Helper()
	dir := folder(t, files)
	s, err := Read(dir)
	if err != nil {
		t.Fatal(err)
	}
	r, err := Translate(s, o)
	if err != nil {
		t.Fatal(err)
	}
	again, err := Translate(s, o)
	if err != nil || string(again.Text) != string(r.Text) {
		t.Error("the same folder gives another file")
	}
	return strings.ReplaceAll(string(r.Text), dir, "DIR"), strings.ReplaceAll(r.Report.Text(), dir, "DIR")
}

const flask = "[Definition]\nfailregex = ^<HOST> <port-word> x$\nport-word = GET\n"

func TestTranslate(t *testing.T) {
	const head = "[DEFAULT]\nenabled = true\nfilter = flask\nlogpath = /var/log/flask/access.log\naction = nftables[port=\"%(port)s\", protocol=\"%(protocol)s\"]\nport = 80\nprotocol = tcp\n"
	for _, tc := range []struct {
		name string
		jail string // sections
		text []string
		says []string
		not  []string
	}{
		{"ports by name, range and protocol", "[a]\nport = ssh,http,6000:6010\n[b]\nprotocol = udp\nport=53\n[c]\nprotocol = tcp,udp\nport = 5060\n[d]\nport = 0:65535\n[e]\nport = nosuchservice\n",
			[]string{"ports: ['22/tcp', '6000-6010/tcp', '80/tcp']", "ports: ['53/udp']", "ports: ['5060']"}, []string{`no port is called "nosuchservice"`}, nil},
		{"numbers and times", "[a]\nmaxretry = 7\nfindtime = 1d 12h\nbantime = -1\n[b]\nbantime = 60*60*24\n",
			[]string{"maxretry: 7", "findtime: '1d 12h'", "bantime: -1", "bantime: 86400"}, nil, nil},
		{"flat bans", "[a]\n", []string{"increment: {enabled: false}"}, nil, nil},
		{"growing bans", "[a]\nbantime.increment = true\nbantime.factor = 1/2\nbantime.maxtime = 5w\nbantime.rndtime = 300\nbantime.overalljails = yes\n" +
			"[b]\nbantime.increment = 1\nbantime.multipliers = 1 2 4 8\n[c]\nbantime.increment = true\nbantime.formula = ban.Time * math.exp(2)\n",
			[]string{"{enabled: true, multipliers: [], factor: 0.5, maxtime: 5w, rndtime: 300, overalljails: true}", "multipliers: [1, 2, 4, 8]"},
			[]string{"a formula is a program in Python"}, nil},
		{"whom to ignore", "[a]\nignoreip = 127.0.0.1/8 ::1, 192.0.2.0/255.255.255.0 host.example.net file:///etc/allow nonsense!\nignorecommand = /bin/x <ip>\nignoreself = false\n",
			[]string{"ignoreip: ['192.0.2.0/24', 'file:/etc/allow']", "never_ban: [host.example.net]"},
			[]string{"loopback is never banned", "no program runs for a line", "ignoreself = false", "it names no such thing"}, nil},
		{"names are not looked up", "[a]\nusedns = warn\n[b]\nusedns = no\n[c]\nusedns = raw\n", []string{"[usedns=raw]"}, []string{"usedns = warn → names are never looked up", "usedns = raw → names are counted"}, nil},
		{"patterns of the jail", "[a]\nfailregex = ^mine <HOST>$\n    ^other \"<HOST>\"$\nignoreregex = '\n[b]\nfailregex = \"'<HOST>\n",
			[]string{`failregex='^mine <HOST>$\n^other \"<HOST>\"$'`, "enabled: false"}, []string{"they hold both kinds of quotes"}, nil},
		{"names of jails", "[My_Jail.x]\n[my-jail-x]\n", []string{"name: my-jail-x\n", "name: my-jail-x-2\n"}, []string{"My_Jail.x → my-jail-x"}, nil},
		{"verdicts", "[a]\naction = nftables[blocktype=drop]\n[b]\naction = iptables-allports[blocktype=\"REJECT --x\"]\n[c]\naction = iptables[blocktype=ACCEPT]\n",
			[]string{"verdict: drop", "verdict: reject", "enforce: false"}, []string{"the jail lets addresses in"}, nil},
		{"mail and lists", "[a]\naction = nftables\n  sendmail-whois[dest=\"x@example.net, y\", sender=f]\n  hostsdeny\n[b]\n",
			[]string{"type: mail", "to: [x@example.net, y@gate]", "from: f@gate", "type: file", "notify: [f2b-mail, f2b-hosts]", "notify: []"}, []string{"not looked up", "/etc/hosts.deny once"}, nil},
		{"only mail", "[a]\naction = mail[dest=root]\n", []string{"enforce: false"}, []string{"reports and blocks nothing"}, nil},
		{"compat actions", "[a]\naction = nftables\n  tell[key=\"s3cret\"]\n[b]\naction = evil\n[c]\naction = smtp.py[host=x]\n  own.py\n",
			[]string{"action: 'fail2ban:DIR/action.d/tell.conf[key=s3cret, name=a]'", "jails: [a]", "server: 'x:25'"},
			[]string{"allow_shell_actions: true", "cannot stand in it", "a program in Python"}, []string{"evil-b"}},
		{"the journal", "[a]\nbackend = systemd\nlogpath =\n[b]\nbackend = systemd[journalfiles=x]\n", []string{"journals:\n  - name: f2b-a\n    matches: ['_COMM=flask']", "jails: [a, b]"}, nil, []string{"tails:"}},
		{"files are shared, folders of archives left", "[a]\nlogpath = /var/log/a.log\n  /var/log/b/*.log tail\n[b]\nlogpath = /var/log/a.log\n  /var/log/b/*.log\n[c]\nlogpath = rel.log\n[d]\nlogpath = /x.gz\n",
			[]string{"paths: [/var/log/a.log, '/var/log/b/*.log']", "jails: [a, b]"}, []string{"write an absolute path", "stockade replay", "the jail reads nothing"}, nil},
		{"recidive", "[r]\nfilter = recidive\nlogpath = /var/log/fail2ban.log\n", []string{"filter: recidive\n"}, []string{"counts Stockade's own bans"}, []string{"tails:"}},
		{"chain", "[a]\naction = iptables[chain=DOCKER-USER]\n", nil, []string{"chain = DOCKER-USER → prerouting"}, nil},
		{"jails that are off stay away", "[a]\n[b]\nenabled = false\n", nil, []string{"off in fail2ban, not moved: b"}, []string{"name: b"}},
	} {
		text, report := translated(t, Options{Hostname: "gate"}, map[string]string{
			"jail.conf": head + tc.jail, "filter.d/flask.conf": flask + "journalmatch = _COMM=flask\n", "filter.d/recidive.conf": "[Definition]\nfailregex = Ban <HOST>\n",
			"action.d/tell.conf": "[Definition]\nactionban = curl -H \"<key>\" --data \"<matches>\" x\n", "action.d/evil.conf": "[Definition]\nactionban = sh -c \"<matches>\"\n",
			"action.d/smtp.py": "", "action.d/own.py": "",
		})
		for _, want := range tc.text {
			if !strings.Contains(text, want) {
				t.Errorf("%s: the file lacks %q:\n%s", tc.name, want, text)
			}
		}
		for _, want := range tc.says {
			if !strings.Contains(report, want) {
				t.Errorf("%s: the report lacks %q:\n%s", tc.name, want, report)
			}
		}
		for _, not := range tc.not {
			if strings.Contains(text, not) {
				t.Errorf("%s: the file has %q:\n%s", tc.name, not, text)
			}
		}
	}
}

// TestLayers goes through the traps of fail2ban's configuration language.
func TestLayers(t *testing.T) {
	text, _ := translated(t, Options{}, map[string]string{
		"paths-x.conf":         "[DEFAULT]\nweb_log = /var/log/x.log\nsecond = %(web_log)s\n",
		"jail.conf":            "[INCLUDES]\nbefore = paths-x.conf\n        paths-missing.conf\n[DEFAULT]\nfilter = %(__name__)s[mode=%(mode)s]\nmode = normal\naction =\nmaxretry = 5 ; inline\n# comment\n[web]\nport: 80\nlogpath = %(web_log)s\n# a comment inside\n   /var/log/more.log\n[mail]\nmode = aggressive\nlogpath = %(web_log)s\n",
		"jail.d/10-first.conf": "[web]\nenabled = true\nmaxretry = 6\n",
		"jail.d/20-next.conf":  "[web]\nmaxretry = 7\n[mail]\nenabled = on\n",
		"jail.local":           "[web]\nlogpath = %(known/logpath)s\n  /var/log/own.log\nfindtime = 10%%\n",
		"jail.d/30-last.local": "[web]\nfindtime = 99\n[mail]\nfailregex = %(known/failregex)s\n  ^own <HOST>$\n",
		"filter.d/web.conf":    "[Definition]\nfailregex = ^<mode> <HOST>$\n",
		"filter.d/mail.conf":   "[Definition]\nfailregex = <re-<mode>>\nre-normal = ^n <HOST>$\nre-aggressive = ^a <HOST>$\n",
		"filter.d/mail.local":  "[Definition]\nre-aggressive = ^local <HOST>$\n",
	})
	for _, want := range []string{
		"maxretry: 7", "findtime: 99", "maxretry: 5", "paths: [/var/log/x.log, /var/log/more.log, /var/log/own.log]",
		"filter: 'fail2ban:DIR/filter.d/web.conf[mode=normal]'", `failregex=\"^local <HOST>$\n^own <HOST>$\", mode=aggressive`,
	} {
		if !strings.Contains(text, want) {
			t.Errorf("the file lacks %q:\n%s", want, text)
		}
	}
}
