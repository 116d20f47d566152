package nft

import (
	"encoding/binary"
	"fmt"
	"net"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"

	"stockade/firewall"
)

// rawSegment is an IPv4 packet with a TCP segment, checksums right.
func rawSegment(src, dst string, srcPort, dstPort uint16, flags byte, seq, ack uint32) []byte {
	p := make([]byte, 40)
	p[0] = 0x45
	binary.BigEndian.PutUint16(p[2:], 40)
	p[8], p[9] = 64, unix.IPPROTO_TCP
	s, d := netip.MustParseAddr(src).As4(), netip.MustParseAddr(dst).As4()
	copy(p[12:], s[:])
	copy(p[16:], d[:])
	tcp := p[20:]
	binary.BigEndian.PutUint16(tcp, srcPort)
	binary.BigEndian.PutUint16(tcp[2:], dstPort)
	binary.BigEndian.PutUint32(tcp[4:], seq)
	binary.BigEndian.PutUint32(tcp[8:], ack)
	tcp[12], tcp[13] = 5<<4, flags
	binary.BigEndian.PutUint16(tcp[14:], 65535)
	sum := uint32(unix.IPPROTO_TCP + 20)
	for i := 12; i < 20; i += 2 {
		sum += uint32(binary.BigEndian.Uint16(p[i:]))
	}
	for i := 0; i < 20; i += 2 {
		sum += uint32(binary.BigEndian.Uint16(tcp[i:]))
	}
	for sum > 0xffff {
		sum = sum>>16 + sum&0xffff
	}
	binary.BigEndian.PutUint16(tcp[16:], ^uint16(sum))
	return p
}

