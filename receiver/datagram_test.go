package receiver

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"stockade/receiver/receivertest"
)

func TestUDPDeliversDatagramsWithTheirPeer(t *testing.T) {
	r := start(t, loopback("udp"), local, nil)
	c := r.dial()
	r.send(c, "<38>Nov 24 06:00:00 web1 sshd[7]: one")
	r.send(c, "<38>1 2026-11-24T06:00:00Z web1 sshd 7 - - two\nlines")
	got := r.lines(2)
	if got[0].text != "one" || got[0].app != "sshd" || got[0].source != "local" || got[1].text != "two\nlines" {
		t.Fatalf("got %+v", got)
	}
	p := got[0].peer
	want := netip.MustParseAddrPort(c.LocalAddr().String())
	if p.Level != LevelOnLink || p.Addr != want || p.UID != -1 || got[0].origin.Known {
		t.Fatalf("peer %+v, want onlink %s without origin", p, want)
	}
	if got, want := r.String(), "udp listener "+r.Addr().String(); got != want {
		t.Fatalf("name %q, want %q", got, want)
	}
}

func TestUDPOverIPv6(t *testing.T) {
	if c, err := net.ListenPacket("udp", "[::1]:0"); err != nil {
		receivertest.Need(t, false, "IPv6 on loopback")
	} else {
		_ = c.Close()
	}
	cfg := loopback("udp")
	cfg.Address = ":0"
	r := start(t, cfg, local, nil)
	port := r.Addr().(*net.UDPAddr).Port
	for _, host := range []string{"::1", "127.0.0.1"} {
		c, err := net.Dial("udp", net.JoinHostPort(host, fmt.Sprint(port)))
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		r.send(c, "<38>hello from "+host)
	}
	for _, l := range r.lines(2) {
		if l.peer.Level != LevelOnLink || !strings.HasSuffix(l.raw, l.peer.Addr.Addr().String()) {
			t.Errorf("line %+v has the wrong peer", l)
		}
	}
}

func TestUnknownUDPPeerIsRefusedAndCountedBeforeDecoding(t *testing.T) {
	r := start(t, loopback("udp"), []SourceConfig{{Name: "lan", Addresses: []string{"192.0.2.0/24"}}}, nil)
	c := r.dial()
	for range 100 {
		r.send(c, "<38>sshd[7]: no")
	}
	r.wait("refusals", func() bool { return r.refusals(ReasonUnknownPeer) == 100 })
	if n := entries(r.Stats()); n != 0 {
		t.Fatalf("%d entries were decoded", n)
	}
	log := r.log.String()
	if n := strings.Count(log, "refused"); n != 1 {
		t.Fatalf("%d log lines for one peer, want 1:\n%s", n, log)
	}
	if want := `sources: [{name: NAME, listener: l, addresses: [127.0.0.1], jails: [\"*\"]}]`; !strings.Contains(log, want) {
		t.Fatalf("log lacks %s:\n%s", want, log)
	}
}

func TestDatagramOnTheWrongInterfaceIsRefused(t *testing.T) {
	lo, err := net.InterfaceByName("lo")
	receivertest.Need(t, err == nil, "an interface lo")
	other := lo.Index + 1000
	networks := []link{
		{index: lo.Index, name: "lo", loopback: true, prefixes: []netip.Prefix{netip.MustParsePrefix("127.0.0.2/32")}},
		{index: other, name: "br-lan", prefixes: []netip.Prefix{netip.MustParsePrefix("127.0.0.1/24")}},
	}
	for _, tt := range []struct {
		name  string
		links []link
		iface string
		want  Level
	}{
		{"the owner of the prefix is on link", []link{{index: lo.Index, name: "lo", prefixes: networks[1].prefixes}}, "", LevelOnLink},
		{"the network of another interface is refused", networks[1:], "", LevelNone},
		{"an address of this host comes over loopback", networks, "", LevelOnLink},
		{"a network that nobody owns is spoofable", networks[:1], "", LevelSpoofable},
		{"the named interface is on link", networks, "lo", LevelOnLink},
		{"the named interface is another", networks, "br-lan", LevelNone},
		{"the named interface does not exist", networks, "gone", LevelNone},
	} {
		t.Run(tt.name, func(t *testing.T) {
			sources := []SourceConfig{{Name: "lan", Addresses: []string{"127.0.0.0/8"}, Interface: tt.iface}}
			r := start(t, loopback("udp"), sources, func(l *Listener) {
				l.links.list = func() ([]link, error) { return tt.links, nil }
				if err := l.links.refresh(); err != nil {
					t.Fatal(err)
				}
			})
			r.send(r.dial(), "<38>sshd[7]: hello")
			if tt.want != LevelNone {
				if got := r.lines(1)[0].peer.Level; got != tt.want {
					t.Fatalf("level %s, want %s", got, tt.want)
				}
				return
			}
			r.wait("refusal", func() bool { return r.refusals(ReasonInterface) == 1 })
			s := r.registry.Load().All()[0]
			if all := s.Refused.All(); len(all) != 1 || all[0].Reason != ReasonInterface || r.rec.count() != 0 {
				t.Fatalf("source refused %v, %d lines", all, r.rec.count())
			}
		})
	}
}

