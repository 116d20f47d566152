package receiver

import (
	"bytes"
	"io"
	"testing"
	"time"
)

// BenchmarkListener measures lines from a loopback socket to a sink that drops them.
func BenchmarkListener(b *testing.B) {
	const text = "<38>Nov 24 06:00:00 web1 sshd[7]: Failed password for root from 192.0.2.7 port 5022 ssh2\n"
	for _, transport := range []string{"udp", "tcp", "tls", "unix", "unixgram"} {
		b.Run(transport, func(b *testing.B) {
			ca := newAuthority(b, "ca", nil)
			cfg, sources := loopback(transport), local
			switch transport {
			case "unix", "unixgram":
				cfg, sources = ListenerConfig{Transport: transport, Path: socketPath(b)}, []SourceConfig{{Name: "any"}}
			case "tls":
				cfg, sources = ca.files(b, b.TempDir()), named("web1")
			}
			r := start(b, cfg, sources, nil)
			r.rec.quiet.Store(true)
			var w io.Writer
			if transport == "tls" {
				tc, err := r.dialTLS(ca.clientConfig(ca.client(b, "web1.lan")))
				if err != nil {
					b.Fatal(err)
				}
				w = tc
			} else {
				w = r.dial()
			}
			line, each := []byte(text), 1
			if !cfg.isDatagram() {
				line, each = bytes.Repeat(line, 100), 100
			}
			b.SetBytes(int64(len(text)))
			b.ReportAllocs()
			for i := 0; i < b.N; i += each {
				if _, err := w.Write(line); err != nil {
					b.Fatal(err)
				}
			}
			for end := time.Now().Add(time.Minute); time.Now().Before(end); time.Sleep(100 * time.Microsecond) {
				if int64(r.rec.count())+r.Stats().KernelDrops >= int64(b.N) {
					break
				}
			}
			b.ReportMetric(float64(r.Stats().KernelDrops)/float64(b.N), "dropped/op")
		})
	}
}
