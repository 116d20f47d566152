package jails

import (
	"fmt"
	"net/netip"
	"strings"

	"github.com/gaissmai/bart"
)

// filePrefix marks an entry of an address list that names a file of further entries.
const filePrefix = "file:"

// maxAddrFile is the size in bytes of the largest address file that is read.
const maxAddrFile = 64 << 20

// AddrSet is an immutable set of prefixes. A nil set is empty. It may be used concurrently.
type AddrSet struct {
	table bart.Lite
	size  int
}

// NewAddrSet makes a set of the prefixes.
func NewAddrSet(prefixes []netip.Prefix) *AddrSet {
	s := &AddrSet{}
	for _, p := range prefixes {
		s.table.Insert(p)
	}
	s.size = s.table.Size()
	return s
}

// Contains reports whether one of the prefixes holds the address. An IPv4 address in IPv6 clothes
// (::ffff:192.0.2.1) counts as the IPv4 address; a zone makes no difference.
func (s *AddrSet) Contains(addr netip.Addr) bool {
	return s != nil && s.size > 0 && s.table.Lookup(addr.Unmap().WithZone(""))
}

// Overlaps reports whether the set and the prefix have an address in common.
func (s *AddrSet) Overlaps(prefix netip.Prefix) bool {
	if s == nil || s.size == 0 || !prefix.IsValid() {
		return false
	}
	if s.table.LookupPrefix(prefix.Masked()) {
		return true
	}
	for range s.table.Subnets(prefix.Masked()) {
		return true
	}
	return false
}

// Size is the number of distinct prefixes in the set.
func (s *AddrSet) Size() int {
	if s == nil {
		return 0
	}
	return s.size
}

// ParseAddrList reads the entries of `ignoreip`, `never_ban` or `proxies`: an address, a prefix, or
// file:PATH, a file of addresses and prefixes, one a line, with comments from # on. Files are read
// with readFile. Each bad entry is reported with its index and left out; the rest is returned,
// masked and without IPv6 clothes around IPv4.
func ParseAddrList(entries []string, readFile func(string) ([]byte, error), report func(index int, message string)) []netip.Prefix {
	var out []netip.Prefix
	for i, entry := range entries {
		path, isFile := strings.CutPrefix(entry, filePrefix)
		if !isFile {
			p, err := ParsePrefix(entry)
			if err != nil {
				report(i, err.Error())
				continue
			}
			out = append(out, p)
			continue
		}
		if path == "" {
			report(i, fmt.Sprintf("%q names no file", entry))
			continue
		}
		data, err := readFile(path)
		if err != nil {
			report(i, fmt.Sprintf("read %q: %v", entry, err))
			continue
		}
		if len(data) > maxAddrFile {
			report(i, fmt.Sprintf("read %q: %d bytes, at most %d are read", entry, len(data), maxAddrFile))
			continue
		}
		out = appendAddrFile(out, path, string(data), func(message string) { report(i, message) })
	}
	return out
}

// maxFileFaults is how many bad lines of one address file are reported.
const maxFileFaults = 10

func appendAddrFile(out []netip.Prefix, path, data string, report func(string)) []netip.Prefix {
	faults, n := 0, 0
	for line := range strings.Lines(data) {
		n++
		line, _, _ = strings.Cut(line, "#")
		line = strings.TrimSpace(line)
		if line == "" {
			continue
		}
		p, err := ParsePrefix(line)
		if err == nil {
			out = append(out, p)
			continue
		}
		if faults++; faults <= maxFileFaults {
			report(fmt.Sprintf("%s:%d: %v", path, n, err))
		}
	}
	if faults > maxFileFaults {
		report(fmt.Sprintf("%s: %d more bad lines", path, faults-maxFileFaults))
	}
	return out
}

// ParsePrefix reads an address or a prefix. Host bits are cleared, IPv4 is taken out of IPv6
// clothes. Zones, the prefix of every address and names are refused.
func ParsePrefix(text string) (netip.Prefix, error) {
	if strings.Contains(text, "%") {
		return netip.Prefix{}, fmt.Errorf("address %q: a zone means nothing to other hosts", cut(text))
	}
	if addr, err := netip.ParseAddr(text); err == nil {
		addr = addr.Unmap()
		return netip.PrefixFrom(addr, addr.BitLen()), nil
	}
	p, err := netip.ParsePrefix(text)
	if err != nil {
		if looksLikeName(text) {
			return netip.Prefix{}, fmt.Errorf("%q is no address: names are not looked up, give the address", cut(text))
		}
		return netip.Prefix{}, fmt.Errorf("%q is not an address, a prefix or file:PATH", cut(text))
	}
	if p.Addr().Is4In6() {
		if p.Bits() < 96 {
			return netip.Prefix{}, fmt.Errorf("prefix %q: write the IPv4 form", cut(text))
		}
		p = netip.PrefixFrom(p.Addr().Unmap(), p.Bits()-96)
	}
	if p.Bits() == 0 {
		return netip.Prefix{}, fmt.Errorf("prefix %q holds every address: the length must be between 1 and %d", cut(text), p.Addr().BitLen())
	}
	return p.Masked(), nil
}

// IsName reports whether s is a host name in lower case, without a final dot, with a letter in its last label: 192.0.2.300 is a
// mistyped address, no name.
func IsName(s string) bool {
	if len(s) > 253 || strings.HasPrefix(s, filePrefix) {
		return false
	}
	labels := strings.Split(s, ".")
	for _, l := range labels {
		if l == "" || len(l) > 63 || l[0] == '-' || l[len(l)-1] == '-' {
			return false
		}
		for _, c := range []byte(l) {
			if (c < 'a' || c > 'z') && (c < '0' || c > '9') && c != '-' && c != '_' {
				return false
			}
		}
	}
	last := labels[len(labels)-1]
	return strings.ContainsFunc(last, func(r rune) bool { return r >= 'a' && r <= 'z' }) && !strings.HasPrefix(last, "0x")
}

func looksLikeName(s string) bool {
	letter := false
	for _, r := range []byte(s) {
		switch {
		case r >= 'a' && r <= 'z', r >= 'A' && r <= 'Z':
			letter = true
		case r >= '0' && r <= '9', r == '.', r == '-', r == '_':
		default:
			return false
		}
	}
	return letter
}

// cut bounds text that ends up in an error.
func cut(s string) string {
	const limit = 100
	if len(s) > limit {
		return s[:limit] + "…"
	}
	return s
}

// CountKey is what failures of addr are counted under: the address itself for IPv4, also in IPv6
// clothes, and the prefix of v6bits bits (1 to 128) around it for IPv6. A zone is dropped. The
// result is not valid when addr is not.
func CountKey(addr netip.Addr, v6bits int) netip.Prefix {
	addr = addr.Unmap()
	if addr.Is4() {
		return netip.PrefixFrom(addr, 32)
	}
	if addr.Zone() != "" {
		addr = addr.WithZone("")
	}
	p, err := addr.Prefix(v6bits)
	if err != nil {
		return netip.Prefix{}
	}
	return p
}
