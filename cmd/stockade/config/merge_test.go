package config

import (
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

func TestMerge(t *testing.T) {
	o := write(t, map[string]string{
		"": `
log: {level: info, format: json}
never_ban: [192.0.2.1]
proxies: [192.0.2.2]
jails:
  - name: sshd
    filter: sshd
    maxretry: 5
    ports: [22]
    ignoreip: [192.0.2.3]
    thresholds: [{maxretry: 9, findtime: 1d}]
  - {name: web, filter: {failregex: [a <HOST>], maxlines: 2}}
`,
		"conf.d/20-b.yaml": `
jails:
  - {name: web, filter: {ignoreregex: [b]}}
  - {name: new, filter: sshd}
  - {name: sshd, maxretry: 3, filter: {failregex: [c <HOST>]}}
never_ban: [192.0.2.5]
`,
		"conf.d/10-a.yaml": `
log: {level: debug}
never_ban: [192.0.2.4]
proxies: []
jails:
  - {name: sshd, ports: [2222], ignoreip: [192.0.2.6], findtime: 1m, thresholds: []}
`,
	})
	l := mustLoad(t, o)
	c := l.Config
	if c.Log != (LogConfig{"debug", "json", "stderr"}) {
		t.Errorf("log %+v", c.Log)
	}
	if want := []string{"192.0.2.1", "192.0.2.4", "192.0.2.5"}; !cmp.Equal(c.NeverBan, want) {
		t.Errorf("never_ban %q", c.NeverBan)
	}
	if len(c.Proxies) != 0 {
		t.Errorf("proxies %q", c.Proxies)
	}
	var names []string
	for _, j := range c.Jails {
		names = append(names, j.Name)
	}
	if want := []string{"sshd", "web", "new"}; !cmp.Equal(names, want) {
		t.Fatalf("jails %q", names)
	}
	ssh, web := c.Jails[0], c.Jails[1]
	if *ssh.MaxRetry != 3 || *ssh.FindTime != time.Minute || !cmp.Equal(ssh.Ports, []string{"2222"}) || len(ssh.Thresholds) != 0 ||
		!cmp.Equal(ssh.IgnoreIP, []string{"192.0.2.3", "192.0.2.6"}) || ssh.Filter.Name != "" || len(ssh.Filter.FailRegex) != 1 {
		t.Errorf("sshd %+v", ssh)
	}
	if len(web.Filter.FailRegex) != 1 || len(web.Filter.IgnoreRegex) != 1 || web.Filter.MaxLines != 2 {
		t.Errorf("web %+v", web)
	}

	var got []string
	dir := filepath.Dir(o.defaultFile) + "/"
	for _, o := range l.Overrides() {
		got = append(got, strings.ReplaceAll(o.String(), dir, ""))
	}
	want := []string{
		`log.level: "debug" (conf.d/10-a.yaml:2:14) replaces "info" (stockade.yaml:2:14)`,
		`proxies: "0 items" (conf.d/10-a.yaml:4:10) replaces "1 items" (stockade.yaml:4:10)`,
		`jails[0].ports: "1 items" (conf.d/10-a.yaml:6:25) replaces "1 items" (stockade.yaml:9:12)`,
		`jails[0].thresholds: "0 items" (conf.d/10-a.yaml:6:82) replaces "1 items" (stockade.yaml:11:17)`,
		`jails[0].maxretry: "3" (conf.d/20-b.yaml:5:28) replaces "5" (stockade.yaml:8:15)`,
		`jails[0].filter: "1 keys" (conf.d/20-b.yaml:5:39) replaces "sshd" (stockade.yaml:7:13)`,
	}
	if d := cmp.Diff(want, got); d != "" {
		t.Errorf("overrides (-want +got):\n%s", d)
	}

	for path, want := range map[string]string{
		"jails[0].maxretry":                "conf.d/20-b.yaml:5:28",
		"jails[0].findtime":                "conf.d/10-a.yaml:6:66",
		"jails[0].ignoreip[1]":             "conf.d/10-a.yaml:6:44",
		"jails[0].bantime":                 "stockade.yaml:6:5",
		"jails[0].filter.failregex[0]":     "conf.d/20-b.yaml:5:52",
		"jails[1].filter.failregex[0]":     "stockade.yaml:12:38",
		"jails[1].filter.ignoreregex[0]":   "conf.d/20-b.yaml:3:40",
		"jails[2]":                         "conf.d/20-b.yaml:4:5",
		"jails[2].origin.uid[3]":           "conf.d/20-b.yaml:4:5",
		"jails[7].name":                    "stockade.yaml:6:3",
		"never_ban[2]":                     "conf.d/20-b.yaml:6:13",
		"listeners":                        "stockade.yaml:1:1",
		"firewall.backend":                 "built-in default:6:21",
		"nonsense]].[x[":                   "stockade.yaml:1:1",
		"":                                 "stockade.yaml:1:1",
		"jails[99999999999999999999].name": "stockade.yaml:6:3",
	} {
		file, line, col := l.Origins.At(path)
		if got := strings.TrimPrefix((position{file, line, col}).String(), dir); got != want {
			t.Errorf("%q is at %s, want %s", path, got, want)
		}
	}
}

func TestItemsOfOneNameInOneFileStayTwo(t *testing.T) {
	o := write(t, map[string]string{"": "jails:\n- {name: a, filter: sshd}\n", "conf.d/a.yaml": "jails:\n- {name: b, filter: sshd}\n- {name: b, filter: sshd}\n- {name: a, maxretry: 1}\n"})
	l, _ := Load(o)
	l.Check()
	if got, want := short(o, l.Err()), `conf.d/a.yaml:3:10: jails[2].name: jail "b" stands here a second time: jails[1] has the name`; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
	if len(l.Config.Jails) != 3 || *l.Config.Jails[0].MaxRetry != 1 {
		t.Errorf("jails %+v", l.Config.Jails)
	}
}

func TestEmptyKeyOfALaterFileChangesNothing(t *testing.T) {
	l := mustLoad(t, write(t, map[string]string{"": "never_ban: [192.0.2.1]\nlog: {level: debug}", "conf.d/a.yaml": "never_ban:\nlog:\n"}))
	if len(l.Config.NeverBan) != 1 || l.Config.Log.Level != "debug" || len(l.Overrides()) != 0 {
		t.Errorf("%+v, overrides %v", l.Config, l.Overrides())
	}
}
