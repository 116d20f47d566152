package nft

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"time"

	"github.com/google/nftables"
	"github.com/google/nftables/binaryutil"
	"github.com/google/nftables/expr"
	"golang.org/x/sys/unix"

	"stockade/firewall"
)

// rule is one rule of our chains, in both languages: text for people, exprs for the kernel.
type rule struct {
	chain string
	text  string
	exprs []expr.Any
	sets  []*anonymous // whose lookups are among exprs
}

// append takes expressions, slices of them, anonymous sets, and slices of all these.
func (r *rule) append(parts []any) {
	for _, p := range parts {
		switch p := p.(type) {
		case expr.Any:
			r.exprs = append(r.exprs, p)
		case []expr.Any:
			r.exprs = append(r.exprs, p...)
		case *anonymous:
			p.lookup.SourceRegister = 1
			r.sets = append(r.sets, p)
			r.exprs = append(r.exprs, &p.lookup)
		case []any:
			r.append(p)
		default:
			panic(fmt.Sprintf("nft: a rule cannot hold a %T", p))
		}
	}
}

// The offsets and lengths, in bytes, of what is read from packets.
const (
	ip4Src, ip4Dst, ip4Len = 12, 16, 4
	ip6Src, ip6Dst, ip6Len = 8, 24, 16
	portSrc, portDst       = 0, 2
	tcpFlags               = 13
	icmpType               = 0
	ndFirst, ndLast        = 133, 137 // router-solicit to redirect
)

// openFor is more than a connection has left that was reset (10 s), and less than one that is open
// (300 s while data is not acknowledged, else days).
const openFor = 30 * time.Second

const (
	tcpFIN, tcpSYN, tcpRST, tcpACK = 0x01, 0x02, 0x04, 0x10
	statusAssured                  = 4 // IPS_ASSURED
)

func payload(base expr.PayloadBase, offset, length uint32) expr.Any {
	return &expr.Payload{DestRegister: 1, Base: base, Offset: offset, Len: length}
}

func equal(data ...byte) expr.Any  { return &expr.Cmp{Op: expr.CmpOpEq, Register: 1, Data: data} }
func differ(data ...byte) expr.Any { return &expr.Cmp{Op: expr.CmpOpNeq, Register: 1, Data: data} }
func lookup(set string) expr.Any   { return &expr.Lookup{SourceRegister: 1, SetName: set} }

func and(mask []byte) expr.Any {
	return &expr.Bitwise{SourceRegister: 1, DestRegister: 1, Len: uint32(len(mask)), Mask: mask, Xor: make([]byte, len(mask))}
}

func host32(v uint32) []byte { return binaryutil.NativeEndian.PutUint32(v) }

func loadMeta(key expr.MetaKey) expr.Any { return &expr.Meta{Key: key, Register: 1} }

func loadCt(key expr.CtKey) expr.Any { return &expr.Ct{Key: key, Register: 1} }

func protocol(number byte) []expr.Any {
	return []expr.Any{loadMeta(expr.MetaKeyL4PROTO), equal(number)}
}

func direction(d byte) []expr.Any { return []expr.Any{loadCt(expr.CtKeyDIRECTION), equal(d)} }

func state(bits uint32) []expr.Any {
	return []expr.Any{loadCt(expr.CtKeySTATE), and(host32(bits)), differ(host32(0)...)}
}

func verdict(kind expr.VerdictKind, chain string) expr.Any {
	return &expr.Verdict{Kind: kind, Chain: chain}
}

func returns() expr.Any           { return verdict(expr.VerdictReturn, "") }
func gotoChain(c string) expr.Any { return verdict(expr.VerdictGoto, c) }

// flags loads the flags of TCP that the mask has.
func flags(mask byte) []expr.Any {
	return []expr.Any{payload(expr.PayloadBaseTransportHeader, tcpFlags, 1), and([]byte{mask})}
}

func rejectReset() expr.Any { return &expr.Reject{Type: unix.NFT_REJECT_TCP_RST} }

