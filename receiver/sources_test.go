package receiver

import (
	"fmt"
	"net/netip"
	"strings"
	"testing"
	"time"
)

func TestMostSpecificSourceWins(t *testing.T) {
	sum := [32]byte{1}
	ss, err := NewSources([]SourceConfig{
		{Name: "wide", Listener: "lan", Addresses: []string{"192.0.2.0/24", "2001:db8::/32"}},
		{Name: "narrow", Listener: "lan", Addresses: []string{"192.0.2.128/25"}},
		{Name: "one", Listener: "lan", Addresses: []string{"192.0.2.200"}},
		{Name: "root", Listener: "local", UID: []uint32{0}},
		{Name: "users", Listener: "local"},
		{Name: "named", Listener: "tls", Certificate: CertificateConfig{SAN: "Web1.lan"}},
		{Name: "named2", Listener: "tls", Certificate: CertificateConfig{SAN: "web2.lan"}},
		{Name: "pinned", Listener: "tls", Certificate: CertificateConfig{SHA256: fmt.Sprintf("%x", sum)}},
	}, nil)
	if err != nil {
		t.Fatal(err)
	}
	net := func(addr string) Peer {
		return Peer{Level: LevelAddress, Addr: netip.AddrPortFrom(netip.MustParseAddr(addr), 1), UID: -1}
	}
	uid := func(n int64) Peer { return Peer{Level: LevelKernel, UID: n} }
	cert := func(sum byte, names ...string) Peer {
		return Peer{Level: LevelTLS, UID: -1, Cert: &Certificate{SHA256: [32]byte{sum}, Names: names}}
	}
	for _, tt := range []struct {
		name, listener string
		peer           Peer
		want           string
	}{
		{"the whole prefix", "lan", net("192.0.2.1"), "wide"},
		{"a longer prefix", "lan", net("192.0.2.129"), "narrow"},
		{"the address itself", "lan", net("192.0.2.200"), "one"},
		{"IPv6", "lan", net("2001:db8::1"), "wide"},
		{"an address of nobody", "lan", net("198.51.100.1"), ""},
		{"an address on another listener", "local", net("192.0.2.1"), ""},
		{"an unknown listener", "none", net("192.0.2.1"), ""},
		{"a user of its own", "local", uid(0), "root"},
		{"any other user", "local", uid(1000), "users"},
		{"no credentials", "local", uid(-1), ""},
		{"a name", "tls", cert(9, "x.lan", "web1.lan"), "named"},
		{"a wildcard in the certificate matches nothing", "tls", cert(9, "*.lan"), ""},
		{"names of two sources", "tls", cert(9, "web1.lan", "web2.lan"), ""},
		{"a pin over a name", "tls", cert(1, "web1.lan"), "pinned"},
		{"no certificate", "tls", Peer{Level: LevelTLS}, ""},
		{"nothing proven", "lan", Peer{}, ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			got := ""
			if s := ss.Resolve(tt.listener, &tt.peer); s != nil {
				got = s.Name
			}
			if got != tt.want {
				t.Fatalf("source %q, want %q", got, tt.want)
			}
			if n := testing.AllocsPerRun(100, func() { ss.Resolve(tt.listener, &tt.peer) }); n != 0 {
				t.Fatalf("%v allocations", n)
			}
		})
	}
}

func TestCertificateSourceIsNarrowedByAddresses(t *testing.T) {
	ss, err := NewSources([]SourceConfig{
		{Name: "bound", Listener: "tls", Certificate: CertificateConfig{SAN: "web3.lan"}, Addresses: []string{"192.0.2.7"}},
		{Name: "key", Listener: "tls", Certificate: CertificateConfig{SHA256: strings.Repeat("02:", 31) + "02"}},
	}, nil)
	if err != nil {
		t.Fatal(err)
	}
	p := Peer{Level: LevelTLS, Addr: netip.MustParseAddrPort("192.0.2.7:1"), Cert: &Certificate{Names: []string{"web3.lan"}}}
	if s := ss.Resolve("tls", &p); s == nil || s.Name != "bound" {
		t.Fatalf("source %v", s)
	}
	p.Addr = netip.MustParseAddrPort("192.0.2.8:1")
	if s := ss.Resolve("tls", &p); s != nil {
		t.Fatalf("another address resolves to %s", s.Name)
	}
	p.Cert = &Certificate{KeySHA256: [32]byte([]byte(strings.Repeat("\x02", 32)))}
	if s := ss.Resolve("tls", &p); s == nil || s.Name != "key" {
		t.Fatalf("a pinned key: source %v", s)
	}
}

func TestSourcesKeepTheirCountersAndZone(t *testing.T) {
	cfg := []SourceConfig{{Name: "a", Listener: "l", Timezone: "Asia/Kolkata"}, {Name: "b", Listener: "m"}}
	old, err := NewSources(cfg, nil)
	if err != nil {
		t.Fatal(err)
	}
	old.All()[0].Seen(time.Unix(5, 0))
	next, err := NewSources([]SourceConfig{{Name: "c", Listener: "m"}, cfg[0]}, old)
	if err != nil {
		t.Fatal(err)
	}
	a := next.All()[1]
	if a.Lines.Load() != 1 || a.LastSeen.Load() != 5e9 || a.Location().String() != "Asia/Kolkata" {
		t.Fatalf("lines %d, seen %d, zone %s", a.Lines.Load(), a.LastSeen.Load(), a.Location())
	}
	if c := next.All()[0]; c.Lines.Load() != 0 || c.Location() != time.Local {
		t.Fatalf("a new source: lines %d, zone %s", c.Lines.Load(), c.Location())
	}
}

func TestNewSourcesJoinsAllFaults(t *testing.T) {
	_, err := NewSources([]SourceConfig{
		{Name: "a", Listener: "l", Addresses: []string{"192.0.2.1/24"}},
		{Name: "b", Listener: "l", Timezone: "Mars/Base"},
		{Name: "c", Listener: "l", UID: []uint32{1}},
		{Name: "d", Listener: "l", UID: []uint32{1}},
		{Name: "e", Listener: "l", Certificate: CertificateConfig{SHA256: "xyz"}},
	}, nil)
	for _, want := range []string{`"a"`, "192.0.2.0/24", `"b"`, "Mars/Base", `source "d": uid is also claimed by source "c"`, `"e"`} {
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("error %v lacks %s", err, want)
		}
	}
}
