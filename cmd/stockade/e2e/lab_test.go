package e2e

import (
	"encoding/json"
	"fmt"
	"net"
	"os"
	"os/exec"
	"runtime"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/vishvananda/netns"
)

// lab is four hosts: the attacker's addresses live on the internet router, whose network holds the
// gateway's default route.
//
//	internet (attacker 198.51.100.7 and .8) 203.0.113.1 ── 203.0.113.2 gateway 192.0.2.1 ── 192.0.2.10 server
type lab struct {
	t                         testing.TB
	internet, gateway, server string
}

const (
	attacker  = "198.51.100.7"
	bystander = "198.51.100.8"
	gwOut     = "203.0.113.2"
	gwLAN     = "192.0.2.1"
	server    = "192.0.2.10"

	attacker6  = "2001:db8:a:7::1"
	bystander6 = "2001:db8:a:8::1"
	gwOut6     = "2001:db8:f::2"
	server6    = "2001:db8:1::10"
)

var labs atomic.Int32 // made so far

func newLab(t testing.TB) *lab {
	t.Helper()
	requireRoot(t)
	requirePrograms(t, "ip", "nft")
	number := labs.Add(1)
	name := func(host string) string { return fmt.Sprintf("stk%d-%d-%s", os.Getpid(), number, host) }
	l := &lab{t: t, internet: name("net"), gateway: name("gw"), server: name("srv")}
	for _, ns := range []string{l.internet, l.gateway, l.server} {
		sh(t, "", "ip", "netns", "add", ns)
		t.Cleanup(func() { _ = exec.Command("ip", "netns", "del", ns).Run() })
		sh(t, ns, "ip", "link", "set", "lo", "up")
		sh(t, ns, "sysctl", "-qw", "net.ipv6.conf.all.accept_dad=0", "net.ipv6.conf.default.accept_dad=0")
	}
	l.cable(l.internet, "gw0", l.gateway, "wan0")
	l.cable(l.gateway, "lan0", l.server, "eth0")
	for _, a := range []string{"203.0.113.1/24", attacker + "/32", bystander + "/32", "2001:db8:f::1/64", attacker6 + "/64", bystander6 + "/64"} {
		l.addr(l.internet, "gw0", a)
	}
	l.addr(l.gateway, "wan0", gwOut+"/24")
	l.addr(l.gateway, "wan0", gwOut6+"/64")
	l.addr(l.gateway, "lan0", gwLAN+"/24")
	l.addr(l.gateway, "lan0", "2001:db8:1::1/64")
	l.addr(l.server, "eth0", server+"/24")
	l.addr(l.server, "eth0", server6+"/64")
	sh(t, l.gateway, "sysctl", "-qw", "net.ipv4.ip_forward=1", "net.ipv6.conf.all.forwarding=1")
	sh(t, l.gateway, "ip", "route", "add", "default", "via", "203.0.113.1")
	sh(t, l.gateway, "ip", "-6", "route", "add", "default", "via", "2001:db8:f::1")
	sh(t, l.internet, "ip", "route", "add", "192.0.2.0/24", "via", gwOut)
	sh(t, l.internet, "ip", "-6", "route", "add", "2001:db8:1::/64", "via", gwOut6)
	sh(t, l.server, "ip", "route", "add", "default", "via", gwLAN)
	sh(t, l.server, "ip", "-6", "route", "add", "default", "via", "2001:db8:1::1")
	return l
}

func (l *lab) cable(a, aDev, b, bDev string) {
	sh(l.t, a, "ip", "link", "add", aDev, "type", "veth", "peer", "name", bDev, "netns", b)
	sh(l.t, a, "ip", "link", "set", aDev, "up")
	sh(l.t, b, "ip", "link", "set", bDev, "up")
}

func (l *lab) addr(ns, dev, addr string) {
	args := []string{"ip", "addr", "add", addr, "dev", dev}
	if strings.Contains(addr, ":") {
		args = append(args, "nodad")
	}
	sh(l.t, ns, args...)
}

// sh runs a command that must succeed and returns its output.
func sh(t testing.TB, ns string, args ...string) string {
	t.Helper()
	out, err := inNS(ns, args...).CombinedOutput()
	if err != nil {
		t.Fatalf("%s: %v\n%s", strings.Join(args, " "), err, out)
	}
	return string(out)
}

