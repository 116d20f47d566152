package receiver

import "net/netip"

// A source whose prefix is wider names nobody in particular: whoever connects would be its peer.
const (
	widestPeer4 = 16
	widestPeer6 = 32
)

// Peers returns the addresses from which identified senders are connected now, in no order and
// perhaps more than once: who showed a certificate, or has an address of a source with prefixes of
// at least 16 bits (IPv4) or 32 (IPv6). It is empty for datagrams and unix sockets, and may be called
// concurrently.
func (l *Listener) Peers() []netip.Addr {
	s, ok := l.server.(*streams)
	if !ok || l.cfg.isUnix() {
		return nil
	}
	sources := l.o.Registry.Load()
	s.mu.Lock()
	defer s.mu.Unlock()
	var list []netip.Addr
	for c := range s.conns {
		p := c.known.Load()
		if p == nil || !p.Addr.IsValid() {
			continue
		}
		if p.Level == LevelTLS || sources.names(l.cfg.Name, p.Addr.Addr()) {
			list = append(list, p.Addr.Addr())
		}
	}
	return list
}

// names reports whether the narrowest prefix of a listener's sources that holds an address is one
// that names somebody.
func (ss *Sources) names(listener string, a netip.Addr) bool {
	c := ss.listeners[listener]
	if c == nil || !a.IsValid() {
		return false
	}
	p, _, ok := c.prefix.LookupPrefixLPM(netip.PrefixFrom(a, a.BitLen()))
	if a.Is4() {
		return ok && p.Bits() >= widestPeer4
	}
	return ok && p.Bits() >= widestPeer6
}
