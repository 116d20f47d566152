package receiver

import (
	"bytes"
	"io"
	"runtime"
	"testing"
	"time"
)

// TestNoAllocationFromSocketToSink sends many lines through each transport and counts what the
// whole process allocates meanwhile.
func TestNoAllocationFromSocketToSink(t *testing.T) {
	const text = "<38>Nov 24 06:00:00 web1 sshd[7]: Failed password for root from 192.0.2.7 port 5022 ssh2\n"
	ca := newAuthority(t, "ca", nil)
	for _, transport := range []string{"udp", "tcp", "tls", "unix", "unixgram"} {
		t.Run(transport, func(t *testing.T) {
			cfg, sources := loopback(transport), local
			switch transport {
			case "unix", "unixgram":
				cfg, sources = ListenerConfig{Transport: transport, Path: socketPath(t)}, []SourceConfig{{Name: "any"}}
			case "tls":
				cfg, sources = ca.files(t, t.TempDir()), named("web1")
			}
			r := start(t, cfg, sources, nil)
			r.rec.quiet.Store(true)
			var c io.Writer
			if transport == "tls" {
				tc, err := r.dialTLS(ca.clientConfig(ca.client(t, "web1.lan")))
				if err != nil {
					t.Fatal(err)
				}
				c = tc
			} else {
				c = r.dial()
			}
			one := []byte(text)
			batch := bytes.Repeat(one, 64)
			const rounds = 100
			sent := 0
			round := func() {
				if cfg.isDatagram() {
					for range 64 {
						if _, err := c.Write(one); err != nil {
							t.Fatal(err)
						}
					}
				} else if _, err := c.Write(batch); err != nil {
					t.Fatal(err)
				}
				sent += 64
				for end := time.Now().Add(10 * time.Second); r.rec.count() < sent && time.Now().Before(end); {
					runtime.Gosched()
				}
			}
			for range 10 { // pools, caches and maps of the first lines
				round()
			}
			var before, after runtime.MemStats
			runtime.ReadMemStats(&before)
			for range rounds {
				round()
			}
			runtime.ReadMemStats(&after)
			if r.rec.count() != sent {
				t.Fatalf("%d of %d lines arrived", r.rec.count(), sent)
			}
			per := float64(after.Mallocs-before.Mallocs) / (rounds * 64)
			t.Logf("%s: %.4f allocations a line, %d lines", transport, per, rounds*64)
			if per > 0.05 {
				t.Fatalf("%.4f allocations a line, want none", per)
			}
		})
	}
}

// TestRefusingAFloodAllocatesNothing floods with what nobody may send.
func TestRefusingAFloodAllocatesNothing(t *testing.T) {
	r := start(t, loopback("udp"), []SourceConfig{{Name: "lan", Addresses: []string{"192.0.2.0/24"}}}, nil)
	c := r.dial()
	line := []byte("<38>sshd[7]: no")
	const rounds, each = 50, 100
	sent := int64(0)
	round := func() {
		for range each {
			_, _ = c.Write(line)
		}
		sent += each
		for end := time.Now().Add(10 * time.Second); r.unknown() < sent && time.Now().Before(end); {
			runtime.Gosched()
		}
	}
	round()
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	for range rounds {
		round()
	}
	runtime.ReadMemStats(&after)
	if r.unknown() != sent {
		t.Fatalf("%d of %d datagrams were refused", r.unknown(), sent)
	}
	per := float64(after.Mallocs-before.Mallocs) / (rounds * each)
	t.Logf("%.4f allocations a refused datagram", per)
	if per > 0.05 {
		t.Fatalf("%.4f allocations a refused datagram, want none", per)
	}
}

// unknown counts the unknown peers without allocating.
func (r *rig) unknown() int64 {
	x := &r.refused.Refusals
	x.mu.Lock()
	defer x.mu.Unlock()
	if u := x.by[ReasonUnknownPeer]; u != nil {
		return u.Count
	}
	return 0
}
