// Package jails holds the policy of each jail: which filter recognises its failures, how many
// within what time end in a ban, how long that lasts, and how far a line's writer must be
// believed. It decides nothing by itself; see package jails/state for the counting.
package jails

import "fmt"

// Trust is how far a line's sender can be believed. Higher is stronger.
type Trust uint8

// The levels of trust, weakest first, with the names of the configuration.
const (
	TrustNone Trust = iota
	TrustSpoofable
	TrustOnLink
	TrustAddress
	TrustTLS
	TrustKernel
)

var trustNames = [...]string{"none", "spoofable", "onlink", "address", "tls", "kernel"}

// String returns the level's name.
func (t Trust) String() string {
	if int(t) < len(trustNames) {
		return trustNames[t]
	}
	return fmt.Sprintf("Trust(%d)", uint8(t))
}

// ParseTrust returns the level of that name, from spoofable to kernel.
func ParseTrust(name string) (Trust, error) {
	for i, n := range trustNames {
		if n == name && i > 0 {
			return Trust(i), nil
		}
	}
	return TrustNone, fmt.Errorf("unknown trust level %q: one of spoofable, onlink, address, tls, kernel", name)
}
