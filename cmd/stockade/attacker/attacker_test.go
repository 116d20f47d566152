package attacker

import (
	"fmt"
	"strings"
	"testing"

	"stockade/jails"
	"stockade/jails/filter"
	"stockade/receiver"
)

// parts are what the cases below are made of.
func parts(t testing.TB) *Input {
	t.Helper()
	in := &Input{
		Listeners: []receiver.ListenerConfig{
			{Name: "local", Transport: "unixgram"}, {Name: "secure", Transport: "tls"}, {Name: "plain", Transport: "tcp"}, {Name: "lan", Transport: "udp"},
		},
		Protected: map[string][]string{"never_ban": {"203.0.113.0/24", "home.example.net"}, "proxies": {}, "ignoreip of jail web": {"192.0.2.7"}},
	}
	no := false
	for _, c := range []struct {
		jail jails.Config
		spec filter.Spec
	}{
		{jails.Config{Name: "sshd"}, filter.Spec{Name: "sshd", Apps: []string{"sshd", "sshd-session"}, Origin: filter.Origin{UID: []uint32{0}}, FailRegex: []string{`^a <HOST>$`}}},
		{jails.Config{Name: "web"}, filter.Spec{Name: "web", Apps: []string{"nginx"}, FailRegex: []string{`^b <HOST>$`}}},
		{jails.Config{Name: "strict", Origin: &jails.OriginConfig{UID: []uint32{0}, Exe: "/usr/sbin/sshd"}}, filter.Spec{Name: "strict", FailRegex: []string{`^c <HOST>$`}}},
		{jails.Config{Name: "shadow", Enforce: &no}, filter.Spec{Name: "shadow", FailRegex: []string{`^d <HOST>$`}}},
		{jails.Config{Name: "sip", MinTrust: "onlink"}, filter.Spec{Name: "sip", Unproven: true, FailRegex: []string{`^e <HOST>$`}}},
		{jails.Config{Name: "agreed", Corroborate: 2}, filter.Spec{Name: "agreed", FailRegex: []string{`^f <HOST>$`}}},
		{jails.Config{Name: "www", Origin: &jails.OriginConfig{UID: []uint32{33}}}, filter.Spec{Name: "www", FailRegex: []string{`^g <HOST>$`}}},
	} {
		c.jail.Filter = jails.FilterConfig{FailRegex: c.spec.FailRegex}
		p, err := jails.New(jails.DefaultsConfig{}, c.jail, nil)
		if err != nil {
			t.Fatal(err)
		}
		f, err := filter.Compile(c.spec)
		if err != nil {
			t.Fatal(err)
		}
		in.Jails = append(in.Jails, Jail{p, f})
	}
	return in
}

func with(t testing.TB, sources ...receiver.SourceConfig) *Input {
	in := parts(t)
	in.Sources = sources
	return in
}

var all = []string{"*"}

// short is a report as one line an attacker: the jails that are not closed to him.
func short(r Report) string {
	var b strings.Builder
	for _, a := range r.Attackers {
		fmt.Fprintf(&b, "%s:", a.Who)
		for _, j := range a.Jails {
			if j.Victims != Nobody {
				fmt.Fprintf(&b, " %s=%s", j.Jail, j.Victims)
			}
		}
		b.WriteString("\n")
	}
	return strings.TrimSpace(b.String())
}