func TestUDPAddressInUseIsSaid(t *testing.T) {
	r := start(t, loopback("udp"), local, nil)
	cfg := loopback("udp")
	cfg.Address = r.Addr().String()
	_, err := Listen(Options{Config: cfg, Registry: r.registry, Open: r.rec.open, Log: r.Listener.log})
	if !errors.Is(err, unix.EADDRINUSE) || !strings.Contains(err.Error(), cfg.Address) {
		t.Fatalf("error %v, want address %s in use", err, cfg.Address)
	}
}

func TestUnixgramCarriesKernelCredentials(t *testing.T) {
	cfg := ListenerConfig{Transport: "unixgram", Path: socketPath(t), Mode: "0640"}
	r := start(t, cfg, []SourceConfig{{Name: "any"}}, nil)
	info, err := os.Stat(cfg.Path)
	if err != nil || info.Mode().Perm() != 0o640 {
		t.Fatalf("mode %v, error %v, want 0640", info.Mode(), err)
	}
	c := r.dial()
	r.send(c, "<38>Nov 24 06:00:00 sshd[7]: hello\n")
	got := r.lines(1)[0]
	uid := int64(os.Getuid())
	want := Peer{Level: LevelKernel, UID: uid, GID: int64(os.Getgid()), PID: int64(os.Getpid())}
	if got.peer != want || !got.origin.Known || int64(got.origin.UID) != uid || got.text != "hello" {
		t.Fatalf("got %+v, want peer %+v", got, want)
	}
	if r.String() != "unixgram listener "+cfg.Path {
		t.Fatalf("name %q", r)
	}
	if err := r.stop(); err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(cfg.Path); !os.IsNotExist(err) {
		t.Fatalf("socket file is left: %v", err)
	}
}

func TestUnixUserWithoutSourceIsRefused(t *testing.T) {
	cfg := ListenerConfig{Transport: "unixgram", Path: socketPath(t)}
	stranger := uint32(os.Getuid() + 1) //nolint:gosec // a uid fits
	r := start(t, cfg, []SourceConfig{{Name: "other", UID: []uint32{stranger}}}, nil)
	r.send(r.dial(), "<38>sshd[7]: hello")
	r.wait("refusal", func() bool { return r.refusals(ReasonUnknownPeer) == 1 })
	if want := fmt.Sprintf("uid: [%d]", os.Getuid()); !strings.Contains(r.log.String(), want) {
		t.Fatalf("log lacks %q:\n%s", want, r.log)
	}
}

func TestSocketFileRules(t *testing.T) {
	for _, transport := range []string{"unix", "unixgram"} {
		t.Run(transport, func(t *testing.T) {
			path := socketPath(t)
			cfg := ListenerConfig{Name: "l", Transport: transport, Path: path}
			o := Options{Config: cfg, Registry: NewRegistry(nil), Open: new(recorder).open, Log: discardLog()}

			fd, err := unix.Socket(unix.AF_UNIX, unix.SOCK_DGRAM, 0)
			if err != nil {
				t.Fatal(err)
			}
			if err := unix.Bind(fd, &unix.SockaddrUnix{Name: path}); err != nil {
				t.Fatal(err)
			}
			if _, err := Listen(o); !errors.Is(err, unix.EADDRINUSE) {
				t.Fatalf("a live socket: error %v, want address in use", err)
			}
			if err := unix.Close(fd); err != nil {
				t.Fatal(err)
			}
			l, err := Listen(o)
			if err != nil {
				t.Fatalf("a stale socket: %v", err)
			}
			if _, err := Listen(o); !errors.Is(err, unix.EADDRINUSE) {
				t.Fatalf("our own live socket: error %v, want address in use", err)
			}
			if err := os.Remove(path); err != nil {
				t.Fatal(err)
			}
			if err := os.WriteFile(path, nil, 0o600); err != nil {
				t.Fatal(err)
			}
			if err := l.Close(); err != nil {
				t.Fatal(err)
			}
			if _, err := os.Stat(path); err != nil {
				t.Fatalf("close removed a file that is not its own: %v", err)
			}
			if _, err := Listen(o); err == nil || !strings.Contains(err.Error(), "is not a socket") {
				t.Fatalf("a plain file: error %v", err)
			}
		})
	}
}
