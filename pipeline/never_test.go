package pipeline

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net/netip"
	"strings"
	"testing"
	"time"

	"stockade/firewall"
	"stockade/receiver"
)

// neverLayers are protected prefixes of every kind.
var neverLayers = map[Layer][]Protected{
	LayerOperator: {
		{netip.MustParsePrefix("203.0.113.7/32"), "never_ban"}, {netip.MustParsePrefix("198.51.100.64/26"), "never_ban"},
		{netip.MustParsePrefix("2001:db8:7::/48"), "never_ban"},
	},
	LayerHost: {
		{netip.MustParsePrefix("9.9.9.9/32"), "resolver"}, {netip.MustParsePrefix("2620:fe::fe/128"), "resolver"},
		{netip.MustParsePrefix("192.0.2.200/32"), "login session"},
	},
	LayerLive: {
		{netip.MustParsePrefix("192.0.2.1/32"), "own address"}, {netip.MustParsePrefix("203.0.113.1/32"), "default gateway"},
		{netip.MustParsePrefix("2001:db8:1::1/128"), "own address"}, {netip.MustParsePrefix("10.0.0.0/24"), "local network (protect_lan)"},
	},
	LayerPeers: {{netip.MustParsePrefix("192.0.2.20/32"), "address of source web1"}},
}

// member is a random address of a prefix.
func member(rnd *rand.Rand, p netip.Prefix) netip.Addr {
	b := p.Addr().AsSlice()
	for i := p.Bits(); i < len(b)*8; i++ {
		if rnd.IntN(2) == 0 {
			b[i/8] |= 0x80 >> (i % 8)
		}
	}
	a, _ := netip.AddrFromSlice(b)
	return a
}

// disguises4 are ways to write an IPv4 address; disguises6 are those of an IPv6 address.
var disguises4 = []func(b [4]byte) string{
	func(b [4]byte) string { return netip.AddrFrom4(b).String() },
	func(b [4]byte) string { return "::ffff:" + netip.AddrFrom4(b).String() },
	func(b [4]byte) string {
		return fmt.Sprintf("::ffff:%x:%x", int(b[0])<<8|int(b[1]), int(b[2])<<8|int(b[3]))
	},
	func(b [4]byte) string { return fmt.Sprintf("0:0:0:0:0:FFFF:%02X%02X:%02X%02X", b[0], b[1], b[2], b[3]) },
	func(b [4]byte) string { return "::ffff:" + netip.AddrFrom4(b).String() + "%eth0" },
	func(b [4]byte) string { return "64:ff9b::" + netip.AddrFrom4(b).String() },
	func(b [4]byte) string {
		return fmt.Sprintf("64:ff9b::%x:%x", int(b[0])<<8|int(b[1]), int(b[2])<<8|int(b[3]))
	},
	func(b [4]byte) string {
		return fmt.Sprintf("64:ff9b:1::%x:%x", int(b[0])<<8|int(b[1]), int(b[2])<<8|int(b[3]))
	},
	func(b [4]byte) string { return fmt.Sprintf("2002:%02x%02x:%02x%02x::1", b[0], b[1], b[2], b[3]) },
	func(b [4]byte) string { return "::" + netip.AddrFrom4(b).String() },
	func(b [4]byte) string { return fmt.Sprintf("0%o.0%o.0%o.0%o", b[0], b[1], b[2], b[3]) },
	func(b [4]byte) string { return fmt.Sprintf("%03d.%03d.%03d.%03d", b[0], b[1], b[2], b[3]) },
	func(b [4]byte) string { return fmt.Sprintf("0x%x.0x%x.0x%x.0x%x", b[0], b[1], b[2], b[3]) },
	func(b [4]byte) string { return fmt.Sprintf("0x%02x%02x%02x%02x", b[0], b[1], b[2], b[3]) },
	func(b [4]byte) string {
		return fmt.Sprint(uint32(b[0])<<24 | uint32(b[1])<<16 | uint32(b[2])<<8 | uint32(b[3]))
	},
	func(b [4]byte) string {
		return fmt.Sprintf("%d.%d", b[0], uint32(b[1])<<16|uint32(b[2])<<8|uint32(b[3]))
	},
	func(b [4]byte) string { return netip.AddrFrom4(b).String() + "." },
	func(b [4]byte) string { return netip.AddrFrom4(b).String() + ":4711" },
	func(b [4]byte) string { return "[::ffff:" + netip.AddrFrom4(b).String() + "]:4711" },
	func(b [4]byte) string { return netip.AddrFrom4(b).String() + "/32" },
}

