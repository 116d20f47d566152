package receiver

import (
	"encoding/binary"
	"net/netip"
	"strings"
	"testing"
	"time"
)

func v2(command, family byte, body []byte) string {
	b := append([]byte(proxyV2), command, family, 0, 0)
	binary.BigEndian.PutUint16(b[14:], uint16(len(body))) //nolint:gosec // short
	return string(append(b, body...))
}

var (
	v2TCP4 = v2(0x21, 0x11, []byte{192, 0, 2, 7, 192, 0, 2, 1, 0x13, 0x88, 2, 2})
	v2TCP6 = v2(0x21, 0x21, append(append(netip.MustParseAddr("2001:db8::7").AsSlice(), netip.MustParseAddr("2001:db8::1").AsSlice()...), 0x13, 0x88, 2, 2))
)

var proxyCases = []struct {
	name, header, client string // client "" is the proxy itself, "!" an error, "?" more bytes wanted
}{
	{"v1 IPv4", "PROXY TCP4 192.0.2.7 192.0.2.1 5000 514\r\n", "192.0.2.7:5000"},
	{"v1 IPv6", "PROXY TCP6 2001:db8::7 2001:db8::1 5000 514\r\n", "[2001:db8::7]:5000"},
	{"v1 unknown", "PROXY UNKNOWN\r\n", ""},
	{"v1 unknown with addresses", "PROXY UNKNOWN ffff::1 ffff::2 1 2\r\n", ""},
	{"v1 in parts", "PROXY TCP4 192.0.2.7", "?"},
	{"v1 of the wrong family", "PROXY TCP4 2001:db8::7 2001:db8::1 5000 514\r\n", "!"},
	{"v1 with a zone", "PROXY TCP6 fe80::1%lo fe80::2 1 2\r\n", "!"},
	{"v1 with a port too large", "PROXY TCP4 192.0.2.7 192.0.2.1 65536 514\r\n", "!"},
	{"v1 with a field missing", "PROXY TCP4 192.0.2.7 192.0.2.1 5000\r\n", "!"},
	{"v1 without an end", "PROXY TCP4 " + strings.Repeat("1", 200), "!"},
	{"v1 of another protocol", "PROXY UDP4 192.0.2.7 192.0.2.1 5000 514\r\n", "!"},
	{"v2 IPv4", v2TCP4, "192.0.2.7:5000"},
	{"v2 IPv6", v2TCP6, "[2001:db8::7]:5000"},
	{"v2 with extensions", v2(0x21, 0x11, append([]byte{192, 0, 2, 7, 192, 0, 2, 1, 0x13, 0x88, 2, 2}, 4, 0, 1, 0)), "192.0.2.7:5000"},
	{"v2 local", v2(0x20, 0, nil), ""},
	{"v2 unspecified", v2(0x21, 0, nil), ""},
	{"v2 in parts", v2TCP4[:20], "?"},
	{"v2 too short for its family", v2(0x21, 0x11, []byte{1, 2, 3}), "!"},
	{"v2 of version 1", v2(0x11, 0x11, nil), "!"},
	{"v2 of an unknown command", v2(0x22, 0x11, nil), "!"},
	{"v2 of datagrams", v2(0x21, 0x12, make([]byte, 12)), "!"},
	{"v2 too long", v2(0x21, 0x11, make([]byte, 537)), "!"},
	{"no header", "<38>sshd: x\n", "!"},
	{"nothing yet", "", "?"},
}

func TestParseProxy(t *testing.T) {
	for _, tt := range proxyCases {
		t.Run(tt.name, func(t *testing.T) {
			client, size, err := parseProxy([]byte(tt.header))
			switch {
			case tt.client == "!":
				if err == nil {
					t.Fatalf("client %v, size %d, want an error", client, size)
				}
			case err != nil:
				t.Fatal(err)
			case tt.client == "?":
				if size != 0 {
					t.Fatalf("size %d of a part", size)
				}
			case size != len(tt.header):
				t.Fatalf("size %d, want %d", size, len(tt.header))
			case tt.client == "" && client.IsValid() || tt.client != "" && client != netip.MustParseAddrPort(tt.client):
				t.Fatalf("client %v, want %q", client, tt.client)
			}
		})
	}
}

