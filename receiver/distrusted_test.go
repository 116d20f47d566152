package receiver

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"io"
	"strings"
	"testing"
)

func TestEndedByPeer(t *testing.T) {
	for _, tt := range []struct {
		name string
		last [7]byte
		want string
	}{
		{"nothing was read", [7]byte{}, ""},
		{"a handshake record", [7]byte{22, 3, 3, 0, 2, 2, 48}, ""},
		{"an unknown CA", [7]byte{21, 3, 3, 0, 2, 2, 48}, "unknown certificate authority"},
		{"a bad certificate", [7]byte{21, 3, 1, 0, 2, 2, 42}, "bad certificate"},
		{"another fatal alert", [7]byte{21, 3, 3, 0, 2, 2, 80}, "alert 80"},
		{"a warning", [7]byte{21, 3, 3, 0, 2, 1, 48}, ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			if got := endedByPeer(errors.New("broken record"), tt.last); !strings.HasSuffix(got, tt.want) || (got == "") != (tt.want == "") {
				t.Errorf("got %q, want …%q", got, tt.want)
			}
		})
	}
}

// TestClientThatDoesNotTrustUs shows what an operator reads when a sender refuses our certificate.
func TestClientThatDoesNotTrustUs(t *testing.T) {
	ca := newAuthority(t, "ca", nil)
	r := start(t, ca.files(t, t.TempDir()), named("web1"), nil)
	cfg := ca.clientConfig(ca.client(t, "web1.lan")).Clone()
	cfg.RootCAs = x509.NewCertPool()
	raw := r.dial()
	if err := tls.Client(raw, cfg).Handshake(); err == nil {
		t.Fatal("the client must refuse")
	}
	_, _ = io.Copy(io.Discard, raw)
	r.wait("refusal", func() bool { return r.refusals(ReasonDistrusted) == 1 })
	if !strings.Contains(r.log.String(), "the sender must trust the CA") {
		t.Errorf("log %s", r.log)
	}
}
