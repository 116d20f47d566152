package receiver

import (
	"encoding/hex"
	"errors"
	"fmt"
	"net/netip"
	"strings"
	"time"

	"github.com/gaissmai/bart"
)

// Sources maps peers to sources. It is immutable; its methods may be called concurrently.
type Sources struct {
	all       []*Source
	listeners map[string]*claims
}

// claims are the identities that the sources of one listener, tail or journal claim.
type claims struct {
	anyone *Source // of a unix socket: every user without a source of its own
	uid    map[uint32]*Source
	prefix bart.Table[*Source]
	san    map[string]*Source
	sum    map[[32]byte]*Source
}

// NewSources builds the sources of a configuration. Sources that prev also has, by name, keep
// its counters; prev may be nil. The error joins every fault found; what ValidateSources
// accepts has none.
func NewSources(cfgs []SourceConfig, prev *Sources) (*Sources, error) {
	stats := make(map[string]*SourceStats)
	if prev != nil {
		for _, s := range prev.all {
			stats[s.Name] = s.SourceStats
		}
	}
	ss := &Sources{listeners: make(map[string]*claims)}
	var faults []error
	for _, cfg := range cfgs {
		s := &Source{SourceConfig: cfg, SourceStats: stats[cfg.Name]}
		if s.SourceStats == nil {
			s.SourceStats = new(SourceStats)
		}
		if err := ss.add(s); err != nil {
			faults = append(faults, fmt.Errorf("source %q: %w", cfg.Name, err))
		}
	}
	if len(faults) > 0 {
		return nil, errors.Join(faults...)
	}
	return ss, nil
}

func (ss *Sources) add(s *Source) error {
	if s.Timezone != "" {
		loc, err := time.LoadLocation(s.Timezone)
		if err != nil {
			return fmt.Errorf("timezone %q: %w", s.Timezone, err)
		}
		s.location = loc
	}
	for _, text := range s.Addresses {
		p, err := parsePrefix(text)
		if err != nil {
			return err
		}
		s.prefixes = append(s.prefixes, p)
	}
	ss.all = append(ss.all, s)
	if s.Listener == "" {
		return nil
	}
	c := ss.listeners[s.Listener]
	if c == nil {
		c = &claims{uid: map[uint32]*Source{}, san: map[string]*Source{}, sum: map[[32]byte]*Source{}}
		ss.listeners[s.Listener] = c
	}
	return c.add(s)
}

// add enters what s claims. A source with a certificate is known by that alone; its
// addresses only narrow it.
func (c *claims) add(s *Source) error {
	switch cert := s.Certificate; {
	case cert.SHA256 != "":
		sum, err := parseSHA256(cert.SHA256)
		if err != nil {
			return err
		}
		return claim(c.sum, sum, s, "certificate sha256")
	case cert.SAN != "":
		return claim(c.san, strings.ToLower(cert.SAN), s, "certificate san")
	}
	for _, uid := range s.UID {
		if err := claim(c.uid, uid, s, "uid"); err != nil {
			return err
		}
	}
	nets := s.prefixes
	if len(nets) == 0 && s.Interface != "" {
		nets = everywhere
	}
	for _, p := range nets {
		if other, taken := c.prefix.Get(p); taken && other != s {
			return fmt.Errorf("%s is also claimed by source %q", p, other.Name)
		}
		c.prefix.Insert(p, s)
	}
	if len(s.UID) == 0 && len(nets) == 0 {
		if c.anyone != nil {
			return fmt.Errorf("any peer of listener %q is also claimed by source %q", s.Listener, c.anyone.Name)
		}
		c.anyone = s
	}
	return nil
}

var everywhere = []netip.Prefix{netip.MustParsePrefix("0.0.0.0/0"), netip.MustParsePrefix("::/0")}

func claim[K comparable](m map[K]*Source, key K, s *Source, what string) error {
	if other := m[key]; other != nil && other != s {
		return fmt.Errorf("%s is also claimed by source %q", what, other.Name)
	}
	m[key] = s
	return nil
}

// All returns every source in the order of the configuration. The slice must not be changed.
func (ss *Sources) All() []*Source { return ss.all }

// Resolve returns the source of a peer of the named listener, nil for an unknown one. The most
// specific claim wins: on unix sockets a user over everybody, on networks the longest prefix,
// with certificates the exact certificate or key over a name. A certificate whose names belong
// to two sources resolves to none. It allocates nothing.
func (ss *Sources) Resolve(listener string, p *Peer) *Source {
	c := ss.listeners[listener]
	if c == nil {
		return nil
	}
	switch p.Level {
	case LevelKernel:
		if p.UID < 0 {
			return nil
		}
		if s := c.uid[uint32(p.UID)]; s != nil { //nolint:gosec // a kernel uid fits
			return s
		}
		return c.anyone
	case LevelTLS:
		s := c.certificate(p.Cert)
		if s == nil || !s.covers(p.Addr.Addr()) {
			return nil
		}
		return s
	case LevelNone:
		return nil
	}
	s, _ := c.prefix.Lookup(p.Addr.Addr())
	return s
}

func (c *claims) certificate(cert *Certificate) *Source {
	if cert == nil {
		return nil
	}
	if s := c.pinned(cert); s != nil {
		return s
	}
	var found *Source
	for _, name := range cert.Names {
		s := c.san[name]
		if s == nil || s == found {
			continue
		}
		if found != nil {
			return nil
		}
		found = s
	}
	return found
}

func (c *claims) pinned(cert *Certificate) *Source {
	if s := c.sum[cert.SHA256]; s != nil {
		return s
	}
	return c.sum[cert.KeySHA256]
}

// covers reports whether the source's addresses, if it has any, contain a.
func (s *Source) covers(a netip.Addr) bool {
	for _, p := range s.prefixes {
		if p.Contains(a) {
			return true
		}
	}
	return len(s.prefixes) == 0
}

// parsePrefix reads an address or a prefix without host bits.
func parsePrefix(text string) (netip.Prefix, error) {
	if a, err := netip.ParseAddr(text); err == nil {
		switch {
		case a.Zone() != "":
			return netip.Prefix{}, fmt.Errorf("address %q must not have a zone: use interface", text)
		case a.Is4In6():
			return netip.Prefix{}, fmt.Errorf("address %q: did you mean %q?", text, a.Unmap())
		}
		return netip.PrefixFrom(a, a.BitLen()), nil
	}
	p, err := netip.ParsePrefix(text)
	switch {
	case err != nil:
		return netip.Prefix{}, fmt.Errorf("%q is not an address or prefix such as 192.0.2.7, 192.0.2.0/24 or 2001:db8::/32", text)
	case p.Addr().Is4In6():
		return netip.Prefix{}, fmt.Errorf("prefix %q must be written as IPv4", text)
	case p != p.Masked():
		return netip.Prefix{}, fmt.Errorf("prefix %q has host bits set: did you mean %q?", text, p.Masked())
	}
	return p, nil
}

// parseSHA256 reads 64 hexadecimal digits, with or without colons between the bytes.
func parseSHA256(text string) (sum [32]byte, err error) {
	raw, err := hex.DecodeString(strings.ReplaceAll(text, ":", ""))
	if err != nil || len(raw) != len(sum) {
		return sum, fmt.Errorf("sha256 %q must be 64 hexadecimal digits", text)
	}
	return [32]byte(raw), nil
}