func FuzzParseProxy(f *testing.F) {
	for _, tt := range proxyCases {
		f.Add([]byte(tt.header))
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		client, size, err := parseProxy(b)
		if size < 0 || size > len(b) || size > proxyBytes || err != nil && (size != 0 || client.IsValid()) {
			t.Fatalf("size %d of %d, client %v, error %v", size, len(b), client, err)
		}
		if client.IsValid() && (client.Addr().Is4In6() || client.Addr().Zone() != "") {
			t.Fatalf("client %v is not unmapped", client)
		}
		if size == 0 && err == nil && len(b) >= proxyBytes {
			t.Fatal("asks for more than a header can have")
		}
		// The verdict on a prefix of a good header is "more", never an error.
		if size > 0 {
			for i := range size {
				if _, n, err := parseProxy(b[:i]); err != nil || n != 0 {
					t.Fatalf("prefix of %d bytes: size %d, error %v", i, n, err)
				}
			}
		}
	})
}

func TestListedProxyNamesTheClient(t *testing.T) {
	cfg := loopback("tcp")
	cfg.ProxiesFrom = []string{"127.0.0.1"}
	sources := []SourceConfig{{Name: "behind", Addresses: []string{"192.0.2.0/24"}}, {Name: "proxy", Addresses: []string{"127.0.0.1"}}}
	r := start(t, cfg, sources, func(l *Listener) { l.limits.handshake = 300 * time.Millisecond })
	c := r.dial()
	for _, b := range []byte(v2TCP4 + "<38>a: v2\n") { // byte by byte
		r.send(c, string([]byte{b}))
	}
	if got := r.lines(1)[0]; got.source != "behind" || got.peer.Addr.String() != "192.0.2.7:5000" || got.text != "v2" {
		t.Fatalf("got %+v", got)
	}
	r.send(r.dial(), "PROXY TCP4 192.0.2.9 192.0.2.1 5000 514\r\n<38>a: v1\n")
	if got := r.lines(2)[1]; got.source != "behind" || got.peer.Addr.Addr().String() != "192.0.2.9" {
		t.Fatalf("got %+v", got)
	}
	r.send(r.dial(), "PROXY UNKNOWN\r\n<38>a: own\n")
	if got := r.lines(3)[2]; got.source != "proxy" {
		t.Fatalf("got %+v", got)
	}
	r.send(r.dial(), "PROXY TCP4 198.51.100.1 192.0.2.1 5000 514\r\n<38>a: stranger\n")
	r.wait("refusal of a stranger", func() bool { return r.refusals(ReasonUnknownPeer) == 1 })
	r.send(r.dial(), "<38>a: no header\n")
	r.send(r.dial(), "PROXY TCP")
	r.wait("refusals of missing headers", func() bool { return r.refusals(ReasonProxyHeader) == 2 })
	if r.rec.count() != 3 {
		t.Fatalf("%d lines, want 3", r.rec.count())
	}
}

func TestProxyHeaderBeforeTLS(t *testing.T) {
	ca := newAuthority(t, "ca", nil)
	cfg := ca.files(t, t.TempDir())
	cfg.ProxiesFrom = []string{"127.0.0.0/8"}
	r := start(t, cfg, named("web1"), nil)
	c := r.dial()
	r.send(c, "PROXY TCP4 192.0.2.7 192.0.2.1 5000 514\r\n")
	tc := tlsClient(t, c, ca.clientConfig(ca.client(t, "web1.lan")))
	r.send(tc, "<38>a: x\n")
	if got := r.lines(1)[0]; got.source != "web1" || got.peer.Addr.String() != "192.0.2.7:5000" {
		t.Fatalf("got %+v", got)
	}
}
