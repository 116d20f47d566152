package nft

import (
	"fmt"
	"time"

	"github.com/google/nftables"
	"github.com/google/nftables/binaryutil"
	"github.com/google/nftables/expr"
	"golang.org/x/sys/unix"

	"stockade/firewall"
)

// program collects the rules of all chains, in order.
type program struct {
	mask  int // bits of an IPv6 address that count in ban6 and seen6
	rules []rule
}

// program is every rule for these sets.
func (e *Enforcer) program(ids []setID) []rule {
	p := &program{mask: e.config.IPv6Prefix}
	p.add("gate", "iif lo return", loadMeta(expr.MetaKeyIIF), equal(host32(1)...), returns())
	for _, c := range []string{"gate", "awayfwd", "awayout"} {
		for _, set := range []string{never4, never6} {
			text, match := address(set == never4, c == "gate", 128, set)
			p.add(c, text+" return", match, returns())
		}
	}
	soft := false
	for _, id := range ids {
		p.ban(id)
		soft = soft || id.verdict == firewall.Reject
	}
	p.witnesses()
	p.judge("judge")
	p.add("judge", "counter drop", &expr.Counter{}, verdict(expr.VerdictDrop, ""))
	if soft {
		p.soft()
	}
	p.cut()
	return p.rules
}

// add takes expressions, anonymous sets, and slices of them.
func (p *program) add(chain, text string, parts ...any) {
	r := rule{chain: chain, text: text}
	r.append(parts)
	p.rules = append(p.rules, r)
}

// ban adds the rules of one set: the gate for what its elements send, the cut for what they get.
func (p *program) ban(id setID) {
	judge, cut := "judge", "cut"
	if id.verdict == firewall.Reject {
		judge, cut = "refuse", "softcut"
	}
	bits := 128
	if id.kind == ban6 {
		bits = p.mask
	}
	text, from := address(id.v4(), true, bits, id.name())
	if id.scope == "" {
		p.add("gate", text+" goto "+judge, from, gotoChain(judge))
	}
	ports, _ := id.scope.Ports() // checked when the set was asked for
	for _, g := range groups(ports) {
		p.add("gate", fmt.Sprintf("%s %s th dport %s goto %s", text, g.text, portText(g.ports), judge),
			from, g.match(), payload(expr.PayloadBaseTransportHeader, portDst, 2), g.set(), gotoChain(judge))
	}
	text, to := address(id.v4(), false, bits, id.name())
	for _, c := range []string{"awayfwd", "awayout"} {
		if id.scope == "" {
			p.add(c, text+" goto "+cut, to, gotoChain(cut))
		}
		for _, g := range groups(ports) {
			// Behind DNAT the packet has another port: what was dialled is in conntrack.
			p.add(c, fmt.Sprintf("%s ct direction reply %s ct original proto-dst %s goto %s", text, g.text, portText(g.ports), cut),
				to, direction(reply), g.match(), &expr.Ct{Key: expr.CtKeyPROTODST, Register: 1, Direction: original}, g.set(), gotoChain(cut))
			if g.tcp {
				// A connection that conntrack forgot and picked up from our side.
				p.add(c, fmt.Sprintf("%s tcp sport %s ct state new goto %s", text, portText(g.ports), cut),
					to, protocol(unix.IPPROTO_TCP), payload(expr.PayloadBaseTransportHeader, portSrc, 2), g.set(),
					state(expr.CtStateBitNEW), gotoChain(cut))
			}
		}
	}
}

