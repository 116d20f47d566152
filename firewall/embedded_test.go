package firewall

import (
	"net/netip"
	"testing"
)

func TestEmbedded(t *testing.T) {
	for _, tt := range []struct{ name, prefix, inner string }{
		{"NAT64", "64:ff9b::c000:201/128", "192.0.2.1/32"},
		{"a network of NAT64", "64:ff9b::c000:200/120", "192.0.2.0/24"},
		{"the network in which NAT64 addresses are counted", "64:ff9b::/64", "0.0.0.0/0"},
		{"the local NAT64 prefix", "64:ff9b:1::c000:201/128", "192.0.2.1/32"},
		{"6to4", "2002:c000:201::/48", "192.0.2.1/32"},
		{"a network in 6to4", "2002:c000:201:7::/64", "192.0.2.1/32"},
		{"several 6to4 networks", "2002:c000::/32", "192.0.0.0/16"},
		{"IPv4-compatible", "::192.0.2.1/128", "192.0.2.1/32"},
		{"everything", "::/0", "0.0.0.0/0"},
		{"another network", "2001:db8::/64", ""},
		{"IPv4", "192.0.2.1/32", ""},
		{"IPv4-mapped", "::ffff:192.0.2.1/128", ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			inner, ok := Embedded(netip.MustParsePrefix(tt.prefix))
			if ok != (tt.inner != "") || ok && inner.String() != tt.inner {
				t.Errorf("Embedded(%s) = %s, %t; want %q", tt.prefix, inner, ok, tt.inner)
			}
		})
	}
}

func TestProtectsEmbedded(t *testing.T) {
	never := []netip.Prefix{netip.MustParsePrefix("192.0.2.1/32")}
	for _, p := range []string{"192.0.2.1/32", "64:ff9b::c000:201/128", "2002:c000:201::/64", "64:ff9b::/64"} {
		if !Protects(never, netip.MustParsePrefix(p)) {
			t.Errorf("%s is not protected", p)
		}
	}
	for _, p := range []string{"192.0.2.2/32", "64:ff9b::c000:202/128", "2002:c000:202::/64", "2001:db8::/64"} {
		if Protects(never, netip.MustParsePrefix(p)) {
			t.Errorf("%s is protected", p)
		}
	}
}
