package config

import (
	"fmt"
	"strings"
	"testing"
)

func TestFaultsAndTheirPlaces(t *testing.T) {
	const legalJail = "name, filter, enabled, enforce, apps, maxretry, findtime, bantime, increment, thresholds, key, weights, widen, ports, min_trust, origin, ignoreip, corroborate, verdict, notify"
	for _, c := range []struct{ name, text, want string }{
		{"unknown key with a neighbour", "lgo: {}", `1:1: lgo: unknown key "lgo"; did you mean "log"?`},
		{"unknown key without", "jails:\n- name: a\n  filter: sshd\n  zzz: 1", `4:3: jails[0].zzz: unknown key "zzz"; legal: ` + legalJail},
		{"key in another case", "jails:\n- {name: a, filter: sshd, MaxRetry: 1}", `2:27: jails[0].MaxRetry: unknown key "MaxRetry"; did you mean "maxretry"?`},
		{"key with other separators", "protect-lan: true", `1:1: protect-lan: unknown key "protect-lan"; did you mean "protect_lan"?`},
		{"key behind a tabless CRLF", "log:\r\n  level: info\r\n  lvl: x\r\n", `3:3: log.lvl: unknown key "lvl"; did you mean "level"?`},
		{"key behind wide characters", "log: {format: 'ä€', lvl: x}", `1:21: log.lvl: unknown key "lvl"; did you mean "level"?` + "\n" + `1:15: log.format: "ä€" is not one of auto, text, json`},
		{"duplicate key", "log: {level: info}\nstate_dir: /a\nlog: {}", `3:1: log: key "log" is written twice; first on line 1`},
		{"scalar for a mapping", "log: info", `1:6: log: is a single value ("info"); want a mapping with "level", "format", "target"`},
		{"list for a mapping", "log: [info]", `1:6: log: is a list; want a mapping with "level", "format", "target"`},
		{"mapping for a list", "never_ban: {a: b}", `1:12: never_ban: is a mapping; want a list, such as [a, b]`},
		{"scalar for a list", "never_ban: 192.0.2.1", `1:12: never_ban: is a single value ("192.0.2.1"); want a list, such as [a, b]`},
		{"list for a scalar", "state_dir: [a]", `1:12: state_dir: is a list; want a single value`},
		{"list for a union", "jails: [{name: a, filter: [b]}]", `1:27: jails[0].filter: is a list; want a name or a mapping with "failregex", "ignoreregex", "prefregex", "maxlines", "datepattern"`},
		{"scalar in a list of mappings", "tails: [a]", `1:9: tails[0]: is a single value ("a"); want a mapping with "name", "paths", "app", "from"`},
		{"a file that is a list", "- a", `1:1: is a list; want a mapping with "state_dir"`},
		{"a file that is a word", "hello", `1:1: is a single value ("hello"); want a mapping with "state_dir"`},
		{"scalar without value", "state_dir:", `1:1: state_dir: has no value; want a single value`},
		{"list item without value", "never_ban:\n- 192.0.2.1\n-\n", `3:1: never_ban[1]: has no value; want a single value`},
		{"boolean for text", "state_dir: true", `1:12: state_dir: true is a boolean where text is wanted; quote it if you mean the word`},
		{"yes for a boolean", "protect_lan: yes", `1:14: protect_lan: "yes" is not a boolean; did you mean true?`},
		{"off for a boolean", "protect_lan: off", `1:14: protect_lan: "off" is not a boolean; did you mean false?`},
		{"word for a boolean", "protect_lan: maybe", `1:14: protect_lan: "maybe" is not a boolean; legal: true, false`},
		{"quoted boolean", `protect_lan: "true"`, `1:14: protect_lan: "true" is text; write it without quotes`},
		{"octal number", "firewall: {ipv6_prefix: 010}", `1:25: firewall.ipv6_prefix: "010" can be read as octal or hexadecimal; write a decimal number without leading zero`},
		{"hexadecimal number", "firewall: {ipv6_prefix: 0x40}", `1:25: firewall.ipv6_prefix: "0x40" can be read as octal or hexadecimal; write a decimal number without leading zero`},
		{"octal mode", "listeners: [{name: a, transport: unix, path: /a, mode: 0666}]", `1:56: listeners[0].mode: 0666 can be read as octal; write it in quotes: "0666"`},
		{"number with underscore", "firewall: {ipv6_prefix: 6_4}", `1:25: firewall.ipv6_prefix: "6_4" is not a whole number`},
		{"fraction", "firewall: {ipv6_prefix: 64.5}", `1:25: firewall.ipv6_prefix: "64.5" is not a whole number`},
		{"quoted number", `firewall: {ipv6_prefix: "64"}`, `1:25: firewall.ipv6_prefix: "64" is text; write it without quotes`},
		{"number above its type", "jails: [{name: a, filter: b, origin: {uid: [4294967296]}}]", `1:45: jails[0].origin.uid[0]: "4294967296" is out of range; legal: 0 to 4294967295`},
		{"negative uid", "jails: [{name: a, filter: b, origin: {uid: [-1]}}]", `1:45: jails[0].origin.uid[0]: "-1" is out of range; legal: 0 to 4294967295`},
		{"zero that would mean absent", "defaults: {maxretry: 0, findtime: 0s}", `1:22: defaults.maxretry: "0" is out of range; leave the key out for the default` + "\n" + `1:35: defaults.findtime: "0s" is out of range; leave the key out for the default`},
		{"not a number", "defaults: {increment: {factor: .nan}}", `1:32: defaults.increment.factor: ".nan" is not a decimal number`},
		{"number too large", "defaults: {increment: {factor: 1e999}}", `1:32: defaults.increment.factor: "1e999" is out of range`},
		{"duration with a wrong unit", "defaults: {findtime: 10q}", `1:22: defaults.findtime: "10q": unknown unit "q"; legal: ns, us, ms, s, m, h, d, w, mo, y`},
		{"duration without number", "defaults: {findtime: soon}", `1:22: defaults.findtime: "soon" is not a duration; write 10m, 1d 12h or seconds`},
		{"duration below zero", "defaults: {findtime: -5m}", `1:22: defaults.findtime: "-5m" is negative; only -1 may be, which means permanent`},
		{"duration of centuries", "defaults: {findtime: 300y}", `1:22: defaults.findtime: "300y" is too long; at most 292 years, or -1 for permanent`},
		{"anchor", "log: &a {level: info}", `1:6: log: anchors and aliases are not read here; write the value out`},
		{"alias", "log: &a {level: info}\ncontrol: *a", `1:6: log: anchors and aliases are not read here; write the value out` + "\n" + `2:10: control: anchors and aliases are not read here; write the value out`},
		{"anchor of a list that holds itself", "jails: &a [*a]", `1:8: jails: anchors and aliases are not read here; write the value out`},
		{"merge key", "log:\n  <<: {level: info}", `2:3: log: merge keys are not read here; write the keys out`},
		{"tag", "state_dir: !!binary aGVsbG8=", `1:12: state_dir: the tag "!!binary" is not read here; remove it`},
		{"custom tag", "log: !env {level: info}", `1:6: log: the tag "!env" is not read here; remove it`},
		{"two documents", "log: {level: info}\n---\nlog: {level: debug}\n", `2:1: a second document; write one file for each, in conf.d`},
		{"directive", "%YAML 1.2\n---\nlog: {}\n", `1:1: directives are not read here; remove the line`},
		{"key that is a list", "? [a]\n: b\n", `2:1: cannot be read as YAML: `},
		{"key that is a number", "1: b\n", `1:1: a key must be a word`},
		{"open bracket", "jails: [a\n", `1:8: cannot be read as YAML: `},
		{"tab", "log:\n\tlevel: info\n", `2:1: cannot be read as YAML: `},
		{"NUL byte", "log: {}\n#\x00", `2:2: holds a NUL byte`},
		{"not UTF-8", "log: {}\n# \xff", `2:3: is not UTF-8 text`},
		{"deep", strings.Repeat("[", 33), `1:33: more than 32 levels of lists and mappings`},
		{"many keys", "log:\n" + strings.Repeat("  level: info\n", 501), `502:3: more than 500 keys in one mapping`},
		{"many words", strings.Repeat("-\n", 110_000), `: has 110000 words and signs; at most 100000 are read`},
		{"long words are cut", "log: {level: [], " + strings.Repeat("x", 500) + ": 1}", `1:18: log.` + strings.Repeat("x", 500) + `: unknown key "` + strings.Repeat("x", 80) + `"...; legal: level, format, target` + "\n1:14: log.level: is a list; want a single value"},
	} {
		t.Run(c.name, func(t *testing.T) {
			o := write(t, map[string]string{"": c.text})
			l, _ := Load(o)
			l.Check()
			got := short(o, l.Err())
			lines := strings.Split(got, "\n")
			wants := strings.Split(c.want, "\n")
			if len(lines) != len(wants) {
				t.Errorf("%d faults, want %d", len(lines), len(wants))
			}
			for _, want := range wants {
				if !strings.HasPrefix(want, ":") {
					want = ":" + want
				}
				if want = "stockade.yaml" + want; !strings.Contains("\n"+got, "\n"+want) {
					t.Errorf("got:\n%s\nwant:\n%s", got, want)
				}
			}
		})
	}
}

