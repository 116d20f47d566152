package nft

import (
	"errors"
	"io"
	"net"
	"os"
	"syscall"
	"testing"
	"time"

	"stockade/firewall"
)

// versions are the attacker, its neighbours and its targets in both families.
var versions = []struct {
	name, attacker, below, above, gateway, server string
	prefixes                                      []string // each of which holds the attacker alone
}{
	{"IPv4", attacker4, below4, above4, gateway4, server4, []string{attacker4 + "/32"}},
	{"IPv6", attacker6, below6, above6, gateway6, server6, []string{"2001:db8:a:7::/64", attacker6 + "/128", "2001:db8:a:7::/65"}},
}

func TestBannedIsDropped(t *testing.T) {
	t.Parallel()
	l := newLab(t)
	l.echo(l.gateway, 22, nil)
	l.echo(l.server, 22, nil)
	l.echo(l.server, 80, nil)
	type target struct {
		to   string
		port int
	}
	for _, v := range versions {
		targets := []target{{v.gateway, 22}, {v.server, 22}, {v.gateway, 8080}}
		for _, prefix := range v.prefixes {
			for _, to := range targets {
				l.reaches(l.attacker, v.attacker, to.to, to.port)
			}
			c := l.ban(prefix, "", firewall.Drop)
			for _, to := range targets {
				l.blocked(l.attacker, v.attacker, to.to, to.port)
				l.reaches(l.attacker, v.below, to.to, to.port)
				l.reaches(l.attacker, v.above, to.to, to.port)
			}
			l.unban(c)
			for _, to := range targets {
				l.reaches(l.attacker, v.attacker, to.to, to.port)
			}
		}
	}
}

func TestScopeIsThePortThatWasDialled(t *testing.T) {
	t.Parallel()
	l := newLab(t)
	l.echo(l.gateway, 22, nil)
	l.echo(l.server, 80, nil)
	for _, v := range versions {
		c := l.ban(v.prefixes[0], "8080/tcp", firewall.Drop)
		l.blocked(l.attacker, v.attacker, v.gateway, 8080)
		l.reaches(l.attacker, v.above, v.gateway, 8080)
		l.reaches(l.attacker, v.attacker, v.gateway, 22)
		l.reaches(l.attacker, v.attacker, v.server, 80)
		l.unban(c)
		c = l.ban(v.prefixes[0], "22,80,8081-65535", firewall.Drop)
		l.reaches(l.attacker, v.attacker, v.gateway, 8080)
		l.blocked(l.attacker, v.attacker, v.gateway, 22)
		l.blocked(l.attacker, v.attacker, v.server, 80)
		l.unban(c)
		c = l.ban(v.prefixes[0], "22/udp", firewall.Drop)
		l.reaches(l.attacker, v.attacker, v.gateway, 22)
		l.unban(c)
	}
}

func TestRejectAnswersAtOnce(t *testing.T) {
	t.Parallel()
	l := newLab(t)
	l.echo(l.gateway, 22, nil)
	l.echo(l.server, 22, nil)
	l.echo(l.server, 80, nil)
	for _, v := range versions {
		for _, scope := range []firewall.Scope{"", "22,8080"} {
			c := l.ban(v.prefixes[0], scope, firewall.Reject)
			for _, to := range []struct {
				to   string
				port int
			}{{v.gateway, 22}, {v.server, 22}, {v.gateway, 8080}} {
				if _, err := l.dial(l.attacker, v.attacker, to.to, to.port, 20*time.Second); !errors.Is(err, syscall.ECONNREFUSED) {
					t.Errorf("scope %q, %s port %d: %v, want a refusal", scope, to.to, to.port, err)
				}
				l.reaches(l.attacker, v.above, to.to, to.port)
			}
			l.unban(c)
			l.reaches(l.attacker, v.attacker, v.server, 22)
		}
	}
}

// TestConnectionsAreCutAtBothEnds: what the attacker opened before the ban carries nothing more,
// and the server's socket ends.
func TestConnectionsAreCutAtBothEnds(t *testing.T) {
	t.Parallel()
	l := newLab(t)
	accepted := make(chan net.Conn, 1)
	l.echo(l.gateway, 22, accepted)
	l.echo(l.server, 22, accepted)
	l.echo(l.server, 80, accepted)
	for _, v := range versions {
		for _, to := range []struct {
			to   string
			port int
		}{{v.gateway, 22}, {v.server, 22}, {v.gateway, 8080}} {
			for _, scope := range []firewall.Scope{"", "22,8080/tcp"} {
				for _, verdict := range []firewall.Verdict{firewall.Drop, firewall.Reject} {
					client, err := l.dial(l.attacker, v.attacker, to.to, to.port, 20*time.Second)
					if err != nil {
						t.Fatal(err)
					}
					served := <-accepted
					c := l.ban(v.prefixes[0], scope, verdict)
					_ = client.SetDeadline(time.Now().Add(patience))
					_, _ = client.Write([]byte("more"))
					_ = served.SetDeadline(time.Now().Add(20 * time.Second))
					if _, err := served.Write([]byte("banner")); err != nil {
						t.Errorf("first write of the server: %v", err)
					}
					if n, err := served.Read(make([]byte, 10)); !errors.Is(err, syscall.ECONNRESET) {
						t.Errorf("%s port %d scope %q %v: the server reads %d, %v, want a reset", to.to, to.port, scope, verdict, n, err)
					}
					if n, err := client.Read(make([]byte, 10)); n > 0 || err == nil || errors.Is(err, io.EOF) {
						t.Errorf("%s port %d scope %q %v: the attacker reads %d, %v", to.to, to.port, scope, verdict, n, err)
					}
					_, _ = client.Close(), served.Close()
					l.unban(c)
				}
			}
		}
	}
}

