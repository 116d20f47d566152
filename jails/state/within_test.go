package state

import (
	"net/netip"
	"slices"
	"testing"
	"time"
)

func TestBansWithin(t *testing.T) {
	s := testStore(t, Options{})
	end := time.Now().Add(time.Hour)
	for _, p := range []string{
		"192.0.2.1/32", "192.0.2.200/32", "192.0.2.0/24", "192.0.3.1/32", "192.0.0.0/16", "10.0.0.1/32",
		"2001:db8:1::/64", "2001:db8:1:1::/64", "2001:db8:2::/64", "2001:db8::/32",
	} {
		s.Ban(Ban{Jail: "sshd", Prefix: netip.MustParsePrefix(p), End: end})
	}
	s.Ban(Ban{Jail: "web", Prefix: netip.MustParsePrefix("192.0.2.2/32"), End: end})
	s.flush()
	for network, want := range map[string][]string{
		"192.0.2.0/24":    {"192.0.2.0/24", "192.0.2.1/32", "192.0.2.200/32"},
		"192.0.2.0/25":    {"192.0.2.1/32"},
		"192.0.2.0/23":    {"192.0.2.0/24", "192.0.2.1/32", "192.0.2.200/32", "192.0.3.1/32"},
		"198.51.100.0/24": nil,
		"2001:db8:1::/48": {"2001:db8:1::/64", "2001:db8:1:1::/64"},
		"2001:db8::/46":   {"2001:db8:1::/64", "2001:db8:1:1::/64", "2001:db8:2::/64"},
		"::/0":            {"2001:db8::/32", "2001:db8:1::/64", "2001:db8:1:1::/64", "2001:db8:2::/64"},
	} {
		var got []string
		s.BansWithin(netip.MustParsePrefix(network), "sshd", func(b *Ban) bool {
			if b.Prefix.Addr().Is4() == netip.MustParsePrefix(network).Addr().Is4() {
				got = append(got, b.Prefix.String())
			}
			return true
		})
		slices.Sort(got)
		slices.Sort(want)
		if !slices.Equal(got, want) {
			t.Errorf("%s holds %v, want %v", network, got, want)
		}
	}
	n := 0
	s.BansWithin(netip.MustParsePrefix("192.0.2.0/24"), "sshd", func(*Ban) bool { n++; return false })
	s.BansWithin(netip.MustParsePrefix("192.0.2.0/24"), "absent", func(*Ban) bool { n += 10; return true })
	if n != 1 {
		t.Errorf("the walk did not end when it was told to: %d", n)
	}
}
