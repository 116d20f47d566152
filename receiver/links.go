package receiver

import (
	"net"
	"net/netip"
	"slices"
	"sync/atomic"

	"github.com/gaissmai/bart"
)

// links knows which interface owns which network, as of its last refresh. Its methods may be
// called concurrently.
type links struct {
	table atomic.Pointer[linkTable]
	list  func() ([]link, error)
}

// link is one interface with the prefixes of its addresses.
type link struct {
	index    int
	name     string
	loopback bool
	prefixes []netip.Prefix // with the interface's own address in them
}

type linkTable struct {
	byName map[string]int
	owners bart.Table[[]int] // the indexes of the interfaces that own a prefix
}

func newLinks() *links { return &links{list: systemLinks} }

// refresh asks the system again; on an error the old table stays.
func (l *links) refresh() error {
	all, err := l.list()
	if err != nil {
		return err
	}
	t := &linkTable{byName: make(map[string]int)}
	own := func(p netip.Prefix, index int) {
		have, _ := t.owners.Get(p)
		if !slices.Contains(have, index) {
			t.owners.Insert(p, append(slices.Clone(have), index))
		}
	}
	for _, k := range all {
		t.byName[k.name] = k.index
		for _, p := range k.prefixes {
			own(p.Masked(), k.index)
		}
	}
	// What this host sends to itself comes in on the loopback interface, whatever its address.
	for _, lo := range all {
		if !lo.loopback {
			continue
		}
		for _, k := range all {
			for _, p := range k.prefixes {
				own(netip.PrefixFrom(p.Addr(), p.Addr().BitLen()), lo.index)
			}
		}
	}
	l.table.Store(t)
	return nil
}

// verdict says how far the ingress interface supports a datagram from a to belong to s:
// LevelOnLink when it is the one the source names or the one that owns a's network,
// LevelSpoofable when nobody owns it, LevelNone when it is another.
func (l *links) verdict(s *Source, a netip.Addr, index int) Level {
	t := l.table.Load()
	if t == nil {
		return LevelSpoofable
	}
	if s.Interface != "" {
		if want, ok := t.byName[s.Interface]; ok && want == index {
			return LevelOnLink
		}
		return LevelNone
	}
	owners, ok := t.owners.Lookup(a)
	switch {
	case !ok || index == 0:
		return LevelSpoofable
	case slices.Contains(owners, index):
		return LevelOnLink
	}
	return LevelNone
}

func systemLinks() ([]link, error) {
	ifaces, err := net.Interfaces()
	if err != nil {
		return nil, err
	}
	var all []link
	for _, f := range ifaces {
		if f.Flags&net.FlagUp == 0 {
			continue
		}
		addrs, err := f.Addrs()
		if err != nil {
			continue // the interface is gone
		}
		k := link{index: f.Index, name: f.Name, loopback: f.Flags&net.FlagLoopback != 0}
		for _, a := range addrs {
			n, ok := a.(*net.IPNet)
			if !ok {
				continue
			}
			ip, _ := netip.AddrFromSlice(n.IP)
			bits, _ := n.Mask.Size()
			if ip = ip.Unmap(); ip.IsValid() && bits <= ip.BitLen() {
				k.prefixes = append(k.prefixes, netip.PrefixFrom(ip, bits))
			}
		}
		all = append(all, k)
	}
	return all, nil
}