func TestEveryFaultOfEveryFileAtOnce(t *testing.T) {
	o := write(t, map[string]string{
		"":              "state_dri: /a\ndefaults: {findtime: 10q}\njails:\n  - {name: a, filter: sshd}\n  - {name: a, filter: sshd}\n",
		"conf.d/a.yaml": "jails:\n  - {name: b, filter: {failregex: ['x']}, maxretry: 0}\n",
		"conf.d/b.yaml": "listeners:\n  - {name: l, transport: upd, address: ':514'}\nsources: [{name: s, listener: m, jails: [c]}]\n",
	})
	o.Environ = []string{"STOCKADE_LOG_LEVL=debug", "STOCKADE_FIREWALL_IPV6_PREFIX=abc"}
	l, _ := Load(o)
	l.Check()
	l.Report("jails[2].filter.failregex[0]", SeverityError, "no <HOST>")
	l.Report("defaults.findtime", SeverityError, "an echo of what could not be decoded")
	l.Report("jails[0].filter", SeverityWarning, "only a warning")
	want := `$STOCKADE_FIREWALL_IPV6_PREFIX: firewall.ipv6_prefix: "abc" is not a whole number
$STOCKADE_LOG_LEVL: unknown variable; did you mean STOCKADE_LOG_LEVEL?
conf.d/a.yaml:2:36: jails[2].filter.failregex[0]: no <HOST>
conf.d/a.yaml:2:53: jails[2].maxretry: maxretry "0" must be between 1 and 100000
conf.d/b.yaml:2:26: listeners[0].transport: transport "upd" must be one of udp, tcp, tls, unix, unixgram, journal-upload; did you mean "udp"?
conf.d/b.yaml:3:31: sources[0].listener: unknown listener "m"
conf.d/b.yaml:3:42: sources[0].jails[0]: unknown jail "c"
stockade.yaml:1:1: state_dri: unknown key "state_dri"; did you mean "state_dir"?
stockade.yaml:2:22: defaults.findtime: "10q": unknown unit "q"; legal: ns, us, ms, s, m, h, d, w, mo, y
stockade.yaml:5:12: jails[1].name: jail "a" stands here a second time: jails[0] has the name`
	if got := short(o, l.Err()); got != want {
		t.Errorf("got:\n%s\nwant:\n%s", got, want)
	}
	warned := false
	for _, p := range l.Problems() {
		warned = warned || p.Severity == SeverityWarning && p.Message == "only a warning" && p.Line == 4
	}
	if !warned {
		t.Errorf("the warning is not among %v", l.Problems())
	}
}

