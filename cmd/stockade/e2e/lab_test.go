package e2e

import (
	"net"
	"strings"
	"testing"
	"time"

	"stockade/cmd/stockade/e2e/rig"
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

func newLab(t testing.TB) *lab {
	t.Helper()
	l := &lab{t: t, internet: rig.NewNS(t), gateway: rig.NewNS(t), server: rig.NewNS(t)}
	for _, ns := range []string{l.internet, l.gateway, l.server} {
		rig.Sh(t, ns, "sysctl", "-qw", "net.ipv6.conf.all.accept_dad=0", "net.ipv6.conf.default.accept_dad=0")
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
	rig.Sh(t, l.gateway, "sysctl", "-qw", "net.ipv4.ip_forward=1", "net.ipv6.conf.all.forwarding=1")
	rig.Sh(t, l.gateway, "ip", "route", "add", "default", "via", "203.0.113.1")
	rig.Sh(t, l.gateway, "ip", "-6", "route", "add", "default", "via", "2001:db8:f::1")
	rig.Sh(t, l.internet, "ip", "route", "add", "192.0.2.0/24", "via", gwOut)
	rig.Sh(t, l.internet, "ip", "-6", "route", "add", "2001:db8:1::/64", "via", gwOut6)
	rig.Sh(t, l.server, "ip", "route", "add", "default", "via", gwLAN)
	rig.Sh(t, l.server, "ip", "-6", "route", "add", "default", "via", "2001:db8:1::1")
	return l
}

func (l *lab) cable(a, aDev, b, bDev string) {
	rig.Sh(l.t, a, "ip", "link", "add", aDev, "type", "veth", "peer", "name", bDev, "netns", b)
	rig.Sh(l.t, a, "ip", "link", "set", aDev, "up")
	rig.Sh(l.t, b, "ip", "link", "set", bDev, "up")
}

func (l *lab) addr(ns, dev, addr string) {
	args := []string{"ip", "addr", "add", addr, "dev", dev}
	if strings.Contains(addr, ":") {
		args = append(args, "nodad")
	}
	rig.Sh(l.t, ns, args...)
}

// dial connects from an address of a host. It fails after a second: a dropped packet has no answer.
func (l *lab) dial(ns, from, to string) (conn net.Conn, err error) {
	err = rig.Inside(ns, func() error {
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

// reaches is reachable of who must be let through: on a busy machine a packet may be late.
func (l *lab) reaches(ns, from, to string) bool {
	l.t.Helper()
	return rig.Soon(30*time.Second, func() bool { return l.reachable(ns, from, to) })
}

// echo serves on a host until the test ends: it sends back what it gets.
func (l *lab) echo(ns, address string) {
	l.t.Helper()
	var ln net.Listener
	if err := rig.Inside(ns, func() (err error) { ln, err = net.Listen("tcp", address); return err }); err != nil {
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
