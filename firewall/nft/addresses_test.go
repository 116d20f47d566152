package nft

import (
	"context"
	"net/netip"
	"slices"
	"testing"
	"time"

	"github.com/vishvananda/netlink"
)

func TestWatchAddresses(t *testing.T) {
	t.Parallel()
	l := newLab(t)
	ctx, cancel := context.WithCancel(context.Background())
	snapshots := make(chan Snapshot, 100)
	done := make(chan error, 1)
	go func() { done <- WatchAddresses(ctx, int(l.server), func(s Snapshot) { snapshots <- s }) }()
	next := func(what string, holds func(Snapshot) bool) {
		t.Helper()
		deadline := time.After(5 * time.Second)
		for {
			select {
			case s := <-snapshots:
				if holds(s) {
					return
				}
			case <-deadline:
				t.Fatalf("no snapshot with %s", what)
			}
		}
	}
	owns := func(p string) func(Snapshot) bool {
		return func(s Snapshot) bool { return slices.Contains(s.Own, netip.MustParsePrefix(p)) }
	}
	next("the first state", func(s Snapshot) bool {
		return owns("127.0.0.1/32")(s) && owns(server4+"/32")(s) && owns(server6+"/128")(s) && owns("10.0.0.255/32")(s) &&
			slices.Contains(s.Gateways, netip.MustParseAddr("10.0.0.1")) && slices.Contains(s.Gateways, netip.MustParseAddr("2001:db8:b::1")) &&
			slices.Contains(s.OnLink, OnLink{netip.MustParsePrefix("10.0.0.0/24"), "lan", true}) &&
			slices.Contains(s.OnLink, OnLink{netip.MustParsePrefix("2001:db8:b::/64"), "lan", true}) && len(s.OnLink) == 2
	})
	h := handle(t, l.server)
	link, err := h.LinkByName("lan")
	if err != nil {
		t.Fatal(err)
	}
	addr, _ := netlink.ParseAddr("10.0.0.99/24")
	if err := h.AddrAdd(link, addr); err != nil {
		t.Fatal(err)
	}
	start := time.Now()
	next("a new address", owns("10.0.0.99/32"))
	t.Logf("a new address was seen after %s", time.Since(start))
	if err := h.AddrDel(link, addr); err != nil {
		t.Fatal(err)
	}
	next("the address gone", func(s Snapshot) bool { return !owns("10.0.0.99/32")(s) })
	routes, err := h.RouteList(link, netlink.FAMILY_V4)
	if err != nil {
		t.Fatal(err)
	}
	for _, r := range routes {
		if r.Gw != nil {
			if err := h.RouteDel(&r); err != nil {
				t.Fatal(err)
			}
		}
	}
	next("no gateway", func(s Snapshot) bool {
		return !slices.Contains(s.Gateways, netip.MustParseAddr("10.0.0.1"))
	})
	cancel()
	select {
	case err := <-done:
		if err != nil {
			t.Error(err)
		}
	case <-time.After(5 * time.Second):
		t.Error("WatchAddresses does not end with its context")
	}
}