func TestOverriddenFaultsAreTold(t *testing.T) {
	o := write(t, map[string]string{"": "log: {level: []}", "conf.d/a.yaml": "log: {level: debug}"})
	_, err := Load(o)
	if got, want := short(o, err), "stockade.yaml:1:14: log.level: is a list; want a single value"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
}

func TestFaultsAreBounded(t *testing.T) {
	o := write(t, map[string]string{"": "never_ban: [" + strings.Repeat("[],", 5000) + "]"})
	l, _ := Load(o)
	if p := l.Problems(); len(p) != maxProblems+1 || p[maxProblems].Message != "and 4000 more problems; the first 1000 are shown" {
		t.Errorf("%d problems, the last %v", len(p), p[len(p)-1])
	}
}

func TestOwnChecks(t *testing.T) {
	for _, c := range []struct{ name, text, want string }{
		{"relative state", "state_dir: var", `1:12: state_dir: "var" is not an absolute path`},
		{"long socket", "control: {socket: /" + strings.Repeat("a", 107) + "}", `1:19: control.socket: `},
		{"log level", "log: {level: inof}", `1:14: log.level: "inof" is not one of debug, info, warn, error; did you mean "info"?`},
		{"log format", "log: {format: xml}", `1:15: log.format: "xml" is not one of auto, text, json`},
		{"token without listener", "control: {token_file: /t}", `1:23: control.token_file: "/t" is for control.listen, which is not set`},
		{"control on an open port", "control: {listen: ':1'}", `1:19: control.listen: ":1" needs client_ca or token_file: anyone could unban there`},
		{"token in clear text", "control: {listen: '192.0.2.1:1', token_file: /t}", `1:19: control.listen: "192.0.2.1:1" needs cert and key: a token in clear text belongs on loopback only`},
		{"half a certificate", "control: {listen: '192.0.2.1:1', token_file: /t, cert: /c}", `1:19: control.listen: cert and key come together; one of them is missing`},
		{"no port", "control: {listen: localhost}", `1:19: control.listen: "localhost" is not host:port, such as 127.0.0.1:9273`},
		{"tail without paths", "tails: [{name: a}]", `1:9: tails[0]: paths is missing`},
		{"tail with a relative path", "tails: [{name: a, paths: [a.log]}]", `1:27: tails[0].paths[0]: "a.log" is not an absolute path`},
		{"tail with a bad pattern", "tails: [{name: a, paths: ['/a[']}]", `1:27: tails[0].paths[0]: "/a[" is not an absolute path`},
		{"tail from the middle", "tails: [{name: a, paths: [/a], from: middle}]", `1:38: tails[0].from: "middle" must be one of end, start`},
		{"tail twice", "tails: [{name: a, paths: [/a]}, {name: a, paths: [/b]}]", `1:40: tails[1].name: name "a" stands in the list twice`},
		{"journal name", "journals: [{name: A}]", `1:19: journals[0].name: name "A" must match`},
		{"journal match", "journals: [{name: a, matches: [ssh]}]", `1:32: journals[0].matches[0]: "ssh" is not FIELD=value`},
		{"never_ban", "never_ban: [192.0.2.1, 192.0.2.300]", `1:24: never_ban[1]: "192.0.2.300"`},
		{"proxies", "proxies: [example.net]", `1:11: proxies[0]: "example.net" is no address`},
		{"firewall", "firewall: {backend: iptables}", `1:21: firewall.backend: "iptables" is not one of`},
		{"source of a tail whose name is taken", "tails: [{name: a, paths: [/a]}, {name: b, paths: [/b]}]\nsources: [{name: b, tail: a, jails: ['*']}]", `1:33: sources[1].name: name "b" is already used`},
	} {
		t.Run(c.name, func(t *testing.T) {
			o := write(t, map[string]string{"": c.text})
			l, _ := Load(o)
			l.Check()
			if got := short(o, l.Err()); !strings.Contains("\n"+got, "\nstockade.yaml:"+c.want) {
				t.Errorf("got:\n%s\nwant:\n%s", got, c.want)
			}
		})
	}
}

func ExampleProblem_String() {
	fmt.Println(Problem{"stockade.yaml", 3, 5, "jails[0].findtime", SeverityError, `"10q": unknown unit "q"`})
	// Output: stockade.yaml:3:5: jails[0].findtime: "10q": unknown unit "q"
}