// sendRaw sends packets with whatever source they have, from the attacker's namespace.
func (l *lab) sendRaw(n int, packet func(i int) []byte) {
	l.Helper()
	err := in(l.attacker, func() error {
		fd, err := unix.Socket(unix.AF_INET, unix.SOCK_RAW, unix.IPPROTO_RAW)
		if err != nil {
			return err
		}
		defer func() { _ = unix.Close(fd) }()
		for i := range n {
			p := packet(i)
			if err := unix.Sendto(fd, p, 0, &unix.SockaddrInet4{Addr: [4]byte(p[16:20])}); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		l.Fatalf("raw socket: %v", err)
	}
}

// arrivals counts what reaches the server from the attacker, by a rule in the server.
func (l *lab) countArrivals() func() string {
	l.Helper()
	command(l.T, l.server, "nft", "table ip arrivals { counter c { }; chain pre { type filter hook prerouting priority -300; ip saddr "+attacker4+" counter name c; }; }")
	return func() string {
		out := command(l.T, l.server, "nft", "list counters table ip arrivals")
		_, rest, _ := strings.Cut(out, "packets ")
		packets, _, _ := strings.Cut(rest, " ")
		return packets
	}
}

// TestNothingOfTheBannedPasses: what conntrack knows nothing of, or holds to be wrong, is dropped
// as well.
func TestNothingOfTheBannedPasses(t *testing.T) {
	t.Parallel()
	l := newLab(t)
	l.echo(l.server, 22, nil)
	arrived := l.countArrivals()
	shapes := []byte{tcpACK, tcpRST, tcpRST | tcpACK, tcpFIN | tcpACK, tcpSYN | tcpACK, 0, tcpSYN, tcpFIN | tcpSYN, 0xff}
	flood := func() {
		l.sendRaw(10*len(shapes), func(i int) []byte {
			return rawSegment(attacker4, server4, uint16(20000+i), 22, shapes[i%len(shapes)], uint32(i)*77777, uint32(i)*99999)
		})
	}
	flood()
	eventually(t, 10*time.Second, "packets arrive before the ban", func() bool { return arrived() != "0" })
	for _, scope := range []firewall.Scope{"", "22"} {
		for _, untracked := range []bool{false, true} {
			if untracked {
				command(t, l.gateway, "nft", "table ip raw { chain pre { type filter hook prerouting priority -300; ip saddr "+attacker4+" notrack; }; }")
			}
			c := l.ban(attacker4+"/32", scope, firewall.Drop)
			before := arrived()
			for again := arrived(); again != before; again = arrived() {
				before = again // what was under way
			}
			flood()
			l.blocked(l.attacker, attacker4, server4, 22)
			if after := arrived(); after != before {
				t.Errorf("scope %q untracked %v: %s packets before, %s after", scope, untracked, before, after)
			}
			l.unban(c)
			if untracked {
				command(t, l.gateway, "nft", "delete table ip raw")
			}
		}
	}
}

// TestPickedUpConnectionsAreCut: conntrack forgets a connection and picks it up from its middle.
func TestPickedUpConnectionsAreCut(t *testing.T) {
	t.Parallel()
	l := newLab(t)
	accepted := make(chan net.Conn, 1)
	l.echo(l.server, 22, accepted)
	for _, scope := range []firewall.Scope{"", "22/tcp"} {
		for _, first := range []string{"attacker", "server"} {
			client, err := l.dial(l.attacker, attacker4, server4, 22, 5*time.Second)
			if err != nil {
				t.Fatal(err)
			}
			served := <-accepted
			c := l.ban(attacker4+"/32", scope, firewall.Drop)
			h, err := conntrackHandle(int(l.gateway))
			if err != nil {
				t.Fatal(err)
			}
			if err := h.ConntrackTableFlush(netlink.ConntrackTable); err != nil {
				t.Fatal(err)
			}
			h.Close()
			if first == "attacker" {
				_, _ = client.Write([]byte("more"))
			}
			_ = served.SetDeadline(time.Now().Add(5 * time.Second))
			_, _ = served.Write([]byte("banner"))
			if n, err := served.Read(make([]byte, 10)); err == nil || !strings.Contains(err.Error(), "reset") {
				t.Errorf("scope %q, %s first: the server reads %d, %v, want a reset", scope, first, n, err)
			}
			_ = client.SetDeadline(time.Now().Add(patience))
			if n, err := client.Read(make([]byte, 10)); n > 0 || err == nil {
				t.Errorf("scope %q, %s first: the attacker reads %d, %v", scope, first, n, err)
			}
			_, _ = client.Close(), served.Close()
			l.unban(c)
		}
	}
}

// TestWitnesses: a completed handshake makes one; spoofed SYNs and blind ACKs do not.
func TestWitnesses(t *testing.T) {
	t.Parallel()
	l := newLab(t)
	l.echo(l.gateway, 22, nil)
	l.echo(l.server, 22, nil)
	n := 20_000
	switch {
	case *long:
		n = 1_000_000
	case testing.Short():
		n = 2000
	}
	spoofed := func(i int) string {
		return netip.AddrFrom4([4]byte{198, 51, byte(100 + i>>8&3), byte(i)}).String()
	}
	for _, flags := range []byte{tcpSYN, tcpACK} {
		for _, to := range []string{gateway4, server4} {
			l.sendRaw(n/4, func(i int) []byte {
				// A SYN, or an ACK, and then ACKs that conntrack takes when their guess is near.
				f, seq := flags, uint32(i/8)*1e6
				if i%8 > 0 {
					f = tcpACK
					seq++
				}
				return rawSegment(spoofed(i/8), to, uint16(1024+i/8%60000), 22, f, seq, uint32(i%8)<<29+uint32(i))
			})
		}
	}
	for _, set := range []string{seen4, seen6} {
		if got := listSet(t, l.gateway, set); len(got) > 0 {
			t.Fatalf("%d spoofed packets made %d witnesses in %s: %v", n, len(got), set, got[:1])
		}
	}
	t.Logf("%d spoofed packets made no witness", n)
	l.reaches(l.attacker, attacker4, gateway4, 22)
	l.reaches(l.attacker, attacker6, server6, 22)
	addrs := []netip.Addr{
		netip.MustParseAddr(attacker4), netip.MustParseAddr("::ffff:" + attacker4), netip.MustParseAddr(below4), netip.MustParseAddr(above4),
		netip.MustParseAddr(attacker6), netip.MustParseAddr("2001:db8:a:7::99"), netip.MustParseAddr(below6), netip.MustParseAddr(above6),
	}
	got, err := l.nft.Witnessed(t.Context(), addrs)
	if want := "[true true false false true true false false]"; err != nil || fmt.Sprint(got) != want {
		t.Errorf("witnesses %v (%v), want %v", got, err, want)
	}
}

// TestUsageCounts: the kernel counts what each ban stops.
func TestUsageCounts(t *testing.T) {
	t.Parallel()
	l := newLab(t)
	elements := []firewall.Element{
		banChange(attacker4+"/32", "", time.Hour).Element, banChange("192.0.2.0/29", "", time.Hour).Element,
		banChange(attacker6+"/128", "22", time.Hour).Element, banChange(below4+"/32", "", time.Hour).Element,
	}
	for _, e := range elements[:3] {
		l.apply(firewall.Change{Element: e})
	}
	l.sendRaw(7, func(int) []byte { return rawSegment(attacker4, server4, 1111, 22, tcpSYN, 1, 0) })
	l.sendRaw(3, func(int) []byte { return rawSegment(below4, server4, 1111, 22, tcpSYN, 1, 0) })
	l.blocked(l.attacker, attacker6, gateway6, 22)
	got, err := l.nft.Usage(t.Context(), elements)
	if err != nil {
		t.Fatal(err)
	}
	if got[0] != (firewall.Usage{Present: true, Counters: firewall.Counters{Packets: 7, Bytes: 280}}) || got[1] != (firewall.Usage{Present: true, Counters: firewall.Counters{Packets: 3, Bytes: 120}}) ||
		!got[2].Present || got[2].Counters.Packets == 0 || got[3].Present {
		t.Errorf("%+v", got)
	}
	listed := make(map[netip.Prefix]firewall.Counters)
	if err := l.nft.Elements(t.Context(), func(e firewall.Element, c firewall.Counters) bool {
		listed[e.Prefix] = c
		return true
	}); err != nil {
		t.Fatal(err)
	}
	for i, e := range elements[:3] {
		if listed[e.Prefix] != got[i].Counters {
			t.Errorf("%v: listed %+v, asked for %+v", e.Prefix, listed[e.Prefix], got[i].Counters)
		}
	}
}

// TestForgetEndsConnections: with a flowtable the connections of the banned are forgotten, and no
// others.
func TestForgetEndsConnections(t *testing.T) {
	t.Parallel()
	l := newLab(t)
	l.echo(l.server, 22, nil)
	l.echo(l.server, 80, nil)
	l.nft.flowtable = true // no kernel at hand has them
	flows := func() (out []string) {
		t.Helper()
		h, err := conntrackHandle(int(l.gateway))
		if err != nil {
			t.Fatal(err)
		}
		defer h.Close()
		for _, f := range []netlink.InetFamily{unix.AF_INET, unix.AF_INET6} {
			list, err := h.ConntrackTableList(netlink.ConntrackTable, f)
			if err != nil {
				t.Fatal(err)
			}
			for _, flow := range list {
				out = append(out, fmt.Sprintf("%s %d", flow.Forward.SrcIP, flow.Forward.DstPort))
			}
		}
		return out
	}
	for _, v := range versions {
		for _, src := range []string{v.attacker, v.above} {
			for _, port := range []int{22, 80} {
				c, err := l.dial(l.attacker, src, v.server, port, 5*time.Second)
				if err != nil {
					t.Fatal(err)
				}
				t.Cleanup(func() { _ = c.Close() })
			}
		}
		has := func(src string, port int) bool {
			return strings.Contains(strings.Join(flows(), ",")+",", fmt.Sprintf("%s %d,", src, port))
		}
		if !has(v.attacker, 22) || !has(v.attacker, 80) || !has(v.above, 22) {
			t.Fatalf("connections: %v", flows())
		}
		l.ban(v.prefixes[0], "22", firewall.Drop)
		if has(v.attacker, 22) || !has(v.attacker, 80) || !has(v.above, 22) {
			t.Errorf("after a ban of port 22: %v", flows())
		}
		l.ban(v.prefixes[0], "", firewall.Drop)
		if has(v.attacker, 80) || !has(v.above, 80) {
			t.Errorf("after a ban: %v", flows())
		}
	}
}
