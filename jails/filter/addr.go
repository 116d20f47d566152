package filter

import (
	"bytes"
	"net/netip"
)

// parseAddr reads an address as daemons write them. It refuses names, leading zeros and anything
// that is not exactly one address; brackets, a zone and the 4-in-6 form are taken off.
func parseAddr(b []byte) (netip.Addr, bool) {
	if n := len(b); n > 2 && b[0] == '[' && b[n-1] == ']' {
		b = b[1 : n-1]
	}
	if a, ok := parseIPv4(b); ok {
		return a, true
	}
	if len(b) < 2 || len(b) > 64 {
		return netip.Addr{}, false
	}
	a, err := netip.ParseAddr(string(b))
	if err != nil {
		return netip.Addr{}, false
	}
	return a.WithZone("").Unmap(), true
}

// parseEndpoint reads an address with a port as it stands in a field of its own: 192.0.2.1:80,
// [2001:db8::1]:80, ipv4:192.0.2.1:80.
func parseEndpoint(b []byte) (netip.Addr, bool) {
	for _, family := range []string{"ipv4:", "ipv6:"} {
		if len(b) > len(family) && string(b[:len(family)]) == family {
			b = b[len(family):]
			i := bytes.LastIndexByte(b, ':')
			if i < 0 {
				return netip.Addr{}, false
			}
			return parseAddr(b[:i])
		}
	}
	if len(b) > 64 {
		return netip.Addr{}, false
	}
	ap, err := netip.ParseAddrPort(string(b))
	if err != nil {
		return netip.Addr{}, false
	}
	return ap.Addr().WithZone("").Unmap(), true
}

// parseIPv4 reads four numbers between dots, as netip.ParseAddr does, without making a string.
func parseIPv4(b []byte) (netip.Addr, bool) {
	var quad [4]byte
	i := 0
	for n := range quad {
		if n > 0 {
			if i == len(b) || b[i] != '.' {
				return netip.Addr{}, false
			}
			i++
		}
		v, from := 0, i
		for ; i < len(b) && i-from < 3 && b[i]-'0' <= 9; i++ {
			v = v*10 + int(b[i]-'0')
		}
		if i == from || v > 255 || b[from] == '0' && i-from > 1 {
			return netip.Addr{}, false
		}
		quad[n] = byte(v)
	}
	return netip.AddrFrom4(quad), i == len(b)
}
