package jails

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

func ptr[T any](v T) *T { return &v }

func TestValidate(t *testing.T) {
	list := filepath.Join(t.TempDir(), "allow.txt")
	if err := os.WriteFile(list, []byte("192.0.2.1 # web\n\n# all\nweb1.lan\n2001:db8::/33\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, tc := range []struct {
		name     string
		defaults DefaultsConfig
		change   func(*Config)
		path     string // "": no fault
		want     string // a piece of the message
	}{
		{name: "a plain jail is right"},
		{name: "a permanent ban is right", change: func(c *Config) { c.BanTime = ptr(time.Duration(-1)) }},
		{name: "findtime of a year is right", change: func(c *Config) { c.FindTime = ptr(year) }},
		{name: "findtime of zero", change: func(c *Config) { c.FindTime = ptr(time.Duration(0)) }, path: "jails[0].findtime", want: `findtime "0s" must be between 1s and 1y`},
		{name: "findtime of more than a year", change: func(c *Config) { c.FindTime = ptr(year + 1) }, path: "jails[0].findtime", want: "between 1s and 1y"},
		{name: "maxretry of zero", change: func(c *Config) { c.MaxRetry = ptr(0) }, path: "jails[0].maxretry", want: `maxretry "0" must be between 1 and 100000`},
		{name: "maxretry too large", change: func(c *Config) { c.MaxRetry = ptr(100001) }, path: "jails[0].maxretry", want: "100001"},
		{name: "bantime of half a second", change: func(c *Config) { c.BanTime = ptr(time.Second / 2) }, path: "jails[0].bantime", want: "-1 for a permanent ban"},
		{name: "negative default", defaults: DefaultsConfig{MaxRetry: -2}, path: "defaults.maxretry", want: `"-2"`},
		{name: "default findtime too short", defaults: DefaultsConfig{FindTime: 1}, path: "defaults.findtime", want: `"1ns"`},
		{name: "default multiplier of zero", defaults: DefaultsConfig{Increment: IncrementConfig{Multipliers: []int{1, 0}}}, path: "defaults.increment.multipliers[1]", want: "between 1 and"},
		{name: "no name", change: func(c *Config) { c.Name = "" }, path: "jails[0].name", want: `jail name ""`},
		{name: "upper-case name", change: func(c *Config) { c.Name = "SSHd_x" }, path: "jails[0].name", want: `did you mean "sshd-x"?`},
		{name: "name with a dash first", change: func(c *Config) { c.Name = "-x" }, path: "jails[0].name", want: "lower-case"},
		{name: "no filter", change: func(c *Config) { c.Filter = FilterConfig{} }, path: "jails[0].filter", want: "has no filter"},
		{name: "bad port", change: func(c *Config) { c.Ports = []string{"22", "ssh"} }, path: "jails[0].ports[1]", want: `port "ssh"`},
		{name: "bad protocol", change: func(c *Config) { c.Ports = []string{"22/icmp"} }, path: "jails[0].ports[0]", want: "tcp or udp"},
		{name: "bad trust", change: func(c *Config) { c.MinTrust = "kernle" }, path: "jails[0].min_trust", want: `did you mean "kernel"?`},
		{name: "trust of none", change: func(c *Config) { c.MinTrust = "none" }, path: "jails[0].min_trust", want: "spoofable"},
		{name: "bad verdict", change: func(c *Config) { c.Verdict = "rejct" }, path: "jails[0].verdict", want: `did you mean "reject"?`},
		{name: "bad corroborate", change: func(c *Config) { c.Corroborate = -1 }, path: "jails[0].corroborate", want: "between 1 and"},
		{name: "bad ignoreip", change: func(c *Config) { c.IgnoreIP = []string{"192.0.2.1", "192.0.2.256"} }, path: "jails[0].ignoreip[1]", want: `"192.0.2.256"`},
		{name: "mistyped address in ignoreip", change: func(c *Config) { c.IgnoreIP = []string{"web1.lan", "192.0.2.300"} }, path: "jails[0].ignoreip[1]", want: "not an address"},
		{name: "every address in ignoreip", change: func(c *Config) { c.IgnoreIP = []string{"::/0"} }, path: "jails[0].ignoreip[0]", want: "every address"},
		{name: "missing file", change: func(c *Config) { c.IgnoreIP = []string{"file:/no/such/file"} }, path: "jails[0].ignoreip[0]", want: "no such file"},
		{name: "bad line in a file", change: func(c *Config) { c.IgnoreIP = []string{"file:" + list} }, path: "jails[0].ignoreip[0]", want: "allow.txt:4:"},
		{name: "exe without uid", change: func(c *Config) { c.Origin = &OriginConfig{Exe: "/usr/sbin/sshd"} }, path: "jails[0].origin.exe", want: "needs a uid"},
		{name: "empty origin", change: func(c *Config) { c.Origin = &OriginConfig{} }, path: "jails[0].origin", want: "demands nothing"},
		{name: "bad app pattern", change: func(c *Config) { c.Apps = []string{"sshd[", "x"} }, path: "jails[0].apps[0]", want: `"sshd["`},
		{name: "bad threshold", change: func(c *Config) { c.Thresholds = []ThresholdConfig{{MaxRetry: 5}, {MaxRetry: -1}} }, path: "jails[0].thresholds[1].maxretry", want: `"-1"`},
		{name: "threshold twice", change: func(c *Config) { c.Thresholds = []ThresholdConfig{{MaxRetry: 7}, {MaxRetry: 7, BanTime: time.Hour}} }, path: "jails[0].thresholds[1]", want: "thresholds[0] already"},
		{name: "two thresholds are right", change: func(c *Config) { c.Thresholds = []ThresholdConfig{{MaxRetry: 5}, {MaxRetry: 20, FindTime: day}} }},
		{name: "an unknown key", change: func(c *Config) { c.Key = "prefixes" }, path: "jails[0].key", want: `did you mean "prefix"?`},
		{name: "key prefix without ports", change: func(c *Config) { c.Key = "prefix" }, path: "jails[0].ports", want: "needs ports"},
		{name: "key prefix with ports is right", change: func(c *Config) { c.Key, c.Ports = "prefix", []string{"22"} }},
		{name: "key user is right", change: func(c *Config) { c.Key = "user" }},
		{name: "a weight of 0 is right", change: func(c *Config) { c.Weights = []int{0, 1, 1000} }},
		{name: "a negative weight", change: func(c *Config) { c.Weights = []int{1, -1} }, path: "jails[0].weights[1]", want: `weight "-1" must be between 0 and 1000`},
		{name: "widen without ports", change: func(c *Config) { c.Widen = &WidenConfig{} }, path: "jails[0].widen", want: "widen needs ports"},
		{name: "widen with ports is right", change: func(c *Config) { c.Widen, c.Ports = &WidenConfig{V4: 28, V6: 56, Members: 3}, []string{"22"} }},
		{name: "widen too wide", change: func(c *Config) { c.Widen, c.Ports = &WidenConfig{V4: 23}, []string{"22"} }, path: "jails[0].widen.v4", want: `v4 "23" must be between 24 and 31 bits`},
		{name: "widen too wide for IPv6", change: func(c *Config) { c.Widen, c.Ports = &WidenConfig{V6: 47}, []string{"22"} }, path: "jails[0].widen.v6", want: "between 48 and 63"},
		{name: "widen with two members", change: func(c *Config) { c.Widen, c.Ports = &WidenConfig{Members: 2}, []string{"22"} }, path: "jails[0].widen.members", want: "between 3 and 256"},
		{name: "widen of a prefix", change: func(c *Config) { c.Key, c.Widen, c.Ports = "prefix", &WidenConfig{}, []string{"22"} }, path: "jails[0].widen", want: `not "prefix"`},
		{name: "factor that is no number", change: func(c *Config) { c.Increment = &IncrementConfig{Factor: -0.5} }, path: "jails[0].increment.factor", want: "-0.5"},
		{name: "maxtime too short", change: func(c *Config) { c.Increment = &IncrementConfig{MaxTime: 5} }, path: "jails[0].increment.maxtime", want: `"5ns"`},
		{name: "negative rndtime", change: func(c *Config) { c.Increment = &IncrementConfig{RndTime: -5} }, path: "jails[0].increment.rndtime", want: `"-5ns"`},
	} {
		t.Run(tc.name, func(t *testing.T) {
			c := Config{Name: "sshd", Filter: FilterConfig{Name: "sshd"}}
			if tc.change != nil {
				tc.change(&c)
			}
			var faults []string
			Validate(tc.defaults, []Config{c}, func(path, message string) {
				faults = append(faults, path+": "+message)
			})
			if tc.path == "" {
				if len(faults) > 0 {
					t.Fatalf("faults %q", faults)
				}
				if _, err := New(tc.defaults, c, os.ReadFile); err != nil {
					t.Fatal(err)
				}
				return
			}
			if len(faults) != 1 || !strings.HasPrefix(faults[0], tc.path+": ") || !strings.Contains(faults[0], tc.want) {
				t.Fatalf("faults %q, want one at %s with %q", faults, tc.path, tc.want)
			}
			if strings.HasPrefix(tc.path, "jails") {
				if _, err := New(tc.defaults, c, os.ReadFile); err == nil {
					t.Error("New takes it")
				}
			}
		})
	}
}

func TestValidateReportsEverything(t *testing.T) {
	bad := Config{Name: "Bad", MaxRetry: ptr(0), Ports: []string{"0", "70000"}}
	good := Config{Name: "sshd", Filter: FilterConfig{Name: "sshd"}}
	var paths []string
	Validate(DefaultsConfig{BanTime: 1}, []Config{bad, good, good}, func(path, _ string) { paths = append(paths, path) })
	want := "defaults.bantime jails[0].name jails[0].filter jails[0].maxretry jails[0].ports[0] jails[0].ports[1] jails[2].name"
	if got := strings.Join(paths, " "); got != want {
		t.Errorf("paths %s\nwant  %s", got, want)
	}
}
