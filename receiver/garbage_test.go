package receiver

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"net"
	"runtime"
	"strings"
	"testing"
	"time"

	"stockade/receiver/frame"
)

// TestGarbageHarmsNobody sends what no syslog sender writes to every listener, beside a good
// client that must not notice.
func TestGarbageHarmsNobody(t *testing.T) {
	noise := make([]byte, 4096)
	random := rand.New(rand.NewPCG(1, 2)) //nolint:gosec // noise
	for i := range noise {
		noise[i] = byte(random.Uint32())
	}
	garbage := map[string][]byte{
		"random bytes":       noise,
		"a bare PRI":         []byte("<34>"),
		"a negative count":   []byte("-5 "),
		"a long count":       bytes.Repeat([]byte("9"), 2000),
		"a count of zero":    []byte("0 x"),
		"a huge count":       []byte("9223372036854775807 x"),
		"a large PRI":        []byte("<999999999999>x\n"),
		"NULs":               make([]byte, 1000),
		"no UTF-8":           []byte("<38>sshd: \xff\xfe\xc3\x28\n"),
		"a year and no more": []byte("<167>2022-08-21T00:07:06.7"),
		"ones":               bytes.Repeat([]byte("1"), 60_000),
		"an open element":    []byte("<38>1 - - - - - [x@1 a=\"\\\n"),
	}
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
			client := ca.clientConfig(ca.client(t, "web1.lan"))
			connect := func() net.Conn {
				if transport != "tls" {
					return r.dial()
				}
				c, err := r.dialTLS(client)
				if err != nil {
					t.Fatal(err)
				}
				return c
			}
			good := connect()
			for name, b := range garbage {
				c := connect()
				_, _ = c.Write(b)
				_ = c.Close()
				if transport == "tls" { // and below TLS
					raw := r.dial()
					_, _ = raw.Write(b)
					_ = raw.Close()
				}
				marker := "after " + name
				r.send(good, "<38>app: "+marker+"\n")
				r.wait("the good client's line", func() bool {
					for _, l := range r.rec.all() {
						if l.text == marker {
							return true
						}
					}
					return false
				})
			}
		})
	}
}

// TestEndlessLineIsOneTruncatedEntry is 64 MiB without a newline: little memory, one entry.
func TestEndlessLineIsOneTruncatedEntry(t *testing.T) {
	size := 8 << 20
	if *long {
		size = 64 << 20
	}
	r := start(t, loopback("tcp"), local, nil)
	c := r.dial()
	chunk := bytes.Repeat([]byte("x"), 64<<10)
	r.send(c, "<38>app: ")
	var before, after runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&before)
	for range size / len(chunk) {
		if _, err := c.Write(chunk); err != nil {
			t.Fatal(err)
		}
	}
	r.send(c, "<38>app: fake\n<38>app: next\n")
	got := r.lines(2)
	runtime.ReadMemStats(&after)
	t.Logf("%d MiB without newline: %d entries, %d KiB allocated", size>>20, len(got), (after.TotalAlloc-before.TotalAlloc)>>10)
	if len(got) != 2 || !got[0].truncated || len(got[0].raw) != frame.DefaultMax || got[1].text != "next" {
		t.Fatalf("%d entries, the first of %d bytes, the second %.100q", len(got), len(got[0].raw), got[1].text)
	}
	if grown := after.TotalAlloc - before.TotalAlloc; grown > 5<<20 {
		t.Errorf("%d KiB were allocated", grown>>10)
	}
}

// TestSizesAreExactOnEachTransport is bar B6: the limit holds to the byte.
func TestSizesAreExactOnEachTransport(t *testing.T) {
	for _, transport := range []string{"udp", "tcp", "unix", "unixgram"} {
		t.Run(transport, func(t *testing.T) {
			cfg, sources := loopback(transport), local
			if transport == "unix" || transport == "unixgram" {
				cfg, sources = ListenerConfig{Transport: transport, Path: socketPath(t)}, []SourceConfig{{Name: "any"}}
			}
			r := start(t, cfg, sources, nil)
			c := r.dial()
			n := 0
			for _, size := range []int{9, 480, 1180, 2048, 8190, 8191, 8192, 8193, 65_500, 65_535, 65_536, 65_537, 65_540, 65_541} {
				if transport == "udp" && size > 65_500 {
					continue // no datagram is that long
				}
				text := "<38>app: " + strings.Repeat("y", size-9)
				end := "\n"
				if cfg.isDatagram() {
					end = ""
				}
				_ = c.SetWriteDeadline(time.Now().Add(10 * time.Second))
				r.send(c, text+end)
				n++
				got := r.lines(n)[n-1]
				want := min(size, frame.DefaultMax)
				if len(got.raw) != want || got.truncated != (size > want) || got.raw != text[:want] {
					t.Fatalf("%d bytes: got %d, truncated %v", size, len(got.raw), got.truncated)
				}
			}
		})
	}
}

// TestSwallowAttack embeds an octet count in a line of LF framing: no other line may vanish.
func TestSwallowAttack(t *testing.T) {
	r := start(t, loopback("tcp"), local, nil)
	c := r.dial()
	const n = 100
	for i := range n {
		r.send(c, fmt.Sprintf("<38>app: multi\n9999 line\n<38>app: %d\n", i))
	}
	seen := 0
	for _, l := range r.lines(3 * n) {
		if l.app == "app" && l.text != "multi" {
			seen++
		}
	}
	if seen != n {
		t.Fatalf("%d of %d lines", seen, n)
	}
}
