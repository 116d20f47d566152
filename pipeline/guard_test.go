package pipeline

import (
	"net/netip"
	"testing"
)

func TestGuard(t *testing.T) {
	g := NewGuard()
	g.Set(LayerOperator, []Protected{{netip.MustParsePrefix("203.0.113.7/32"), "never_ban"}, {netip.MustParsePrefix("2001:db8:7::/48"), "never_ban"}})
	g.Set(LayerLive, []Protected{{netip.MustParsePrefix("192.0.2.1/32"), "own address"}, {netip.MustParsePrefix("2001:db8:1::1/128"), "own address"}})
	for _, tt := range []struct {
		name, prefix string
		protected    bool
	}{
		{"an abuser", "198.51.100.9/32", false},
		{"own address", "192.0.2.1/32", true},
		{"neighbour of the own address", "192.0.2.2/32", false},
		{"network around the own address", "192.0.2.0/24", true},
		{"operator's address", "203.0.113.7/32", true},
		{"inside the operator's network", "2001:db8:7:1::/64", true},
		{"an IPv6 network that holds an own address", "2001:db8:1::/64", true},
		{"an address in the network of an own one", "2001:db8:1::2/128", false},
		{"loopback", "127.1.2.3/32", true},
		{"IPv6 loopback", "::1/128", true},
		{"link-local", "fe80::1/128", true},
		{"multicast", "224.0.0.251/32", true},
		{"broadcast", "255.255.255.255/32", true},
		{"unspecified", "0.0.0.0/32", true},
		{"everything", "0.0.0.0/1", true},
		{"NAT64 of the own address", "64:ff9b::c000:201/128", true},
		{"NAT64 of an abuser", "64:ff9b::c633:6409/128", false},
		{"6to4 of the own address", "2002:c000:201::/48", true},
		{"6to4 of an abuser", "2002:c633:6409::/64", false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			why, protected := g.Protects(netip.MustParsePrefix(tt.prefix))
			if protected != tt.protected {
				t.Errorf("Protects(%s) = %q, %t; want %t", tt.prefix, why, protected, tt.protected)
			}
			if protected && why == "" {
				t.Error("no reason")
			}
		})
	}
	g.Set(LayerLive, nil)
	if _, protected := g.Protects(netip.MustParsePrefix("192.0.2.1/32")); protected {
		t.Error("an address that is no longer ours is still protected")
	}
}
