package firewall

import (
	"net/netip"
	"slices"
)

// AlwaysProtected are the prefixes that no backend ever drops: unspecified, loopback, link-local,
// multicast and broadcast. The caller owns the slice.
func AlwaysProtected() []netip.Prefix {
	return []netip.Prefix{
		netip.MustParsePrefix("0.0.0.0/8"),
		netip.MustParsePrefix("127.0.0.0/8"),
		netip.MustParsePrefix("169.254.0.0/16"),
		netip.MustParsePrefix("224.0.0.0/4"),
		netip.MustParsePrefix("255.255.255.255/32"),
		netip.MustParsePrefix("::/127"), // unspecified and loopback
		netip.MustParsePrefix("fe80::/10"),
		netip.MustParsePrefix("ff00::/8"),
	}
}

// MergePrefixes masks and unmaps the prefixes, sorts them, and leaves out the invalid ones and
// those that another one holds, so that none overlap. It may reorder its argument.
func MergePrefixes(prefixes []netip.Prefix) []netip.Prefix {
	var out []netip.Prefix
	clean := prefixes[:0:0]
	for _, p := range prefixes {
		if p = Unmap(p); p.IsValid() {
			clean = append(clean, p)
		}
	}
	slices.SortFunc(clean, func(a, b netip.Prefix) int {
		if c := a.Addr().Compare(b.Addr()); c != 0 {
			return c
		}
		return a.Bits() - b.Bits()
	})
	for _, p := range clean {
		if n := len(out); n > 0 && out[n-1].Overlaps(p) {
			continue // sorted: the earlier one is wider
		}
		out = append(out, p)
	}
	return out
}

// Unmap masks the prefix, takes its zone away and turns IPv4 in IPv6 into IPv4. The result is not
// valid when p is not, or when p is wider than the IPv4 addresses in IPv6.
func Unmap(p netip.Prefix) netip.Prefix {
	a, bits := p.Addr().WithZone(""), p.Bits()
	if a.Is4In6() {
		a, bits = a.Unmap(), bits-96
	}
	return netip.PrefixFrom(a, bits).Masked()
}