// witnesses adds the rules that remember who completed a handshake: our side acknowledges in a
// connection that conntrack holds to be open. The client's own ACK would be no proof: conntrack
// takes an acknowledged number within 66,000 of the right one, which a spoofer guesses in 65,000
// tries. The server knows the number, and answers a wrong one with a reset, after which the
// connection expires in seconds.
func (p *program) witnesses() {
	for _, v4 := range []bool{true, false} {
		set, key, proto := seen4, "ip daddr", byte(unix.NFPROTO_IPV4)
		load := []expr.Any{payload(expr.PayloadBaseNetworkHeader, ip4Dst, ip4Len)}
		if !v4 {
			set, key, proto = seen6, "ip6 daddr", unix.NFPROTO_IPV6
			load = []expr.Any{payload(expr.PayloadBaseNetworkHeader, ip6Dst, ip6Len)}
			if p.mask < 128 {
				key += " & " + maskAddr(p.mask).String()
				load = append(load, and(maskAddr(p.mask).AsSlice()))
			}
		}
		for _, c := range []string{"awayfwd", "awayout"} {
			p.add(c, fmt.Sprintf("ct direction reply ct status assured ct expiration > %ds tcp flags & (fin | syn | rst | ack) == ack add @%s { %s }",
				openFor/time.Second, set, key),
				loadMeta(expr.MetaKeyNFPROTO), equal(proto), protocol(unix.IPPROTO_TCP), direction(reply),
				loadCt(expr.CtKeySTATUS), and(host32(statusAssured)), differ(host32(0)...),
				loadCt(expr.CtKeyEXPIRATION), &expr.Byteorder{SourceRegister: 1, DestRegister: 1, Op: expr.ByteorderHton, Len: 4, Size: 4},
				&expr.Cmp{Op: expr.CmpOpGt, Register: 1, Data: binaryutil.BigEndian.PutUint32(uint32(openFor.Milliseconds()))},
				flags(tcpFIN|tcpSYN|tcpRST|tcpACK), equal(tcpACK),
				load, &expr.Dynset{SrcRegKey: 1, SetName: set, Operation: unix.NFT_DYNSET_OP_ADD})
		}
	}
}

// judge adds what the banned may still send. Everything else is refused, also what conntrack does
// not track or holds to be invalid: a test for the original direction would let that pass.
func (p *program) judge(chain string) {
	p.add(chain, "ct direction reply return", direction(reply), returns())
	discovery := &anonymous{key: nftables.TypeICMP6Type}
	for t := byte(ndFirst); t <= ndLast; t++ {
		discovery.elements = append(discovery.elements, nftables.SetElement{Key: []byte{t}})
	}
	p.add(chain, "icmpv6 type { nd-router-solicit, nd-router-advert, nd-neighbor-solicit, nd-neighbor-advert, nd-redirect } return",
		loadMeta(expr.MetaKeyNFPROTO), equal(unix.NFPROTO_IPV6), protocol(unix.IPPROTO_ICMPV6),
		payload(expr.PayloadBaseTransportHeader, icmpType, 1), discovery, returns())
}

// soft adds the chains of the verdict reject. What refuse answers goes out through awayout, where
// softcut lets it pass.
func (p *program) soft() {
	p.judge("refuse")
	p.add("refuse", "meta l4proto tcp counter reject with tcp reset", protocol(unix.IPPROTO_TCP), &expr.Counter{}, rejectReset())
	p.add("refuse", "counter reject with icmpx admin-prohibited", &expr.Counter{},
		&expr.Reject{Type: unix.NFT_REJECT_ICMPX_UNREACH, Code: unix.NFT_REJECT_ICMPX_ADMIN_PROHIBITED})
	p.add("softcut", "tcp flags & rst == rst return", protocol(unix.IPPROTO_TCP), flags(tcpRST), equal(tcpRST), returns())
	p.add("softcut", "icmp type destination-unreachable return", loadMeta(expr.MetaKeyNFPROTO), equal(unix.NFPROTO_IPV4),
		protocol(unix.IPPROTO_ICMP), payload(expr.PayloadBaseTransportHeader, icmpType, 1), equal(3), returns())
	p.add("softcut", "icmpv6 type destination-unreachable return", loadMeta(expr.MetaKeyNFPROTO), equal(unix.NFPROTO_IPV6),
		protocol(unix.IPPROTO_ICMPV6), payload(expr.PayloadBaseTransportHeader, icmpType, 1), equal(1), returns())
	p.add("softcut", "goto cut", gotoChain("cut"))
}

// cut adds the chain that ends what the banned have opened: the server's socket gets a reset.
func (p *program) cut() {
	p.add("cut", "meta l4proto tcp ct direction reply reject with tcp reset", protocol(unix.IPPROTO_TCP), direction(reply), rejectReset())
	p.add("cut", "tcp flags & (fin | syn | rst | ack) != syn ct state new reject with tcp reset", protocol(unix.IPPROTO_TCP),
		flags(tcpFIN|tcpSYN|tcpRST|tcpACK), differ(tcpSYN), state(expr.CtStateBitNEW), rejectReset())
	p.add("cut", "ct direction reply drop", direction(reply), verdict(expr.VerdictDrop, ""))
}
