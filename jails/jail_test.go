package jails

import (
	"net/netip"
	"os"
	"testing"
	"time"
)

func mustNew(t testing.TB, d DefaultsConfig, c Config) *Jail {
	t.Helper()
	if c.Name == "" {
		c.Name = "sshd"
	}
	c.Filter = FilterConfig{Name: "sshd"}
	j, err := New(d, c, os.ReadFile)
	if err != nil {
		t.Fatal(err)
	}
	return j
}

func TestNewFillsInTheDefaults(t *testing.T) {
	j := mustNew(t, DefaultsConfig{}, Config{})
	if len(j.Thresholds) != 1 || j.Thresholds[0] != (Threshold{5, 10 * time.Minute, time.Hour}) {
		t.Errorf("thresholds %v", j.Thresholds)
	}
	if !j.Enabled || !j.Enforce || j.MinTrust != TrustAddress || j.TrustGiven || j.Scope != "" || !j.Increment.Enabled {
		t.Errorf("jail %+v", j)
	}
	j = mustNew(t, DefaultsConfig{MaxRetry: 4}, Config{
		MinTrust: "spoofable", Enforce: ptr(false), Ports: []string{"443/tcp", "22"},
		Thresholds: []ThresholdConfig{{}, {MaxRetry: 20, FindTime: day, BanTime: -1}},
		FindTime:   ptr(time.Minute),
	})
	if j.Thresholds[0] != (Threshold{4, time.Minute, time.Hour}) || j.Thresholds[1] != (Threshold{20, day, -1}) {
		t.Errorf("thresholds %v", j.Thresholds)
	}
	if j.Enforce || j.MinTrust != TrustSpoofable || !j.TrustGiven || j.Scope != "22,443/tcp" {
		t.Errorf("jail %+v", j)
	}
	if j.FindTime() != day || j.MaxRetry() != 20 {
		t.Errorf("longest findtime %s, largest maxretry %d", j.FindTime(), j.MaxRetry())
	}
}

func TestParsePorts(t *testing.T) {
	for _, tc := range []struct {
		ports []string
		want  string
		bad   bool
	}{
		{nil, "", false},
		{[]string{"22"}, "22", false},
		{[]string{"443/tcp", "80/tcp", "22"}, "22,80/tcp,443/tcp", false},
		{[]string{"53/udp", "53/tcp"}, "53", false},
		{[]string{"22", "22/tcp", "22"}, "22", false},
		{[]string{"23", "22"}, "22-23", false},
		{[]string{"1-65535"}, "1-65535", false},
		{[]string{"6000-6010/udp", "6005/tcp"}, "6000-6004/udp,6005,6006-6010/udp", false},
		{[]string{"0"}, "", true},
		{[]string{"65536"}, "", true},
		{[]string{"+22"}, "", true},
		{[]string{"22-"}, "", true},
		{[]string{"23-22"}, "", true},
		{[]string{""}, "", true},
		{[]string{"22/"}, "", true},
		{[]string{"ssh"}, "", true},
	} {
		got, err := ParsePorts(tc.ports)
		if got != tc.want || (err != nil) != tc.bad {
			t.Errorf("ParsePorts(%q) = %q, %v, want %q", tc.ports, got, err, tc.want)
		}
	}
}

func TestBanTime(t *testing.T) {
	half := func() float64 { return 0.5 }
	for _, tc := range []struct {
		name  string
		inc   IncrementConfig
		base  time.Duration
		count int
		want  time.Duration
	}{
		{"first ban", IncrementConfig{}, time.Hour, 0, time.Hour},
		{"second ban", IncrementConfig{}, time.Hour, 1, 4 * time.Hour},
		{"third ban", IncrementConfig{}, time.Hour, 2, day},
		{"fourth ban", IncrementConfig{}, time.Hour, 3, 7 * day},
		{"the last multiplier repeats", IncrementConfig{}, time.Hour, 99, 7 * day},
		{"off", IncrementConfig{Enabled: ptr(false)}, time.Hour, 3, time.Hour},
		{"permanent", IncrementConfig{}, -1, 3, -1},
		{"factor", IncrementConfig{Factor: 2}, time.Hour, 1, 8 * time.Hour},
		{"no multipliers: powers of two", IncrementConfig{Multipliers: []int{}}, time.Minute, 3, 8 * time.Minute},
		{"powers of two end at 2^20", IncrementConfig{Multipliers: []int{}}, time.Second, 50, (1 << 20) * time.Second},
		{"a formula never shortens", IncrementConfig{Multipliers: []int{}, Factor: 0.001}, time.Hour, 2, time.Hour},
		{"maxtime", IncrementConfig{MaxTime: 5 * time.Hour}, time.Hour, 3, 5 * time.Hour},
		{"rndtime comes after maxtime", IncrementConfig{MaxTime: 5 * time.Hour, RndTime: 10 * time.Minute}, time.Hour, 3, 5*time.Hour + 5*time.Minute},
		{"no rndtime at the first ban", IncrementConfig{RndTime: 10 * time.Minute}, time.Hour, 0, time.Hour},
		{"never beyond the limit", IncrementConfig{Factor: 1000000}, 1000 * day, 9, maxBanTime},
	} {
		j := mustNew(t, DefaultsConfig{}, Config{Increment: &tc.inc})
		if got := j.BanTime(Threshold{5, time.Minute, tc.base}, tc.count, half); got != tc.want {
			t.Errorf("%s: %s, want %s", tc.name, got, tc.want)
		}
	}
}

