package nft

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"os"
	"testing"
	"time"

	"github.com/vishvananda/netlink"
	"github.com/vishvananda/netns"
	"golang.org/x/sys/unix"

	"stockade/firewall"
)

// The addresses of the lab: an attacker with two neighbours on either side, the gateway that
// Stockade runs on, and a server in the LAN behind it.
const (
	attacker4, below4, above4 = "192.0.2.7", "192.0.2.6", "192.0.2.8"
	attacker6, below6, above6 = "2001:db8:a:7::1", "2001:db8:a:6:ffff:ffff:ffff:ffff", "2001:db8:a:8::"
	gateway4, gateway6        = "192.0.2.1", "2001:db8:a::1"
	server4, server6          = "10.0.0.2", "2001:db8:b::2"
)

// lab is three network namespaces in a row.
type lab struct {
	*testing.T
	attacker, gateway, server netns.NsHandle
	nft                       *Enforcer
}

func newLab(t *testing.T, change ...func(*Options)) *lab {
	t.Helper()
	requireKernel(t, "nft")
	l := &lab{T: t, attacker: newNamespace(t), gateway: newNamespace(t), server: newNamespace(t)}
	for _, ns := range []netns.NsHandle{l.attacker, l.gateway, l.server} {
		l.sysctl(ns, "net/ipv6/conf/all/accept_dad", "0")
		l.sysctl(ns, "net/ipv6/conf/default/accept_dad", "0")
		l.sysctl(ns, "net/ipv4/conf/all/rp_filter", "0")
		l.sysctl(ns, "net/ipv4/conf/default/rp_filter", "0")
	}
	l.sysctl(l.gateway, "net/ipv4/ip_forward", "1")
	l.sysctl(l.gateway, "net/ipv6/conf/all/forwarding", "1")
	l.cable(l.attacker, "wan", []string{attacker4 + "/24", below4 + "/24", above4 + "/24", attacker6 + "/48", below6 + "/48", above6 + "/48"},
		l.gateway, "wan", []string{gateway4 + "/24", gateway6 + "/48"})
	l.cable(l.server, "lan", []string{server4 + "/24", server6 + "/64"},
		l.gateway, "lan", []string{"10.0.0.1/24", "2001:db8:b::1/64"})
	l.route(l.attacker, gateway4, gateway6)
	l.route(l.server, "10.0.0.1", "2001:db8:b::1")
	command(t, l.gateway, "nft", `table inet lab { chain pre { type nat hook prerouting priority dstnat;
		ip daddr `+gateway4+` tcp dport 8080 dnat ip to `+server4+`:80;
		ip6 daddr `+gateway6+` tcp dport 8080 dnat ip6 to [`+server6+`]:80;
	}; }`)
	l.nft = openIn(t, l.gateway, change...)
	return l
}

func (l *lab) sysctl(ns netns.NsHandle, key, value string) {
	l.Helper()
	if err := in(ns, func() error { return os.WriteFile("/proc/sys/"+key, []byte(value), 0) }); err != nil {
		l.Fatalf("sysctl: %v", err)
	}
}

// cable joins two namespaces with a pair of interfaces and gives each end its addresses.
func (l *lab) cable(a netns.NsHandle, nameA string, addrsA []string, b netns.NsHandle, nameB string, addrsB []string) {
	l.Helper()
	must := func(err error) {
		l.Helper()
		if err != nil {
			l.Fatalf("cable: %v", err)
		}
	}
	ha := handle(l.T, a)
	veth := &netlink.Veth{LinkAttrs: netlink.NewLinkAttrs(), PeerName: nameB, PeerNamespace: netlink.NsFd(int(b))}
	veth.Name = nameA
	must(ha.LinkAdd(veth))
	for _, end := range []struct {
		h     *netlink.Handle
		name  string
		addrs []string
	}{{ha, nameA, addrsA}, {handle(l.T, b), nameB, addrsB}} {
		link, err := end.h.LinkByName(end.name)
		must(err)
		must(end.h.LinkSetUp(link))
		for _, a := range end.addrs {
			addr, err := netlink.ParseAddr(a)
			must(err)
			addr.Flags |= unix.IFA_F_NODAD
			must(end.h.AddrAdd(link, addr))
		}
	}
}

func (l *lab) route(ns netns.NsHandle, gateways ...string) {
	l.Helper()
	h := handle(l.T, ns)
	for _, g := range gateways {
		ip := net.ParseIP(g)
		if err := h.RouteAdd(&netlink.Route{Gw: ip}); err != nil {
			l.Fatalf("route: %v", err)
		}
	}
}