// The directions of a connection, in conntrack's numbers.
const (
	original = 0
	reply    = 1
)

// address matches packets whose source, or destination, is in the set; mask is for IPv6 alone and
// 128 where the whole address counts.
func address(v4, source bool, mask int, set string) (string, []expr.Any) {
	side, offset, length, proto := "daddr", uint32(ip6Dst), uint32(ip6Len), byte(unix.NFPROTO_IPV6)
	if v4 {
		offset, length, proto = ip4Dst, ip4Len, unix.NFPROTO_IPV4
	}
	if source {
		side, offset = "saddr", offset-length
	}
	exprs := []expr.Any{loadMeta(expr.MetaKeyNFPROTO), equal(proto), payload(expr.PayloadBaseNetworkHeader, offset, length)}
	if v4 {
		return fmt.Sprintf("ip %s @%s", side, set), append(exprs, lookup(set))
	}
	if mask == 128 {
		return fmt.Sprintf("ip6 %s @%s", side, set), append(exprs, lookup(set))
	}
	m := maskAddr(mask)
	return fmt.Sprintf("ip6 %s & %s @%s", side, m, set), append(exprs, and(m.AsSlice()), lookup(set))
}

// maskAddr is the IPv6 address whose first bits are set.
func maskAddr(bits int) netip.Addr {
	ones := netip.AddrFrom16([16]byte(slices.Repeat([]byte{0xff}, 16)))
	return netip.PrefixFrom(ones, bits).Masked().Addr()
}

// group is the ports of a scope that share protocols.
type group struct {
	text  string
	tcp   bool
	ports []firewall.PortRange
}

// match is the test of the protocol.
func (g group) match() []any {
	switch g.text {
	case tcpOnly:
		return []any{protocol(unix.IPPROTO_TCP)}
	case udpOnly:
		return []any{protocol(unix.IPPROTO_UDP)}
	}
	return []any{loadMeta(expr.MetaKeyL4PROTO), &anonymous{key: nftables.TypeInetProto, elements: []nftables.SetElement{
		{Key: []byte{unix.IPPROTO_TCP}}, {Key: []byte{unix.IPPROTO_UDP}},
	}}}
}

const (
	tcpAndUDP = "meta l4proto { tcp, udp }"
	tcpOnly   = "meta l4proto tcp"
	udpOnly   = "meta l4proto udp"
)

func groups(ports []firewall.PortRange) []group {
	all := []group{{text: tcpAndUDP, tcp: true}, {text: tcpOnly, tcp: true}, {text: udpOnly}}
	for _, p := range ports {
		g := &all[0]
		switch {
		case !p.UDP:
			g = &all[1]
		case !p.TCP:
			g = &all[2]
		}
		g.ports = append(g.ports, p)
	}
	return slices.DeleteFunc(all, func(g group) bool { return len(g.ports) == 0 })
}

// anonymous is a set that belongs to one rule, and the rule's lookup in it.
type anonymous struct {
	lookup   expr.Lookup
	key      nftables.SetDatatype
	interval bool
	elements []nftables.SetElement
}

func (g group) set() *anonymous {
	return &anonymous{key: nftables.TypeInetService, interval: true, elements: portElements(g.ports)}
}

func portText(ports []firewall.PortRange) string {
	var terms []string
	for _, p := range ports {
		t := fmt.Sprint(p.First)
		if p.Last != p.First {
			t = fmt.Sprintf("%d-%d", p.First, p.Last)
		}
		terms = append(terms, t)
	}
	return "{ " + strings.Join(terms, ", ") + " }"
}

// portElements are the intervals of an anonymous set of ports.
func portElements(ports []firewall.PortRange) []nftables.SetElement {
	var out []nftables.SetElement
	for _, p := range ports {
		out = append(out, nftables.SetElement{Key: binaryutil.BigEndian.PutUint16(p.First)})
		if p.Last < 1<<16-1 {
			out = append(out, nftables.SetElement{Key: binaryutil.BigEndian.PutUint16(p.Last + 1), IntervalEnd: true})
		}
	}
	return out
}