func TestIgnored(t *testing.T) {
	j := mustNew(t, DefaultsConfig{}, Config{IgnoreIP: []string{"192.0.2.1", "198.51.100.7/24", "2001:db8::/32", "::ffff:203.0.113.0/120"}})
	for addr, want := range map[string]bool{
		"192.0.2.1": true, "192.0.2.2": false, "::ffff:192.0.2.1": true, "198.51.100.255": true,
		"198.51.101.0": false, "2001:db8:ffff::1": true, "2001:db9::": false, "203.0.113.9": true,
		"2001:db8::1%eth0": true,
	} {
		if got := j.Ignored(netip.MustParseAddr(addr)); got != want {
			t.Errorf("%s ignored: %v, want %v", addr, got, want)
		}
	}
	if mustNew(t, DefaultsConfig{}, Config{}).Ignored(netip.MustParseAddr("192.0.2.1")) {
		t.Error("a jail without ignoreip ignores")
	}
	if a := testing.AllocsPerRun(100, func() { j.Ignored(netip.MustParseAddr("192.0.2.1")) }); a != 0 {
		t.Errorf("%.0f allocations a lookup", a)
	}
	var nilSet *AddrSet
	set := NewAddrSet([]netip.Prefix{netip.MustParsePrefix("192.0.2.0/24")})
	for prefix, want := range map[string]bool{"192.0.2.7/32": true, "192.0.0.0/16": true, "192.0.3.0/24": false, "2001:db8::/32": false} {
		if got := set.Overlaps(netip.MustParsePrefix(prefix)); got != want {
			t.Errorf("%s overlaps: %v, want %v", prefix, got, want)
		}
	}
	if nilSet.Overlaps(netip.MustParsePrefix("192.0.2.7/32")) || nilSet.Size() != 0 || set.Size() != 1 {
		t.Error("nil set is not empty")
	}
}

func TestCountKey(t *testing.T) {
	for _, tc := range []struct {
		addr string
		bits int
		want string
	}{
		{"192.0.2.7", 64, "192.0.2.7/32"},
		{"::ffff:192.0.2.7", 64, "192.0.2.7/32"},
		{"2001:db8:1:2:3::4", 64, "2001:db8:1:2::/64"},
		{"2001:db8:1:2:3::4%eth0", 56, "2001:db8:1::/56"},
		{"2001:db8::1", 128, "2001:db8::1/128"},
	} {
		if got := CountKey(netip.MustParseAddr(tc.addr), tc.bits); got != netip.MustParsePrefix(tc.want) {
			t.Errorf("CountKey(%s, %d) = %s, want %s", tc.addr, tc.bits, got, tc.want)
		}
	}
	if CountKey(netip.Addr{}, 64).IsValid() {
		t.Error("no address has a key")
	}
}

func FuzzParsePrefix(f *testing.F) {
	for _, s := range []string{"192.0.2.1", "192.0.2.1/24", "::ffff:1.2.3.4/100", "::/0", "fe80::1%eth0", "010.0.0.1", "a.b", "", "::ffff:0:0/96", "1.2.3.4/033"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, text string) {
		p, err := ParsePrefix(text)
		if err != nil {
			if len(err.Error()) > 600 {
				t.Errorf("an error of %d bytes", len(err.Error()))
			}
			return
		}
		if !p.IsValid() || p != p.Masked() || p.Addr().Is4In6() || p.Addr().Zone() != "" || p.Bits() == 0 {
			t.Errorf("%q gives %v", text, p)
		}
		if again, err := ParsePrefix(p.String()); err != nil || again != p {
			t.Errorf("%q gives %v, which gives %v, %v", text, p, again, err)
		}
	})
}

func FuzzParsePorts(f *testing.F) {
	for _, s := range []string{"22", "22/tcp", "1-65535", "6000-6010/udp", "0", "-", "/"} {
		f.Add(s, "80")
	}
	f.Fuzz(func(t *testing.T, a, b string) {
		one, err := ParsePorts([]string{a, b})
		other, errOther := ParsePorts([]string{b, a, b})
		if one != other || (err == nil) != (errOther == nil) {
			t.Errorf("the order matters: %q and %q", one, other)
		}
	})
}