// echo answers on the port with what it gets, over tcp. Accepted connections go to the channel
// too, when there is one.
func (l *lab) echo(ns netns.NsHandle, port int, accepted chan<- net.Conn) {
	l.Helper()
	var ln net.Listener
	if err := in(ns, func() (err error) {
		ln, err = net.Listen("tcp", fmt.Sprintf(":%d", port))
		return err
	}); err != nil {
		l.Fatal(err)
	}
	l.Cleanup(func() { _ = ln.Close() })
	go func() {
		for {
			c, err := ln.Accept()
			if err != nil {
				return
			}
			if accepted != nil {
				accepted <- c
				continue
			}
			go func() {
				_, _ = io.Copy(c, c)
				_ = c.Close()
			}()
		}
	}()
}

// patience is how long the tests wait for what must not come.
const patience = 250 * time.Millisecond

func (l *lab) dial(ns netns.NsHandle, from, to string, port int, timeout time.Duration) (net.Conn, error) {
	d := net.Dialer{Timeout: timeout}
	if from != "" {
		d.LocalAddr = &net.TCPAddr{IP: net.ParseIP(from)}
	}
	var c net.Conn
	err := in(ns, func() (err error) {
		c, err = d.Dial("tcp", net.JoinHostPort(to, fmt.Sprint(port)))
		return err
	})
	return c, err
}

// exchange sends a word and gets it back.
func exchange(c net.Conn, timeout time.Duration) error {
	if err := c.SetDeadline(time.Now().Add(timeout)); err != nil {
		return err
	}
	if _, err := c.Write([]byte("word")); err != nil {
		return err
	}
	_, err := io.ReadFull(c, make([]byte, 4))
	return err
}

// reaches says whether a connection from there to there is answered.
func (l *lab) reaches(ns netns.NsHandle, from, to string, port int) {
	l.Helper()
	c, err := l.dial(ns, from, to, port, 20*time.Second)
	if err == nil {
		err = exchange(c, 20*time.Second)
		_ = c.Close()
	}
	if err != nil {
		l.Errorf("%s does not reach %s port %d: %v", from, to, port, err)
	}
}

func (l *lab) blocked(ns netns.NsHandle, from, to string, port int) {
	l.Helper()
	c, err := l.dial(ns, from, to, port, patience)
	if err == nil {
		_ = c.Close()
		l.Errorf("%s reaches %s port %d", from, to, port)
		return
	}
	if timeout := net.Error(nil); !errors.As(err, &timeout) || !timeout.Timeout() {
		l.Errorf("%s to %s port %d: %v, want silence", from, to, port, err)
	}
}

func (l *lab) apply(changes ...firewall.Change) {
	l.Helper()
	results, err := l.nft.Apply(context.Background(), changes)
	if err != nil {
		l.Fatal(err)
	}
	for _, r := range results {
		if !r.Enforced {
			l.Fatalf("%v: %v", r.Prefix, r.Err)
		}
	}
}

func (l *lab) ban(prefix string, scope firewall.Scope, v firewall.Verdict) firewall.Change {
	l.Helper()
	c := banChange(prefix, scope, time.Hour)
	c.Verdict = v
	l.apply(c)
	return c
}

func (l *lab) unban(c firewall.Change) {
	l.Helper()
	c.Remove = true
	l.apply(c)
}

func banChange(prefix string, scope firewall.Scope, remaining time.Duration) firewall.Change {
	return firewall.Change{Element: firewall.Element{
		Prefix: netip.MustParsePrefix(prefix), Scope: scope, End: time.Now().Add(remaining), Comment: "sshd",
	}}
}

// eventually waits for a condition.
func eventually(t *testing.T, within time.Duration, what string, holds func() bool) {
	t.Helper()
	deadline := time.Now().Add(within)
	for !holds() {
		if time.Now().After(deadline) {
			t.Fatalf("not within %s: %s", within, what)
		}
		time.Sleep(5 * time.Millisecond)
	}
}

func protect(t *testing.T, e *Enforcer, addrs ...string) {
	t.Helper()
	var never []netip.Prefix
	for _, a := range addrs {
		addr := netip.MustParseAddr(a)
		never = append(never, netip.PrefixFrom(addr, addr.BitLen()))
	}
	if err := e.Protect(context.Background(), never); err != nil {
		t.Fatal(err)
	}
}
