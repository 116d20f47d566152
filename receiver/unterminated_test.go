package receiver

import (
	"crypto/tls"
	"io"
	"net"
	"testing"
)

// TestLineWithoutItsEndIsTruncated shows which entries say that their end may be missing: what stands
// at the cut may be the beginning of another address.
func TestLineWithoutItsEndIsTruncated(t *testing.T) {
	const whole = "<38>sshd: from 192.0.2.100"
	for _, tt := range []struct {
		name, sent string
		truncated  bool
	}{
		{"a line with its LF is whole", whole + "\n", false},
		{"a line with its NUL is whole", whole + "\x00", false},
		{"an octet-counted frame is whole", "26 " + whole, false},
		{"a script's line without a terminator is whole", whole, false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			r := start(t, loopback("tcp"), local, nil)
			c := r.dial()
			r.send(c, tt.sent)
			if err := c.(*net.TCPConn).CloseWrite(); err != nil {
				t.Fatal(err)
			}
			if got := r.lines(1); len(got) != 1 || got[0].truncated != tt.truncated {
				t.Fatalf("got %+v", got)
			}
			want := int64(0)
			if tt.truncated {
				want = 1
			}
			if n := r.Stats().Truncated; n != want {
				t.Errorf("counted %d, want %d", n, want)
			}
		})
	}
	t.Run("an attacker who cuts a TLS connection cuts no address", func(t *testing.T) {
		ca := newAuthority(t, "ca", nil)
		r := start(t, ca.files(t, t.TempDir()), named("web1"), nil)
		raw := r.dial()
		c := tls.Client(raw, ca.clientConfig(ca.client(t, "web1.lan")))
		r.send(c, "<38>a: whole\n"+whole[:len(whole)-1])
		if err := raw.(*net.TCPConn).CloseWrite(); err != nil {
			t.Fatal(err)
		}
		_, _ = io.Copy(io.Discard, raw)
		if got := r.lines(2); len(got) != 2 || got[0].truncated || !got[1].truncated {
			t.Fatalf("got %+v", got)
		}
	})
}
