package nft

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"slices"
	"time"

	rtnetlink "github.com/mdlayher/netlink"
	"github.com/vishvananda/netlink"
	"github.com/vishvananda/netns"
	"golang.org/x/sys/unix"
)

// Snapshot is what the routing tables say of this host at one time. Slices are sorted and belong
// to the receiver.
type Snapshot struct {
	Own      []netip.Prefix // single addresses: those of interfaces, and their broadcast addresses
	Gateways []netip.Addr   // of default routes, in every table
	OnLink   []OnLink
}

// OnLink is a prefix whose hosts are reached without a gateway.
type OnLink struct {
	Prefix          netip.Prefix
	Interface       string
	HasDefaultRoute bool // some default route leaves by the interface
}

func (s Snapshot) equal(o Snapshot) bool {
	return slices.Equal(s.Own, o.Own) && slices.Equal(s.Gateways, o.Gateways) && slices.Equal(s.OnLink, o.OnLink)
}

const (
	// settle is how long a burst of changes is waited for before the tables are read.
	settle = 50 * time.Millisecond
	// watchGroups are the groups of rtnetlink whose messages mean that a snapshot may be stale.
	watchGroups = unix.RTMGRP_LINK | unix.RTMGRP_IPV4_IFADDR | unix.RTMGRP_IPV6_IFADDR | unix.RTMGRP_IPV4_ROUTE | unix.RTMGRP_IPV6_ROUTE
)

// WatchAddresses calls changed with a snapshot at once, and with a new one within a second of each
// change, until ctx is done; then it returns nil. ns is a descriptor of a network namespace, 0
// for the process's own. changed is called by the caller's goroutine, never twice at a time.
func WatchAddresses(ctx context.Context, ns int, changed func(Snapshot)) error {
	// The subscription comes first: what changes while the tables are read is read again.
	conn, err := rtnetlink.Dial(unix.NETLINK_ROUTE, &rtnetlink.Config{NetNS: ns, Groups: watchGroups})
	if err != nil {
		return fmt.Errorf("watch addresses: %w", err)
	}
	defer func() { _ = conn.Close() }()
	stop := context.AfterFunc(ctx, func() { _ = conn.SetReadDeadline(time.Unix(1, 0)) })
	defer stop()
	h, err := routingHandle(ns)
	if err != nil {
		return fmt.Errorf("read addresses: %w", err)
	}
	defer h.Close()

	var last Snapshot
	for first := true; ; first = false {
		s, err := snapshot(h)
		if ctx.Err() != nil {
			return nil
		}
		if err != nil {
			return fmt.Errorf("read addresses: %w", err)
		}
		if first || !s.equal(last) {
			last = s
			changed(s)
		}
		// Lost messages are as good as messages.
		if _, err := conn.Receive(); ctx.Err() != nil {
			return nil
		} else if err != nil && !errors.Is(err, unix.ENOBUFS) {
			return fmt.Errorf("watch addresses: %w", err)
		}
		select {
		case <-ctx.Done():
			return nil
		case <-time.After(settle):
		}
	}
}

func routingHandle(ns int) (*netlink.Handle, error) {
	if ns == 0 {
		return netlink.NewHandle(unix.NETLINK_ROUTE)
	}
	return netlink.NewHandleAt(netns.NsHandle(ns), unix.NETLINK_ROUTE)
}

func snapshot(h *netlink.Handle) (Snapshot, error) {
	var s Snapshot
	links, err := interrupted(h.LinkList())
	if err != nil {
		return s, err
	}
	names := make(map[int]string, len(links))
	loopback := make(map[int]bool)
	for _, l := range links {
		names[l.Attrs().Index] = l.Attrs().Name
		loopback[l.Attrs().Index] = l.Attrs().Flags&net.FlagLoopback != 0
	}
	defaults := make(map[int]bool)
	for _, family := range []int{netlink.FAMILY_V4, netlink.FAMILY_V6} {
		err := h.RouteListFilteredIter(family, &netlink.Route{Table: unix.RT_TABLE_UNSPEC}, netlink.RT_FILTER_TABLE|netlink.RT_FILTER_DST,
			func(r netlink.Route) bool {
				s.addDefault(r, defaults)
				return true
			})
		if _, err = interrupted(0, err); err != nil {
			return s, err
		}
	}
	addrs, err := interrupted(h.AddrList(nil, netlink.FAMILY_ALL))
	if err != nil {
		return s, err
	}
	for _, a := range addrs {
		ip, ok := netip.AddrFromSlice(a.IP)
		if !ok {
			continue
		}
		ip = ip.Unmap()
		s.Own = append(s.Own, netip.PrefixFrom(ip, ip.BitLen()))
		if b, ok := netip.AddrFromSlice(a.Broadcast); ok && !b.IsUnspecified() {
			s.Own = append(s.Own, netip.PrefixFrom(b.Unmap(), b.Unmap().BitLen()))
		}
		network := a.IPNet
		if a.Peer != nil {
			network = a.Peer
		}
		if p, ok := prefixOf(network); ok && !loopback[a.LinkIndex] && !p.Addr().IsLinkLocalUnicast() {
			s.OnLink = append(s.OnLink, OnLink{Prefix: p, Interface: names[a.LinkIndex], HasDefaultRoute: defaults[a.LinkIndex]})
		}
	}
	slices.SortFunc(s.Own, netip.Prefix.Compare)
	s.Own = slices.Compact(s.Own)
	slices.SortFunc(s.Gateways, netip.Addr.Compare)
	s.Gateways = slices.Compact(s.Gateways)
	slices.SortFunc(s.OnLink, func(a, b OnLink) int {
		return cmp.Or(a.Prefix.Compare(b.Prefix), cmp.Compare(a.Interface, b.Interface))
	})
	s.OnLink = slices.Compact(s.OnLink)
	return s, nil
}

// interrupted takes what was read when the tables changed meanwhile: a message about the change
// is waiting, and they will be read again.
func interrupted[T any](v T, err error) (T, error) {
	if errors.Is(err, netlink.ErrDumpInterrupted) {
		err = nil
	}
	return v, err
}

// addDefault adds the gateways of a default route and marks the interfaces it leaves by.
func (s *Snapshot) addDefault(r netlink.Route, interfaces map[int]bool) {
	if r.Type != unix.RTN_UNICAST {
		return
	}
	hop := func(link int, gateway net.IP, via netlink.Destination) {
		interfaces[link] = true
		if v, ok := via.(*netlink.Via); ok && v != nil {
			gateway = v.Addr
		}
		if a, ok := netip.AddrFromSlice(gateway); ok {
			s.Gateways = append(s.Gateways, a.Unmap())
		}
	}
	if len(r.MultiPath) == 0 {
		hop(r.LinkIndex, r.Gw, r.Via)
	}
	for _, n := range r.MultiPath {
		hop(n.LinkIndex, n.Gw, n.Via)
	}
}

func prefixOf(n *net.IPNet) (netip.Prefix, bool) {
	if n == nil {
		return netip.Prefix{}, false
	}
	a, ok := netip.AddrFromSlice(n.IP)
	if !ok {
		return netip.Prefix{}, false
	}
	ones, _ := n.Mask.Size()
	p := netip.PrefixFrom(a.Unmap(), ones).Masked()
	return p, p.IsValid()
}
