package firewall

import "net/netip"

// translated are the prefixes whose addresses stand for the IPv4 address in their last 32 bits:
// the well-known and the local prefix of NAT64 (RFC 6052, RFC 8215) and the addresses of RFC 4291
// section 2.5.5.1. Each address is another host.
var translated = []netip.Prefix{
	netip.MustParsePrefix("64:ff9b::/96"), netip.MustParsePrefix("64:ff9b:1::/48"), netip.MustParsePrefix("::/96"),
}

var sixto4 = netip.MustParsePrefix("2002::/16") // RFC 3056

// Embedded returns the IPv4 prefix that an IPv6 prefix stands for: of NAT64, of 6to4 or of an
// IPv4-compatible address. One that is wider than the IPv4 part of such addresses stands for all
// of IPv4. It is false for every other prefix, and allocates nothing.
func Embedded(p netip.Prefix) (netip.Prefix, bool) {
	if !p.IsValid() || p.Addr().Is4() || p.Addr().Is4In6() {
		return netip.Prefix{}, false
	}
	b := p.Addr().As16()
	if p.Overlaps(sixto4) {
		bits := min(max(p.Bits()-sixto4.Bits(), 0), 32)
		return netip.PrefixFrom(netip.AddrFrom4([4]byte(b[2:6])), bits).Masked(), true
	}
	for _, t := range translated {
		if p.Overlaps(t) {
			return netip.PrefixFrom(netip.AddrFrom4([4]byte(b[12:16])), max(p.Bits()-96, 0)).Masked(), true
		}
	}
	return netip.Prefix{}, false
}