func TestReport(t *testing.T) {
	for _, c := range []struct {
		name   string
		source receiver.SourceConfig
		want   string
		quota  string
	}{
		{
			"a host over TLS that does not say who wrote a line",
			receiver.SourceConfig{Listener: "secure", Jails: all},
			`user: sshd=any web=any shadow=reported sip=any
root: sshd=any web=any shadow=reported sip=any
path:
stranger: sip=witnessed`, "60 bans a minute, 120 at once",
		},
		{
			"one that vouches",
			receiver.SourceConfig{Listener: "secure", Jails: all, Vouches: true},
			`user: web=any shadow=reported sip=any www=any
root: sshd=any web=any strict=any shadow=reported sip=any www=any
path:
stranger: sip=witnessed`, "60 bans a minute, 120 at once",
		},
		{
			"grants narrow it",
			receiver.SourceConfig{Listener: "secure", Jails: []string{"sshd", "web"}, Apps: []string{"nginx"}, Quota: receiver.QuotaConfig{BansPerMinute: 5, Over: "quarantine"}},
			`user: web=any
root: web=any
path:
stranger:`, "5 bans a minute, 120 at once, then quarantine",
		},
		{
			"a family is granted by its filter's name",
			receiver.SourceConfig{Listener: "secure", Jails: []string{"sshd"}, Apps: []string{"sshd-*"}},
			"user: sshd=any\nroot: sshd=any\npath:\nstranger:", "60 bans a minute, 120 at once",
		},
		{
			"plain TCP is open to the path",
			receiver.SourceConfig{Listener: "plain", Jails: []string{"web", "strict"}},
			"user: web=any\nroot: web=any\npath: web=any\nstranger:", "60 bans a minute, 120 at once",
		},
		{
			"UDP counts where a jail says so",
			receiver.SourceConfig{Listener: "lan", Jails: all, Quota: receiver.QuotaConfig{Word: "none"}},
			"user: sip=any\nroot: sip=any\npath: sip=any\nstranger: sip=witnessed", "no quota",
		},
		{
			"or the source does",
			receiver.SourceConfig{Listener: "lan", Jails: []string{"web"}, AcceptSpoofable: true},
			"user: web=any\nroot: web=any\npath: web=any\nstranger:", "60 bans a minute, 120 at once",
		},
		{
			"this host's socket, for all users",
			receiver.SourceConfig{Listener: "local", Jails: all},
			`user: web=any shadow=reported sip=any www=any
root: sshd=any web=any strict=any shadow=reported sip=any www=any
path:
stranger: sip=witnessed`, "no quota",
		},
		{
			"for root alone: a carrier still speaks for everybody where no jail asks",
			receiver.SourceConfig{Listener: "local", UID: []uint32{0}, Jails: []string{"sshd", "web", "www"}},
			"user: web=any\nroot: sshd=any web=any www=any\npath:\nstranger:", "no quota",
		},
		{
			"a journal",
			receiver.SourceConfig{Journal: "j", Jails: []string{"sshd", "web"}},
			"user: web=any\nroot: sshd=any web=any\npath:\nstranger:", "no quota",
		},
		{
			"a file",
			receiver.SourceConfig{Tail: "f", Jails: []string{"sshd", "strict"}},
			"user: sshd=any\nroot: sshd=any strict=any\npath:\nstranger:", "no quota",
		},
	} {
		t.Run(c.name, func(t *testing.T) {
			c.source.Name = "s"
			r, err := with(t, c.source).Of("s")
			if err != nil {
				t.Fatal(err)
			}
			if got := short(r); got != c.want {
				t.Errorf("got\n%s\nwant\n%s", got, c.want)
			}
			if got := r.Quota.String(); got != c.quota {
				t.Errorf("quota %q, want %q", got, c.quota)
			}
			for _, a := range r.Attackers {
				if len(a.Jails) != 7 {
					t.Errorf("%s: %d jails, want 7", a.Who, len(a.Jails))
				}
				for _, j := range a.Jails {
					if j.Why == "" {
						t.Errorf("%s, %s: no reason", a.Who, j.Jail)
					}
				}
			}
		})
	}
	if _, err := with(t).Of("s"); err == nil {
		t.Error("an unknown source has a report")
	}
}

func TestCompare(t *testing.T) {
	host := receiver.SourceConfig{Name: "s", Listener: "secure", Jails: []string{"sshd"}, Vouches: true}
	for _, c := range []struct {
		name   string
		change func(*Input)
		want   []string // pieces, one a widening
	}{
		{"nothing", func(*Input) {}, nil},
		{"one more jail", func(in *Input) { in.Sources[0].Jails = []string{"sshd", "web"} }, []string{
			`source "s": user: jail "web": victims: any, was victims: none`, `source "s": root: jail "web"`,
		}},
		{"it vouches no longer", func(in *Input) { in.Sources[0].Vouches = false }, []string{`source "s": user: jail "sshd": victims: any`}},
		{"from TLS to TCP", func(in *Input) { in.Sources[0].Listener = "plain" }, []string{`source "s": path: jail "sshd": victims: any`}},
		{"a higher quota", func(in *Input) { in.Sources[0].Quota.BansPerMinute = 100 }, []string{`source "s": 100 bans a minute, 120 at once, was 60 bans a minute`}},
		{"no quota", func(in *Input) { in.Sources[0].Quota.Word = "none" }, []string{`source "s": no quota, was 60 bans a minute`}},
		{"a lower quota", func(in *Input) { in.Sources[0].Quota.BansPerMinute = 10 }, nil},
		{"a new source", func(in *Input) {
			in.Sources = append(in.Sources, receiver.SourceConfig{Name: "t", Listener: "secure", Jails: []string{"strict"}, Vouches: true})
		}, []string{`source "t": root: jail "strict"`}},
		{"a source goes", func(in *Input) { in.Sources = nil }, nil},
		{"an address is protected no longer", func(in *Input) { in.Protected["never_ban"] = []string{"203.0.113.0/25", "home.example.net"} }, []string{
			"203.0.113.0/24 can be banned, was protected by never_ban",
		}},
		{"a name is", func(in *Input) { in.Protected["never_ban"] = []string{"203.0.0.0/16"} }, []string{"home.example.net can be banned"}},
		{"an ignored one moves to never_ban", func(in *Input) {
			in.Protected["ignoreip of jail web"] = nil
			in.Protected["never_ban"] = append(in.Protected["never_ban"], "192.0.2.0/24")
		}, nil},
		{"a jail goes with its list", func(in *Input) { delete(in.Protected, "ignoreip of jail web") }, nil},
	} {
		t.Run(c.name, func(t *testing.T) {
			old, changed := with(t, host), with(t, host)
			c.change(changed)
			got := Compare(old, changed)
			if len(got) != len(c.want) {
				t.Fatalf("got %v, want %d", got, len(c.want))
			}
			for i, w := range got {
				if !strings.Contains(w.String(), c.want[i]) {
					t.Errorf("got %q, want %q", w, c.want[i])
				}
			}
		})
	}
	t.Run("protect_lan", func(t *testing.T) {
		old, changed := with(t), with(t)
		old.ProtectLAN = true
		if got := Compare(old, changed); len(got) != 1 || !strings.Contains(got[0].String(), "local networks") {
			t.Errorf("got %v", got)
		}
		if got := Compare(changed, old); len(got) != 0 {
			t.Errorf("got %v", got)
		}
	})
}
