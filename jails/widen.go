package jails

import (
	"fmt"
	"net/netip"
	"time"
)

// Key is what the failures of a jail are counted under.
type Key uint8

// The keys of a jail.
const (
	KeyAddress Key = iota // the address, an IPv6 one as its prefix of firewall.ipv6_prefix bits
	KeyPrefix             // its network of WidestV4 or WidestV6 bits
	KeyUser               // the user that the line names: it alerts and bans nobody
)

var keyNames = []string{"address", "prefix", "user"}

// String returns the word of the configuration.
func (k Key) String() string { return keyNames[k] }

func parseKey(word string) (Key, error) {
	for i, name := range keyNames {
		if word == name {
			return Key(i), nil
		}
	}
	return 0, fmt.Errorf("key %q must be address, prefix or user%s", cut(word), hint(word, keyNames))
}

const (
	// WidestV4 is the length, in bits, of the widest IPv4 network that failures ban.
	WidestV4 = 24
	// WidestV6 is the length, in bits, of the widest IPv6 network that failures ban.
	WidestV6 = 48
	// MaxWideBan is the longest ban of a network that was banned for several of its addresses.
	MaxWideBan = time.Hour
	// MinMembers is the smallest Widen.Members.
	MinMembers = 3
	// MaxMembers is the largest Widen.Members.
	MaxMembers = 256
	// MaxWeight is the largest weight of a pattern.
	MaxWeight = 1000
)

// Widen says when the network around banned addresses is banned as well.
type Widen struct {
	V4, V6  int // bits of the network
	Members int // banned addresses that it takes
}

func newWiden(c *WidenConfig) *Widen {
	if c == nil {
		return nil
	}
	w := Widen{V4: c.V4, V6: c.V6, Members: c.Members}
	if w.V4 == 0 {
		w.V4 = WidestV4
	}
	if w.V6 == 0 {
		w.V6 = WidestV6
	}
	if w.Members == 0 {
		w.Members = 8
	}
	return &w
}

// Around is the network of the prefix; false when that is no wider than the prefix is.
func (w *Widen) Around(p netip.Prefix) (netip.Prefix, bool) {
	bits := w.V6
	if p.Addr().Is4() {
		bits = w.V4
	}
	if bits >= p.Bits() {
		return netip.Prefix{}, false
	}
	return netip.PrefixFrom(p.Addr(), bits).Masked(), true
}

// Weight is how many failures a match of the pattern of that index is; 0: it does not count.
func (j *Jail) Weight(pattern int) int {
	if pattern < 0 || pattern >= len(j.Weights) {
		return 1
	}
	return j.Weights[pattern]
}

// Counted is what a failure of addr is counted under by the jail's key, before anything is spared:
// see CountKey. For KeyUser it is that of KeyAddress.
func (j *Jail) Counted(addr netip.Addr, v6bits int) netip.Prefix {
	p := CountKey(addr, v6bits)
	bits := WidestV6
	if addr.Is4() {
		bits = WidestV4
	}
	if j.Key != KeyPrefix || bits >= p.Bits() {
		return p
	}
	return netip.PrefixFrom(p.Addr(), bits).Masked()
}

// widening checks the keys that make bans wider than an address.
func (v *validator) widening(at string, c Config) {
	if c.Key != "" {
		if _, err := parseKey(c.Key); err != nil {
			v.report(at+"key", err.Error())
		}
	}
	if c.Key == keyNames[KeyPrefix] && len(c.Ports) == 0 {
		v.report(at+"ports", "key \"prefix\" needs ports: the ban of a network is for the ports of the service only")
	}
	for i, n := range c.Weights {
		if n < 0 || n > MaxWeight {
			v.report(fmt.Sprintf("%sweights[%d]", at, i), fmt.Sprintf("weight \"%d\" must be between 0 and %d", n, MaxWeight))
		}
	}
	if c.Widen == nil {
		return
	}
	bits := func(key string, n, least, most int) {
		if n != 0 && (n < least || n > most) {
			v.report(at+"widen."+key, fmt.Sprintf("%s \"%d\" must be between %d and %d bits", key, n, least, most))
		}
	}
	bits("v4", c.Widen.V4, WidestV4, 31)
	bits("v6", c.Widen.V6, WidestV6, 63)
	if n := c.Widen.Members; n != 0 && (n < MinMembers || n > MaxMembers) {
		v.report(at+"widen.members", fmt.Sprintf("members \"%d\" must be between %d and %d", n, MinMembers, MaxMembers))
	}
	if len(c.Ports) == 0 {
		v.report(at+"widen", "widen needs ports: the ban of a network is for the ports of the service only")
	}
	if c.Key != "" && c.Key != keyNames[KeyAddress] {
		v.report(at+"widen", fmt.Sprintf("widen goes with key \"address\", not %q", cut(c.Key)))
	}
}