// within runs f on a thread of its own inside a network namespace: sockets it makes are of there.
func within(t testing.TB, ns string, f func() error) error {
	t.Helper()
	done := make(chan error, 1)
	go func() {
		runtime.LockOSThread() // never unlocked: the thread ends with the goroutine
		h, err := netns.GetFromName(ns)
		if err == nil {
			defer func() { _ = h.Close() }()
			err = netns.Set(h)
		}
		if err == nil {
			err = f()
		}
		done <- err
	}()
	return <-done
}

// dial connects from an address of a host. It fails after a second: a dropped packet has no answer.
func (l *lab) dial(ns, from, to string) (conn net.Conn, err error) {
	err = within(l.t, ns, func() error {
		d := net.Dialer{Timeout: time.Second, LocalAddr: &net.TCPAddr{IP: net.ParseIP(from)}}
		conn, err = d.Dial("tcp", to)
		return err
	})
	return conn, err
}

// reachable reports whether a TCP connection from an address of a host can be made.
func (l *lab) reachable(ns, from, to string) bool {
	l.t.Helper()
	conn, err := l.dial(ns, from, to)
	if err != nil {
		return false
	}
	conn.Close()
	return true
}

// echo serves on a host until the test ends: it sends back what it gets.
func (l *lab) echo(ns, address string) {
	l.t.Helper()
	var ln net.Listener
	if err := within(l.t, ns, func() (err error) { ln, err = net.Listen("tcp", address); return err }); err != nil {
		l.t.Fatal(err)
	}
	l.t.Cleanup(func() { ln.Close() })
	go func() {
		for {
			conn, err := ln.Accept()
			if err != nil {
				return
			}
			go func() {
				defer conn.Close()
				buf := make([]byte, 1024)
				for {
					n, err := conn.Read(buf)
					if err != nil {
						return
					}
					if _, err := conn.Write(buf[:n]); err != nil {
						return
					}
				}
			}()
		}
	}()
}

// element is one element of a set, as nft reads it back.
type element struct {
	address string
	expires time.Duration // 0: never
	comment string
}

// set reads a set of table inet stockade with nft.
func set(t testing.TB, ns, name string) []element {
	t.Helper()
	out, err := inNS(ns, "nft", "-j", "list", "set", "inet", "stockade", name).Output()
	if err != nil {
		return nil // no such set: nothing of ours was ever loaded
	}
	var doc struct {
		NFTables []struct {
			Set *struct {
				Elem []json.RawMessage `json:"elem"`
			} `json:"set"`
		} `json:"nftables"`
	}
	if err := json.Unmarshal(out, &doc); err != nil {
		t.Fatalf("nft -j: %v", err)
	}
	var list []element
	for _, o := range doc.NFTables {
		if o.Set == nil {
			continue
		}
		for _, raw := range o.Set.Elem {
			list = append(list, parseElement(t, raw))
		}
	}
	return list
}

func parseElement(t testing.TB, raw json.RawMessage) element {
	t.Helper()
	var plain string
	if json.Unmarshal(raw, &plain) == nil {
		return element{address: plain}
	}
	var full struct {
		Elem struct {
			Val     json.RawMessage `json:"val"`
			Expires int64           `json:"expires"`
			Comment string          `json:"comment"`
		} `json:"elem"`
	}
	if err := json.Unmarshal(raw, &full); err != nil {
		t.Fatalf("nft -j: element %s: %v", raw, err)
	}
	return element{strings.Trim(string(full.Elem.Val), `"`), time.Duration(full.Elem.Expires) * time.Second, full.Elem.Comment}
}

// holds reports whether a set has an address.
func holds(t testing.TB, ns, name, address string) bool {
	t.Helper()
	for _, e := range set(t, ns, name) {
		if e.address == address {
			return true
		}
	}
	return false
}

// newHost makes one host without cables: its traffic stays on its loopback.
func newHost(t testing.TB) string {
	t.Helper()
	requireRoot(t)
	requirePrograms(t, "ip", "nft")
	ns := fmt.Sprintf("stk%d-%d", os.Getpid(), labs.Add(1))
	sh(t, "", "ip", "netns", "add", ns)
	t.Cleanup(func() { _ = exec.Command("ip", "netns", "del", ns).Run() })
	sh(t, ns, "ip", "link", "set", "lo", "up")
	return ns
}

// open connects to an address of a host from that host itself.
func open(t testing.TB, ns, network, address string) net.Conn {
	t.Helper()
	var conn net.Conn
	dial := func() (err error) { conn, err = net.Dial(network, address); return err }
	if ns == "" {
		if err := dial(); err != nil {
			t.Fatal(err)
		}
	} else if err := within(t, ns, dial); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	return conn
}
