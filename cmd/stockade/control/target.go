package control

import (
	"fmt"
	"net/netip"
	"strings"
)

// Target is an address or a prefix as the operator wrote it. The zero value is no target.
type Target struct {
	Prefix netip.Prefix // masked; a bare address is a /32 or a /128
	Bare   bool         // written without a length: an IPv6 address then means its configured prefix
}

// ParseTarget reads an address or a prefix. A mapped IPv4 address is unmapped; zones, and bits
// set outside the prefix, are refused.
func ParseTarget(s string) (Target, error) {
	if !strings.Contains(s, "/") {
		a, err := netip.ParseAddr(s)
		if err != nil {
			return Target{}, fmt.Errorf("address %q: not an IPv4 or IPv6 address", cut(s))
		}
		if a.Zone() != "" {
			return Target{}, fmt.Errorf("address %q: a zone cannot be banned", cut(s))
		}
		a = a.Unmap()
		return Target{Prefix: netip.PrefixFrom(a, a.BitLen()), Bare: true}, nil
	}
	p, err := netip.ParsePrefix(s)
	if err != nil {
		return Target{}, fmt.Errorf("prefix %q: not ADDRESS/LENGTH", cut(s))
	}
	if p.Addr().Is4In6() {
		if p.Bits() < 96 {
			return Target{}, fmt.Errorf("prefix %q: a mapped IPv4 prefix has a length of 96 to 128", cut(s))
		}
		p = netip.PrefixFrom(p.Addr().Unmap(), p.Bits()-96)
	}
	if p != p.Masked() {
		return Target{}, fmt.Errorf("prefix %q: bits are set outside the prefix: did you mean %s?", cut(s), p.Masked())
	}
	return Target{Prefix: p}, nil
}

// cut keeps an argument that is no address from filling the screen.
func cut(s string) string {
	if len(s) > 64 {
		return s[:64] + "…"
	}
	return s
}

// Counted is what the target means where IPv6 addresses are counted by prefixes of v6bits bits.
func (t Target) Counted(v6bits int) netip.Prefix {
	if t.Bare && t.Prefix.Addr().Is6() {
		p, err := t.Prefix.Addr().Prefix(v6bits)
		if err == nil {
			return p
		}
	}
	return t.Prefix
}

// IsZero reports whether there is no target.
func (t Target) IsZero() bool { return !t.Prefix.IsValid() }

// String is the target as the operator could have written it.
func (t Target) String() string {
	if t.Bare {
		return t.Prefix.Addr().String()
	}
	return t.Prefix.String()
}

// MarshalText writes the form that ParseTarget reads.
func (t Target) MarshalText() ([]byte, error) {
	if t.IsZero() {
		return nil, nil
	}
	return []byte(t.String()), nil
}

// UnmarshalText is ParseTarget.
func (t *Target) UnmarshalText(text []byte) (err error) {
	*t, err = ParseTarget(string(text))
	return err
}