var disguises6 = []func(a netip.Addr) string{
	netip.Addr.String,
	netip.Addr.StringExpanded,
	func(a netip.Addr) string { return strings.ToUpper(a.StringExpanded()) },
	func(a netip.Addr) string { return a.String() + "%eth0" },
	func(a netip.Addr) string { return "[" + a.String() + "]" },
	func(a netip.Addr) string { return "[" + a.String() + "]:4711" },
	func(a netip.Addr) string { return a.String() + "." },
	func(a netip.Addr) string { return a.String() + "/128" },
}

// TestNeverBan is bar C10: protected addresses of every kind, in every disguise, through the filters,
// the decision and the backend's own check. One accusation would be enough for a ban.
func TestNeverBan(t *testing.T) {
	total := many(20_000, 100_000, 1_000_000)
	once := 1
	m := newMatrix(rand.New(rand.NewPCG(7, 5)))
	m.sources = []receiver.SourceConfig{{Name: "host", Listener: "local", Jails: []string{"*"}, Quota: receiver.QuotaConfig{Word: "none"}}}
	m.jails = m.jails[:1]
	m.jails[0].MinTrust, m.jails[0].Filter.FailRegex = "", []string{`^refused0 <HOST>$`, `^refused0 \[?<HOST>\]?(?:[:/]\d+)?\.?$`}
	r := newMatrixRig(t, m, once)
	for l, list := range neverLayers {
		if err := r.Protect(context.Background(), l, list); err != nil {
			t.Fatal(err)
		}
	}
	protected := r.guard.Prefixes()
	rnd := rand.New(rand.NewPCG(8, 5))
	app := m.jails[0].Apps[0]
	named := 0
	for sent := 0; sent < total; {
		batch := make([]*receiver.Entry, 0, 5000)
		for range min(cap(batch), total-sent) {
			a := member(rnd, protected[rnd.IntN(len(protected))])
			text := "refused0 "
			if a.Is4() {
				text += disguises4[rnd.IntN(len(disguises4))](a.As4())
			} else {
				text += disguises6[rnd.IntN(len(disguises6))](a)
			}
			e := r.line(app, text)
			e.Raw = []byte(text)
			batch = append(batch, e)
		}
		r.judged(t, batch...)
		sent += len(batch)
		if bans := r.store.Bans(""); len(bans) > 0 {
			t.Fatalf("%d bans, the first of %s for %q", len(bans), bans[0].Prefix, bans[0].Evidence[0].Raw)
		}
	}
	named = int(r.Stats().Protected.Load())
	if held := r.enforced(t); len(held) > 0 {
		t.Errorf("held: %v", held)
	}
	if named < total/2 {
		t.Errorf("only %d of %d lines were recognised at all", named, total)
	}
	e := r.line(app, "refused0 198.18.0.1")
	r.judged(t, e) // the rig does ban
	eventually(t, "an abuser is banned", func() bool { return len(r.enforced(t)) == 1 })
	t.Logf("C10: %d lines with protected addresses in %d disguises, %d recognised, 0 banned", total, len(disguises4)+len(disguises6), named)

	// What the decision missed, the backend would refuse.
	for range many(2_000, 20_000, 200_000) {
		a := member(rnd, protected[rnd.IntN(len(protected))])
		p := netip.PrefixFrom(a, a.BitLen())
		results, err := r.fw.Apply(context.Background(), []firewall.Change{{Element: firewall.Element{Prefix: p, End: time.Now().Add(time.Hour)}}})
		if err != nil {
			t.Fatal(err)
		}
		if !errors.Is(results[0].Err, firewall.ErrProtected) {
			t.Fatalf("the backend takes %s: %v", p, results[0].Err)
		}
	}
}
