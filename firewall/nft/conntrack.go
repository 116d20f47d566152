package nft

import (
	"fmt"
	"net/netip"

	"github.com/vishvananda/netlink"
	"github.com/vishvananda/netns"
	"golang.org/x/sys/unix"

	"stockade/firewall"
)

// banned matches the connections that banned prefixes opened, within their scopes.
type banned []bannedPrefix

type bannedPrefix struct {
	prefix netip.Prefix
	ports  []firewall.PortRange // nil: all
}

// MatchConntrackFlow is called for each connection.
func (b banned) MatchConntrackFlow(flow *netlink.ConntrackFlow) bool {
	src, ok := netip.AddrFromSlice(flow.Forward.SrcIP)
	if !ok {
		return false
	}
	src = src.Unmap()
	for _, p := range b {
		if p.prefix.Contains(src) && inPorts(p.ports, flow.Forward.Protocol, flow.Forward.DstPort) {
			return true
		}
	}
	return false
}

func inPorts(ports []firewall.PortRange, protocol uint8, port uint16) bool {
	for _, r := range ports {
		if port >= r.First && port <= r.Last && (r.TCP && protocol == unix.IPPROTO_TCP || r.UDP && protocol == unix.IPPROTO_UDP) {
			return true
		}
	}
	return ports == nil
}

// forget makes the kernel forget the connections that newly banned prefixes have opened. Where a
// flowtable has taken them over, that ends its work: their packets meet our chains again.
func (e *Enforcer) forget(results []firewall.Result) error {
	families := make(map[netlink.InetFamily]banned)
	for _, r := range results {
		if !r.Enforced || r.Remove {
			continue
		}
		ports, err := r.Scope.Ports()
		if err != nil {
			continue
		}
		family := netlink.InetFamily(unix.AF_INET6)
		if r.Prefix.Addr().Is4() {
			family = unix.AF_INET
		}
		families[family] = append(families[family], bannedPrefix{r.Prefix, ports})
	}
	if len(families) == 0 {
		return nil
	}
	h, err := conntrackHandle(e.netns)
	if err != nil {
		return fmt.Errorf("end the connections of a flowtable: %w", err)
	}
	defer h.Close()
	for family, b := range families {
		if _, err := h.ConntrackDeleteFilters(netlink.ConntrackTable, family, b); err != nil {
			return fmt.Errorf("end the connections of a flowtable: %w", err)
		}
	}
	return nil
}

func conntrackHandle(ns int) (*netlink.Handle, error) {
	if ns == 0 {
		return netlink.NewHandle(unix.NETLINK_NETFILTER)
	}
	return netlink.NewHandleAt(netns.NsHandle(ns), unix.NETLINK_NETFILTER)
}
