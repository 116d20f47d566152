package receiver

import (
	"bufio"
	"crypto/aes"
	"crypto/cipher"
	"crypto/hkdf"
	"crypto/sha256"
	"crypto/tls"
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"io"
	"net"
	"os/exec"
	"strings"
	"testing"
	"time"

	"stockade/receiver/receivertest"
)

// records writes TLS 1.3 records of its own over the connection of a finished handshake
// (RFC 8446 sections 5.2, 7.1, 7.2), which crypto/tls does not offer.
type records struct {
	conn   net.Conn
	secret []byte
	seq    uint64
	aead   cipher.AEAD
	iv     []byte
}

func expandLabel(secret []byte, label string, size int) []byte {
	info := []byte{byte(size >> 8), byte(size), byte(len("tls13 " + label))}
	info = append(info, "tls13 "+label...)
	out, err := hkdf.Expand(sha256.New, secret, string(append(info, 0)), size)
	if err != nil {
		panic("receiver: " + err.Error())
	}
	return out
}

func (r *records) rekey() {
	block, err := aes.NewCipher(expandLabel(r.secret, "key", 16))
	if err == nil {
		r.aead, err = cipher.NewGCM(block)
	}
	if err != nil {
		panic("receiver: " + err.Error())
	}
	r.iv, r.seq = expandLabel(r.secret, "iv", 12), 0
}

// record appends one record of the given inner type to out.
func (r *records) record(out []byte, kind byte, body []byte) []byte {
	nonce := append([]byte(nil), r.iv...)
	binary.BigEndian.PutUint64(nonce[4:], binary.BigEndian.Uint64(nonce[4:])^r.seq)
	r.seq++
	inner := append(append([]byte(nil), body...), kind)
	head := []byte{23, 3, 3, 0, 0}
	binary.BigEndian.PutUint16(head[3:], uint16(len(inner)+r.aead.Overhead())) //nolint:gosec // short
	return r.aead.Seal(append(out, head...), nonce, inner, head)
}

// keyUpdate appends a KeyUpdate that asks for none in return, and moves to the new key.
func (r *records) keyUpdate(out []byte) []byte {
	out = r.record(out, 22, []byte{24, 0, 0, 1, 0})
	r.secret = expandLabel(r.secret, "traffic upd", sha256.Size)
	r.rekey()
	return out
}

// floodClient shakes hands and returns a record writer.
func (r *rig) floodClient(cfg *tls.Config) *records {
	r.t.Helper()
	var keys strings.Builder
	cfg = cfg.Clone()
	cfg.MinVersion, cfg.KeyLogWriter = tls.VersionTLS13, &keys
	c, err := r.dialTLS(cfg)
	if err != nil {
		r.t.Fatal(err)
	}
	if c.ConnectionState().CipherSuite != tls.TLS_AES_128_GCM_SHA256 {
		r.t.Skip("needs a processor for which AES-GCM is chosen") // ChaCha20 elsewhere
	}
	out := &records{conn: c.NetConn()}
	for text := range strings.SplitSeq(keys.String(), "\n") {
		if f := strings.Fields(text); len(f) == 3 && f[0] == "CLIENT_TRAFFIC_SECRET_0" {
			out.secret, err = hex.DecodeString(f[2])
			if err != nil {
				r.t.Fatal(err)
			}
		}
	}
	out.rekey()
	return out
}

