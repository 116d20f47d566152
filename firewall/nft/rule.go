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

// program is every rule for these families of sets, in order. Each family has a set of every kind.
func (e *Enforcer) program(families []family) []rule {
	mask := e.config.IPv6Prefix
	var out []rule
	add := func(chain, text string, parts ...any) {
		r := rule{chain: chain, text: text}
		r.append(parts)
		out = append(out, r)
	}

	add("gate", "iif lo return", loadMeta(expr.MetaKeyIIF), equal(host32(1)...), returns())
	for _, c := range []string{"gate", "awayfwd", "awayout"} {
		for _, set := range []string{never4, never6} {
			t, m := address(set == never4, c == "gate", 128, set)
			add(c, t+" return", m, returns())
		}
	}
	soft := false
	for _, f := range families {
		judge, cut := "judge", "cut"
		if f.verdict == firewall.Reject {
			judge, cut, soft = "refuse", "softcut", true
		}
		ports, _ := f.scope.Ports()
		for k := range kinds {
			bits := 128
			if k == ban6 {
				bits = mask
			}
			set := setID{k, f}.name()
			t, m := address(k.v4(), true, bits, set)
			if f.scope == "" {
				add("gate", t+" goto "+judge, m, gotoChain(judge))
			} else {
				for _, g := range groups(ports) {
					add("gate", fmt.Sprintf("%s %s th dport %s goto %s", t, g.text, portText(g.ports), judge),
						m, g.match(), payload(expr.PayloadBaseTransportHeader, portDst, 2), g.set(), gotoChain(judge))
				}
			}
			for _, c := range []string{"awayfwd", "awayout"} {
				t, m := address(k.v4(), false, bits, set)
				if f.scope == "" {
					add(c, t+" goto "+cut, m, gotoChain(cut))
					continue
				}
				for _, g := range groups(ports) {
					// Behind DNAT the packet has another port: what was dialled is in conntrack.
					add(c, fmt.Sprintf("%s ct direction reply %s ct original proto-dst %s goto %s", t, g.text, portText(g.ports), cut),
						m, direction(reply), g.match(), &expr.Ct{Key: expr.CtKeyPROTODST, Register: 1, Direction: original}, g.set(), gotoChain(cut))
					if g.tcp {
						// A connection that conntrack forgot and picked up from our side.
						add(c, fmt.Sprintf("%s meta l4proto tcp th sport %s ct state new goto %s", t, portText(g.ports), cut),
							m, protocol(unix.IPPROTO_TCP), payload(expr.PayloadBaseTransportHeader, portSrc, 2), g.set(),
							state(expr.CtStateBitNEW), gotoChain(cut))
					}
				}
			}
		}
	}
	// A completed handshake: our side acknowledges in a connection that conntrack holds to be open.
	// The client's own ACK would be no proof: conntrack takes an acknowledged number within 66,000
	// of the right one, which a spoofer guesses in 65,000 tries. The server knows the number, and
	// answers a wrong one with a reset, after which the connection expires in seconds.
	for _, v4 := range []bool{true, false} {
		set, load := seen4, payload(expr.PayloadBaseNetworkHeader, ip4Dst, ip4Len)
		key, proto, masked := "ip daddr", byte(unix.NFPROTO_IPV4), []expr.Any(nil)
		if !v4 {
			set, load = seen6, payload(expr.PayloadBaseNetworkHeader, ip6Dst, ip6Len)
			key, proto = "ip6 daddr", unix.NFPROTO_IPV6
			if mask < 128 {
				key += " & " + maskAddr(mask).String()
				masked = []expr.Any{and(maskAddr(mask).AsSlice())}
			}
		}
		for _, c := range []string{"awayfwd", "awayout"} {
			add(c, fmt.Sprintf("ct direction reply ct status assured ct expiration > %ds tcp flags & (fin | syn | rst | ack) == ack add @%s { %s }",
				openFor/time.Second, set, key),
				loadMeta(expr.MetaKeyNFPROTO), equal(proto), protocol(unix.IPPROTO_TCP), direction(reply),
				loadCt(expr.CtKeySTATUS), and(host32(statusAssured)), differ(host32(0)...),
				loadCt(expr.CtKeyEXPIRATION), &expr.Byteorder{SourceRegister: 1, DestRegister: 1, Op: expr.ByteorderHton, Len: 4, Size: 4},
				&expr.Cmp{Op: expr.CmpOpGt, Register: 1, Data: binaryutil.BigEndian.PutUint32(uint32(openFor.Milliseconds()))},
				payload(expr.PayloadBaseTransportHeader, tcpFlags, 1), and([]byte{tcpFIN | tcpSYN | tcpRST | tcpACK}), equal(tcpACK),
				load, masked, &expr.Dynset{SrcRegKey: 1, SetName: set, Operation: unix.NFT_DYNSET_OP_ADD})
		}
	}

	judges := []string{"judge"}
	if soft {
		judges = append(judges, "refuse")
	}
	for _, c := range judges {
		add(c, "ct direction reply return", direction(reply), returns())
		add(c, "icmpv6 type { nd-router-solicit, nd-router-advert, nd-neighbor-solicit, nd-neighbor-advert, nd-redirect } return",
			protocol(unix.IPPROTO_ICMPV6), payload(expr.PayloadBaseTransportHeader, icmpType, 1),
			&expr.Range{Op: expr.CmpOpEq, Register: 1, FromData: []byte{133}, ToData: []byte{137}}, returns())
	}
	add("judge", "counter drop", &expr.Counter{}, verdict(expr.VerdictDrop, ""))
	if soft {
		add("refuse", "meta l4proto tcp counter reject with tcp reset", protocol(unix.IPPROTO_TCP), &expr.Counter{}, rejectReset())
		add("refuse", "counter reject with icmpx admin-prohibited", &expr.Counter{},
			&expr.Reject{Type: unix.NFT_REJECT_ICMPX_UNREACH, Code: unix.NFT_REJECT_ICMPX_ADMIN_PROHIBITED})
		// What refuse answers goes out through awayout.
		add("softcut", "tcp flags & rst == rst return", protocol(unix.IPPROTO_TCP),
			payload(expr.PayloadBaseTransportHeader, tcpFlags, 1), and([]byte{tcpRST}), equal(tcpRST), returns())
		add("softcut", "icmp type destination-unreachable return", protocol(unix.IPPROTO_ICMP),
			payload(expr.PayloadBaseTransportHeader, icmpType, 1), equal(3), returns())
		add("softcut", "icmpv6 type destination-unreachable return", protocol(unix.IPPROTO_ICMPV6),
			payload(expr.PayloadBaseTransportHeader, icmpType, 1), equal(1), returns())
		add("softcut", "goto cut", gotoChain("cut"))
	}
	add("cut", "meta l4proto tcp ct direction reply reject with tcp reset", protocol(unix.IPPROTO_TCP), direction(reply), rejectReset())
	add("cut", "tcp flags & (fin | syn | rst | ack) != syn ct state new reject with tcp reset", protocol(unix.IPPROTO_TCP),
		payload(expr.PayloadBaseTransportHeader, tcpFlags, 1), and([]byte{tcpFIN | tcpSYN | tcpRST | tcpACK}), differ(tcpSYN),
		state(expr.CtStateBitNEW), rejectReset())
	add("cut", "ct direction reply drop", direction(reply), verdict(expr.VerdictDrop, ""))
	return out
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
