package pipeline

import (
	"net/netip"
	"sync"
	"sync/atomic"

	"github.com/gaissmai/bart"

	"stockade/firewall"
)

// Layer is one origin of protected prefixes. Each layer is replaced as a whole.
type Layer uint8

// The layers.
const (
	LayerOperator Layer = iota // never_ban
	LayerHost                  // what this host needs: resolvers, time servers, logins
	LayerLive                  // own addresses, gateways and networks, as the kernel has them now
	LayerPeers                 // identified peers and single-address sources
	layers
)

// Protected is a prefix that is never banned, and why.
type Protected struct {
	Prefix netip.Prefix
	Why    string // "own address", "default gateway", "never_ban": for reports
}

// always is protected whatever the configuration says: no packet of an abuser can come from
// these, so whoever names one lies.
var always = []Protected{
	{netip.MustParsePrefix("0.0.0.0/8"), "unspecified"},
	{netip.MustParsePrefix("127.0.0.0/8"), "loopback"},
	{netip.MustParsePrefix("169.254.0.0/16"), "link-local"},
	{netip.MustParsePrefix("224.0.0.0/4"), "multicast"},
	{netip.MustParsePrefix("255.255.255.255/32"), "broadcast"},
	{netip.MustParsePrefix("::/127"), "unspecified or loopback"},
	{netip.MustParsePrefix("fe80::/10"), "link-local"},
	{netip.MustParsePrefix("ff00::/8"), "multicast"},
}

// Guard knows every protected prefix. Its methods may be called concurrently; reading takes no lock.
type Guard struct {
	mu     sync.Mutex // serialises writers
	layers [layers][]Protected
	table  atomic.Pointer[bart.Table[string]]
}

// NewGuard returns a guard that protects what is never an abuser: loopback, link-local, multicast,
// broadcast, unspecified.
func NewGuard() *Guard {
	g := &Guard{}
	g.Set(LayerOperator, nil)
	return g
}

// Set replaces one layer.
func (g *Guard) Set(l Layer, list []Protected) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.layers[l] = list
	t := new(bart.Table[string])
	for i := len(g.layers) - 1; i >= 0; i-- { // the operator's reason wins over the kernel's
		for _, p := range g.layers[i] {
			t.Insert(p.Prefix, p.Why)
		}
	}
	for _, p := range always {
		t.Insert(p.Prefix, p.Why)
	}
	g.table.Store(t)
}

// Protects reports whether a ban of prefix would hit a protected address, and why that is
// protected. An IPv4 address inside an IPv6 one (NAT64, 6to4) is judged as well.
func (g *Guard) Protects(prefix netip.Prefix) (why string, protected bool) {
	t := g.table.Load()
	if prefix.IsSingleIP() {
		if why, ok := t.Lookup(prefix.Addr()); ok {
			return why, true
		}
	} else if why, ok := t.LookupPrefix(prefix); ok {
		return why, true
	} else if t.OverlapsPrefix(prefix) {
		for p, why := range t.Subnets(prefix) {
			return why + " " + p.String() + " inside it", true
		}
	}
	if inner, ok := firewall.Embedded(prefix); ok {
		return g.Protects(inner)
	}
	return "", false
}

// Prefixes returns all protected prefixes, in no order.
func (g *Guard) Prefixes() []netip.Prefix {
	var all []netip.Prefix
	for p := range g.table.Load().All() {
		all = append(all, p)
	}
	return all
}