// TestKeyUpdateFlood is bar A9: post-handshake messages without text end the connection.
func TestKeyUpdateFlood(t *testing.T) {
	ca := newAuthority(t, "ca", nil)
	for _, tt := range []struct {
		name   string
		round  func(f *records) []byte
		ends   bool
		reason string
	}{
		{"key updates alone", func(f *records) []byte { return f.keyUpdate(nil) }, true, ReasonRecord},
		{"key updates hidden among single bytes", func(f *records) []byte {
			var b []byte
			for range 15 {
				b = f.keyUpdate(b)
			}
			return f.record(b, 23, []byte("x"))
		}, true, ReasonOverhead},
		{"empty records", func(f *records) []byte { return f.record(nil, 23, nil) }, true, ReasonRecord},
		{"single bytes", func(f *records) []byte { return f.record(nil, 23, []byte("x")) }, false, ""},
		{"a key update before each line", func(f *records) []byte {
			return f.record(f.keyUpdate(nil), 23, []byte("<38>Nov 24 06:00:00 web1 sshd[7]: hello\n"))
		}, false, ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			r := start(t, ca.files(t, t.TempDir()), named("web1"), nil)
			f := r.floodClient(ca.clientConfig(ca.client(t, "web1.lan")))
			sent, began := 0, time.Now()
			const most = 400_000
			var err error
			for sent < most && err == nil {
				var n int
				n, err = f.conn.Write(tt.round(f))
				sent += n
			}
			if tt.ends {
				r.wait("end of the connection", func() bool { return r.Stats().Open == 0 })
			}
			took := time.Since(began)
			if open := r.Stats().Open; (open == 0) != tt.ends {
				t.Fatalf("%d connections open after %d bytes", open, sent)
			}
			t.Logf("A9: %s: closed %v after at most %d bytes and %s", tt.name, tt.ends, sent, took.Round(time.Millisecond))
			if tt.reason != "" && r.refusals(tt.reason) != 1 {
				t.Fatalf("refused %v, want %s", r.Stats().Refused, tt.reason)
			}
		})
	}
}

// TestOpenSSLClient is bar A9 and the mistakes that a real client makes.
func TestOpenSSLClient(t *testing.T) {
	openssl, err := exec.LookPath("openssl")
	receivertest.Need(t, err == nil, "openssl")
	ca := newAuthority(t, "ca", nil)
	secure := start(t, ca.files(t, t.TempDir()), named("web1"), nil)
	plain := start(t, loopback("tcp"), local, nil)
	run := func(r *rig, args ...string) (io.WriteCloser, *bufio.Reader) {
		cmd := exec.Command(openssl, append([]string{"s_client", "-connect", r.Addr().String()}, args...)...) //nolint:gosec // a test's own arguments
		in, err := cmd.StdinPipe()
		if err != nil {
			t.Fatal(err)
		}
		out, err := cmd.StdoutPipe()
		if err != nil {
			t.Fatal(err)
		}
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() {
			_ = in.Close()
			_ = cmd.Process.Kill()
			_ = cmd.Wait()
		})
		return in, bufio.NewReader(out)
	}
	run(plain)
	plain.wait("the mistake named", func() bool { return plain.refusals(ReasonTLS) == 1 })
	run(secure)
	secure.wait("a client without certificate", func() bool { return secure.refusals(ReasonNoCertificate) == 1 })

	cert, key := ca.clientFiles(t, "web1.lan")
	in, _ := run(secure, "-tls1_2", "-cert", cert, "-key", key)
	secure.wait("the connection", func() bool { return secure.Stats().Open == 1 })
	secure.send(in, "<38>a: before\n")
	secure.lines(1)
	secure.send(in, "R\n") // renegotiate
	secure.wait("the end of a renegotiating client", func() bool { return secure.Stats().Open == 0 && secure.refusals(ReasonRecord) == 1 })
	t.Logf("A9: openssl s_client is closed when it renegotiates; %d line before it", secure.rec.count())
}

func TestHeaderNeverChangesTheIdentity(t *testing.T) { // bar C7
	ca := newAuthority(t, "ca", nil)
	sources := named("web1", "web2")
	sources[1].Hostnames = []string{"web2"}
	r := start(t, ca.files(t, t.TempDir()), sources, nil)
	c, err := r.dialTLS(ca.clientConfig(ca.client(t, "web1.lan")))
	if err != nil {
		t.Fatal(err)
	}
	const n = 1000
	for i := range n {
		switch i % 3 {
		case 0:
			r.send(c, "<38>Nov 24 06:00:00 web2 web2[2]: web2.lan uid=0\n")
		case 1:
			r.send(c, "<38>1 2026-11-24T06:00:00Z web2.lan web2 0 - [origin@32473 uid=\"0\" exe=\"/usr/sbin/sshd\" pid=\"1\"] x\n")
		case 2:
			r.send(c, fmt.Sprintf("<38>PROXY TCP4 192.0.2.7 192.0.2.1 %d 514\n", i))
		}
	}
	for _, l := range r.lines(n) {
		if l.source != "web1" || l.peer.Addr.String() != c.LocalAddr().String() || l.origin.Known {
			t.Fatalf("line %+v", l)
		}
	}
	t.Logf("C7: %d lines that claim another identity, 0 changes", n)
}
