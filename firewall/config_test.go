package firewall

import (
	"net/netip"
	"slices"
	"testing"
)

func TestValidate(t *testing.T) {
	for _, c := range []struct {
		name   string
		change func(*Config)
		path   string
	}{
		{"the default is right", func(*Config) {}, ""},
		{"observe is a backend", func(c *Config) { c.Backend = "observe" }, ""},
		{"reject is a verdict", func(c *Config) { c.Verdict = "reject" }, ""},
		{"an unknown backend", func(c *Config) { c.Backend = "iptables" }, "firewall.backend"},
		{"an empty backend", func(c *Config) { c.Backend = "" }, "firewall.backend"},
		{"an unknown verdict", func(c *Config) { c.Verdict = "accept" }, "firewall.verdict"},
		{"an unknown owner", func(c *Config) { c.Owner = "on" }, "firewall.owner"},
		{"an empty table", func(c *Config) { c.Table = "" }, "firewall.table"},
		{"a table that is two words", func(c *Config) { c.Table = "stockade; flush" }, "firewall.table"},
		{"a table that begins with a digit", func(c *Config) { c.Table = "0stockade" }, "firewall.table"},
		{"a table too long", func(c *Config) { c.Table = "a2345678901234567890123456789012x" }, "firewall.table"},
		{"a prefix too short", func(c *Config) { c.IPv6Prefix = 47 }, "firewall.ipv6_prefix"},
		{"a prefix too long", func(c *Config) { c.IPv6Prefix = 129 }, "firewall.ipv6_prefix"},
	} {
		t.Run(c.name, func(t *testing.T) {
			config := DefaultConfig()
			c.change(&config)
			var got []string
			config.Validate(func(path, message string) {
				got = append(got, path)
				t.Log(path + ": " + message)
			})
			want := []string{c.path}
			if c.path == "" {
				want = nil
			}
			if !slices.Equal(got, want) {
				t.Errorf("faults at %v, want %v", got, want)
			}
		})
	}
	var all []string
	Config{}.Validate(func(path, _ string) { all = append(all, path) })
	if len(all) != 5 {
		t.Errorf("an empty configuration has faults at %v, want at all five keys", all)
	}
}

func TestMergePrefixes(t *testing.T) {
	var in []netip.Prefix
	for _, p := range []string{
		"10.1.2.3/8", "10.0.0.0/9", "10.5.0.0/16", "11.0.0.0/8", "192.0.2.7/32", "192.0.2.7/32", "::ffff:192.0.2.0/120",
		"2001:db8::1/48", "2001:db8::/64", "2001:db8:1::/48", "::ffff:0:0/90",
	} {
		in = append(in, netip.MustParsePrefix(p))
	}
	in = append(in, netip.Prefix{})
	var got []string
	for _, p := range MergePrefixes(in) {
		got = append(got, p.String())
	}
	want := []string{"10.0.0.0/8", "11.0.0.0/8", "192.0.2.0/24", "2001:db8::/48", "2001:db8:1::/48"}
	if !slices.Equal(got, want) {
		t.Errorf("%v, want %v", got, want)
	}
	if len(MergePrefixes(AlwaysProtected())) != len(AlwaysProtected()) {
		t.Error("the prefixes that are always protected overlap")
	}
}