// TestInsideReachesTheBanned: connections that the LAN or the gateway opens to a banned address
// work, with neighbour discovery done anew.
func TestInsideReachesTheBanned(t *testing.T) {
	t.Parallel()
	l := newLab(t)
	l.echo(l.attacker, 443, nil)
	n := 50
	switch {
	case *long: // T4
		n = 1000
	case testing.Short():
		n = 5
	}
	for _, v := range versions {
		for _, verdict := range []firewall.Verdict{firewall.Drop, firewall.Reject} {
			c := l.ban(v.prefixes[0], "", verdict)
			command(t, l.gateway, "ip", "neigh", "flush", "all")
			command(t, l.attacker, "ip", "neigh", "flush", "all")
			for range n {
				l.reaches(l.server, "", v.attacker, 443)
				l.reaches(l.gateway, "", v.attacker, 443)
			}
			l.unban(c)
		}
	}
}

// TestStreamTowardsTheBannedStops: an answer over UDP that never ends is cut.
func TestStreamTowardsTheBannedStops(t *testing.T) {
	t.Parallel()
	l := newLab(t)
	for _, v := range versions {
		// Both scopes take one socket: a program that another test is just starting may hold a
		// closed one a moment longer than we do.
		var served *net.UDPConn
		if err := in(l.server, func() (err error) {
			served, err = net.ListenUDP("udp", &net.UDPAddr{IP: net.ParseIP(v.server), Port: 5000})
			return err
		}); err != nil {
			t.Fatal(err)
		}
		for _, scope := range []firewall.Scope{"", "5000/udp"} {
			var client net.Conn
			err := in(l.attacker, func() (err error) {
				d := net.Dialer{LocalAddr: &net.UDPAddr{IP: net.ParseIP(v.attacker)}}
				client, err = d.Dial("udp", net.JoinHostPort(v.server, "5000"))
				return err
			})
			if err != nil {
				t.Fatal(err)
			}
			_, _ = client.Write([]byte("start"))
			_ = served.SetDeadline(time.Now().Add(20 * time.Second))
			_, peer, err := served.ReadFromUDPAddrPort(make([]byte, 10))
			if err != nil {
				t.Fatal(err)
			}
			receive := func(wait time.Duration) error {
				_, _ = served.WriteToUDPAddrPort([]byte("stream"), peer)
				_ = client.SetDeadline(time.Now().Add(wait))
				_, err := client.Read(make([]byte, 10))
				return err
			}
			if err := receive(5 * time.Second); err != nil {
				t.Fatalf("before the ban: %v", err)
			}
			c := l.ban(v.prefixes[0], scope, firewall.Drop)
			if err := receive(patience); !errors.Is(err, os.ErrDeadlineExceeded) {
				t.Errorf("%s scope %q: the stream goes on: %v", v.name, scope, err)
			}
			l.unban(c)
			if err := receive(5 * time.Second); err != nil {
				t.Errorf("after the ban: %v", err)
			}
			_ = client.Close()
		}
		_ = served.Close()
	}
}

// TestProtectedPasses: a rule stands before every ban, also one that is wider.
func TestProtectedPasses(t *testing.T) {
	t.Parallel()
	l := newLab(t)
	l.echo(l.gateway, 22, nil)
	for _, v := range []struct{ wide, attacker, protected, gateway string }{
		{"192.0.2.0/28", attacker4, above4, gateway4}, {"2001:db8:a::/49", attacker6, above6, gateway6},
	} {
		c := l.ban(v.wide, "", firewall.Drop)
		l.blocked(l.attacker, v.attacker, v.gateway, 22)
		l.blocked(l.attacker, v.protected, v.gateway, 22)
		protect(t, l.nft, v.protected)
		l.blocked(l.attacker, v.attacker, v.gateway, 22)
		l.reaches(l.attacker, v.protected, v.gateway, 22)
		protect(t, l.nft)
		l.blocked(l.attacker, v.protected, v.gateway, 22)
		l.unban(c)
	}
}
