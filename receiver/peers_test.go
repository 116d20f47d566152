package receiver

import (
	"net"
	"slices"
	"testing"
)

func TestPeersAreThoseWhoAreKnown(t *testing.T) {
	for _, tt := range []struct {
		name, address string
		known         bool
	}{
		{"an address", "127.0.0.1", true},
		{"a network", "127.0.0.0/16", true},
		{"a network that is nearly everybody", "127.0.0.0/8", false},
		{"everybody", "0.0.0.0/0", false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			r := start(t, loopback("tcp"), []SourceConfig{{Name: "s", Addresses: []string{tt.address}}}, nil)
			c, err := net.Dial("tcp", r.Addr().String())
			if err != nil {
				t.Fatal(err)
			}
			r.send(c, "<38>a: x\n")
			r.lines(1)
			if got := len(r.Peers()) == 1; got != tt.known {
				t.Errorf("peers are %v", r.Peers())
			}
			_ = c.Close()
			r.wait("the peer is gone", func() bool { return len(r.Peers()) == 0 })
		})
	}
	t.Run("a certificate", func(t *testing.T) {
		ca := newAuthority(t, "ca", nil)
		r := start(t, ca.files(t, t.TempDir()), named("web1"), nil)
		c, err := r.dialTLS(ca.clientConfig(ca.client(t, "web1.lan")))
		if err != nil {
			t.Fatal(err)
		}
		r.send(c, "<38>a: x\n")
		r.lines(1)
		if got := r.Peers(); len(got) != 1 || !slices.Contains(got, c.LocalAddr().(*net.TCPAddr).AddrPort().Addr()) {
			t.Errorf("peers are %v", got)
		}
	})
}
