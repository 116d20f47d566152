package nft

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/vishvananda/netlink"
	"github.com/vishvananda/netns"
	"golang.org/x/sys/unix"

	"stockade/firewall"
)

// TestNothingOfTheBannedPasses: what conntrack knows nothing of, or holds to be wrong, is dropped
// as well.
func TestNothingOfTheBannedPasses(t *testing.T) {
	t.Parallel()
	l := newLab(t)
	l.echo(l.server, 22, nil)
	shapes := []byte{tcpACK, tcpRST, tcpRST | tcpACK, tcpFIN | tcpACK, tcpSYN | tcpACK, 0, tcpSYN, tcpFIN | tcpSYN, 0xff}
	for _, v := range versions {
		arrived := l.countArrivals(v.attacker)
		flood := func() {
			l.sendRaw(10*len(shapes), func(i int) []byte {
				return rawSegment(v.attacker, v.server, uint16(20000+i), 22, shapes[i%len(shapes)], uint32(i)*77777, uint32(i)*99999)
			})
		}
		flood()
		eventually(t, 10*time.Second, "packets arrive before the ban", func() bool { return arrived() != "0" })
		for _, scope := range []firewall.Scope{"", "22"} {
			for _, untracked := range []bool{false, true} {
				if untracked {
					command(t, l.gateway, "nft", "table inet raw { chain pre { type filter hook prerouting priority -300; "+family(v.attacker)+" saddr "+v.attacker+" notrack; }; }")
				}
				c := l.ban(v.prefixes[0], scope, firewall.Drop)
				before := arrived()
				for again := arrived(); again != before; again = arrived() {
					before = again // what was under way
				}
				flood()
				l.blocked(l.attacker, v.attacker, v.server, 22)
				if after := arrived(); after != before {
					t.Errorf("%s scope %q untracked %v: %s packets before, %s after", v.name, scope, untracked, before, after)
				}
				l.unban(c)
				if untracked {
					command(t, l.gateway, "nft", "delete table inet raw")
				}
			}
		}
	}
}

// TestOneWayPath: the gateway sees what the attacker sends and not what is answered, so that all but
// the first packet is INVALID to conntrack.
func TestOneWayPath(t *testing.T) {
	t.Parallel()
	l := newLab(t)
	l.cable(l.server, "back", []string{"10.1.0.2/24", "2001:db8:c::2/64"}, l.attacker, "back", []string{"10.1.0.1/24", "2001:db8:c::1/64"})
	command(t, l.server, "ip", "route", "add", attacker4+"/32", "via", "10.1.0.1")
	command(t, l.server, "ip", "-6", "route", "add", attacker6+"/128", "via", "2001:db8:c::1")
	accepted := make(chan net.Conn, 1)
	l.echo(l.server, 22, accepted)
	for _, v := range versions {
		for _, scope := range []firewall.Scope{"", "22"} {
			client, err := l.dial(l.attacker, v.attacker, v.server, 22, 20*time.Second)
			if err != nil {
				t.Fatalf("%s: before the ban: %v", v.name, err)
			}
			served := <-accepted
			arrives := func(wait time.Duration) error {
				_, _ = client.Write([]byte("word"))
				_ = served.SetReadDeadline(time.Now().Add(wait))
				_, err := served.Read(make([]byte, 10))
				return err
			}
			if err := arrives(5 * time.Second); err != nil {
				t.Fatalf("%s: before the ban: %v", v.name, err)
			}
			c := l.ban(v.prefixes[0], scope, firewall.Drop)
			if err := arrives(patience); !errors.Is(err, os.ErrDeadlineExceeded) {
				t.Errorf("%s scope %q: the open connection goes on: %v", v.name, scope, err)
			}
			l.blocked(l.attacker, v.attacker, v.server, 22)
			l.unban(c)
			_, _ = client.Close(), served.Close()
		}
	}
}

// TestNeighboursAreFound: a banned host on our own link and the gateway go on finding each other, so
// that connections from inside to it work; see TestInsideReachesTheBanned.
func TestNeighboursAreFound(t *testing.T) {
	t.Parallel()
	l := newLab(t)
	for _, prefix := range versions[1].prefixes {
		c := l.ban(prefix, "", firewall.Drop)
		for _, pair := range []struct {
			ns       netns.NsHandle
			from, to string
		}{{l.attacker, attacker6, gateway6}, {l.gateway, gateway6, attacker6}} {
			command(t, pair.ns, "ip", "-6", "neigh", "flush", "dev", "wan")
			err := in(pair.ns, func() error {
				d := net.Dialer{LocalAddr: &net.UDPAddr{IP: net.ParseIP(pair.from)}}
				conn, err := d.Dial("udp", net.JoinHostPort(pair.to, "9"))
				if err == nil {
					_, _ = conn.Write([]byte("anybody?"))
					err = conn.Close()
				}
				return err
			})
			if err != nil {
				t.Fatal(err)
			}
			eventually(t, 20*time.Second, pair.from+" finds "+pair.to, func() bool {
				return strings.Contains(command(t, pair.ns, "ip", "-6", "neigh", "show", "to", pair.to, "dev", "wan"), "lladdr")
			})
		}
		l.unban(c)
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
			client, err := l.dial(l.attacker, attacker4, server4, 22, 20*time.Second)
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
			_ = served.SetDeadline(time.Now().Add(20 * time.Second))
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
	spoofed := func(i int, to string) string {
		if strings.Contains(to, ":") {
			return netip.AddrFrom16([16]byte{0x20, 0x01, 0x0d, 0xb8, 0, 0xf, byte(i >> 8), byte(i), 15: 1}).String()
		}
		return netip.AddrFrom4([4]byte{198, 51, byte(100 + i>>8&3), byte(i)}).String()
	}
	for _, flags := range []byte{tcpSYN, tcpACK} {
		for _, to := range []string{gateway4, server4, gateway6, server6} {
			l.sendRaw(n/8, func(i int) []byte {
				// A SYN, or an ACK, and then ACKs that conntrack takes when their guess is near.
				f, seq := flags, uint32(i/8)*1e6
				if i%8 > 0 {
					f = tcpACK
					seq++
				}
				return rawSegment(spoofed(i/8, to), to, uint16(1024+i/8%60000), 22, f, seq, uint32(i%8)<<29+uint32(i))
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
	var got []firewall.Usage
	eventually(t, 20*time.Second, "the packets are counted", func() bool { // they may still wait for their processor
		var err error
		if got, err = l.nft.Usage(t.Context(), elements); err != nil {
			t.Fatal(err)
		}
		return got[0].Counters.Packets >= 7 && got[1].Counters.Packets >= 3 && got[2].Counters.Packets > 0
	})
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
				c, err := l.dial(l.attacker, src, v.server, port, 20*time.Second)
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
