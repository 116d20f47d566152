package firewall

import (
	"fmt"
	"net/netip"
	"time"
)

// MinRemaining is the shortest time an element is set for: what ends sooner is removed instead,
// because the kernel would take a timeout that rounds to nothing as "for ever".
const MinRemaining = time.Second

// CheckElement says, as an error that wraps ErrPrefix, why no backend takes the element.
func CheckElement(e Element) error {
	switch {
	case !e.Prefix.IsValid() || e.Prefix != e.Prefix.Masked() || e.Prefix.Addr().Zone() != "" || e.Prefix.Addr().Is4In6():
		return fmt.Errorf("prefix %q: must be masked, without zone, and not IPv4 in IPv6: %w", e.Prefix, ErrPrefix)
	case e.Prefix.Bits() == 0:
		return fmt.Errorf("prefix %q: is everybody: %w", e.Prefix, ErrPrefix)
	}
	if _, err := e.Scope.Ports(); err != nil {
		return fmt.Errorf("scope %q: %w: %w", e.Scope, err, ErrPrefix)
	}
	return nil
}

// Protects says whether one of the prefixes holds all of p, or the IPv4 prefix that p stands for
// (see Embedded). A p that stands for all of IPv4 is taken to be protected.
func Protects(never []netip.Prefix, p netip.Prefix) bool {
	if inner, ok := Embedded(p); ok && (inner.Bits() == 0 || Protects(never, inner)) {
		return true
	}
	for _, n := range never {
		if n.Bits() <= p.Bits() && n.Contains(p.Addr()) {
			return true
		}
	}
	return false
}
