package e2e

import (
	"bytes"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"net/netip"
	"os"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"stockade/cmd/stockade/e2e/rig"
	"stockade/receiver/receivertest"
)

const garbageConfig = `
listeners:
  - {name: stream, transport: tcp, address: "127.0.0.1:%[1]d"}
  - {name: lan, transport: udp, address: "127.0.0.1:%[1]d"}
  - {name: local, transport: unixgram, path: "%%DIR%%/syslog.sock"}
  - {name: local-stream, transport: unix, path: "%%DIR%%/stream.sock"}
sources:
  - {name: honest, listener: stream, addresses: [127.0.0.2], jails: ["*"], quota: none}
  - {name: noisy, listener: stream, addresses: [127.0.0.1], jails: ["*"], quota: none}
  - {name: datagrams, listener: lan, addresses: [127.0.0.0/8], accept_spoofable: true, jails: ["*"], quota: none}
  - {name: this-host, listener: local, jails: ["*"]}
  - {name: this-host-too, listener: local-stream, jails: ["*"]}
jails:
  - {name: logins, filter: {failregex: ['^Failed password for \S+ from <HOST> port \d+']}, maxretry: 3}
firewall: {backend: observe}
`

const (
	endless       = 64 << 20 // bytes of a line that never ends
	garbageGrowth = 48 << 20 // bytes of resident memory: less than one endless line
	garbageLog    = 100      // lines that the daemon may write about all of it
)

// garbage is what each listener gets, each on a connection of its own.
func garbage(round uint64) [][]byte {
	r := rand.New(rand.NewPCG(round, 1))
	random := make([]byte, 60_000)
	for i := range random {
		random[i] = byte(r.Uint32())
	}
	list := [][]byte{
		random, random[:r.IntN(2000)], append([]byte("<34>"), random[:1000]...),
		[]byte("<34>"), []byte("-5 "), []byte("-5 <34>hello\n"), []byte("0 "), []byte("1"), []byte("<"), []byte("\n"), []byte("\x00\x00\x00"),
		bytes.Repeat([]byte("7"), 2000), append(bytes.Repeat([]byte("7"), 2000), " <34>hello"...),
		[]byte("<34>1 - - - - - [\xff\xfe"), []byte("<38>\xc3\x28 sshd[1]: \xf0\x28\x8c\xbc\n"),
		[]byte("<999999999999999999999>x\n"), []byte("<-1>x\n"), []byte("<34>1 2026-13-45T99:99:99Z h a p m [a b=\"\\\"]\n"),
		[]byte("99999 <34>short"), []byte("3 <34>hello\n"), []byte(strings.Repeat("<34>\n", 5000)), []byte("GET / HTTP/1.1\r\nHost: x\r\n\r\n"),
		[]byte("\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03"), []byte("PROXY TCP4 1.2.3.4 5.6.7.8 1 2\r\n"),
		[]byte("<38>" + strings.Repeat("Failed password for from port ", 2000) + "\n"),
	}
	return list
}

// TestGarbage sends noise to every listener while other senders go on: the daemon neither falls
// nor grows, and a third failure still bans.
func TestGarbage(t *testing.T) {
	port := receivertest.FreePort(t)
	tcp := fmt.Sprintf("127.0.0.1:%d", port)
	d := rig.NewDaemon(t, "", fmt.Sprintf(garbageConfig, port)).Start()
	sockets := []struct {
		network, address string
		datagrams        bool
	}{
		{"tcp", tcp, false}, {"udp", tcp, true},
		{"unixgram", d.Dir + "/syslog.sock", true}, {"unix", d.Dir + "/stream.sock", false},
	}
	rounds := uint64(10)
	switch {
	case rig.Long():
		rounds = 500
	case testing.Short():
		rounds = 2
	}
	round := func(n uint64) {
		var all sync.WaitGroup
		for _, s := range sockets {
			all.Go(func() {
				for _, g := range garbage(n) {
					noise(t, s.network, s.address, g, 1)
				}
				if !s.datagrams {
					for _, first := range []string{"<34>", "5", "x"} {
						chunk := bytes.Repeat([]byte("x"), 1<<16)
						copy(chunk, first)
						noise(t, s.network, s.address, chunk, endless/len(chunk))
					}
				}
			})
		}
		all.Wait()
	}

	// The first round lets the daemon make what it keeps: buffers, counters, log limits.
	round(0)
	h := &honest{t: t, d: d}
	h.connect(tcp)
	h.ban("tcp")
	before, files := d.Memory("VmRSS"), openFiles(d)

	var busy atomic.Bool
	busy.Store(true)
	finished := make(chan struct{})
	defer func() { <-finished }()
	go func() {
		defer close(finished)
		defer busy.Store(false)
		for n := range rounds {
			round(n + 1)
		}
	}()
	bans := 0
	for busy.Load() {
		for _, way := range []string{"tcp", "unixgram", "udp"} {
			h.ban(way)
			bans++
		}
	}
	<-finished
	h.ban("tcp")

	rig.Eventually(t, 15*time.Second, "the garbage's connections are closed", func() bool { return openFiles(d) <= files+2 })
	after, high := d.Memory("VmRSS"), d.Memory("VmHWM")
	t.Logf("%d rounds, %d bans of others meanwhile; resident before %d MiB, after %d MiB, at most %d MiB; slowest ban %s",
		rounds, bans, before>>20, after>>20, high>>20, h.slowest.Round(time.Millisecond))
	if high-before > garbageGrowth {
		t.Errorf("resident memory grew by %d MiB, want at most %d", (high-before)>>20, garbageGrowth>>20)
	}
	log := d.Log.String()
	if strings.Contains(log, "panic") || strings.Contains(log, "goroutine ") {
		t.Errorf("the daemon panicked:\n%s", rig.Last(log, 50))
	}
	if n := strings.Count(log, "\n") - h.count; n > garbageLog {
		t.Errorf("the daemon wrote %d lines of log beside the bans, want at most %d", n, garbageLog)
	}
	if strings.IndexFunc(log, func(r rune) bool { return r < ' ' && r != '\n' || r == 0x7f }) >= 0 {
		t.Error("the daemon's log holds raw control bytes")
	}
	if got := len(d.Bans()); got != h.count {
		t.Errorf("%d addresses are banned, want %d: the garbage named none", got, h.count)
	}
	d.Stop()
}

// noise writes the same bytes so many times over one connection. The daemon may close it.
func noise(t testing.TB, network, address string, data []byte, times int) {
	conn, err := net.DialTimeout(network, address, 10*time.Second)
	if err != nil {
		t.Errorf("garbage: %v", err)
		return
	}
	defer conn.Close()
	for range times {
		_ = conn.SetWriteDeadline(time.Now().Add(10 * time.Second))
		_, err := conn.Write(data)
		switch {
		case err == nil:
		case errors.Is(err, syscall.EPIPE), errors.Is(err, syscall.ECONNRESET), errors.Is(err, syscall.EMSGSIZE):
			return
		default:
			t.Errorf("garbage over %s: %v", network, err)
			return
		}
	}
}

// honest sends failures of one address after the other, and expects each third one to ban.
type honest struct {
	t       testing.TB
	d       *rig.Daemon
	conns   map[string]net.Conn
	count   int
	slowest time.Duration
}

func (h *honest) connect(address string) {
	h.t.Helper()
	from := net.Dialer{LocalAddr: &net.TCPAddr{IP: net.IPv4(127, 0, 0, 2)}}
	tcp, err := from.Dial("tcp", address)
	if err != nil {
		h.t.Fatal(err)
	}
	h.t.Cleanup(func() { tcp.Close() })
	h.conns = map[string]net.Conn{
		"tcp": tcp, "udp": rig.Connect(h.t, "", "udp", address), "unixgram": rig.Connect(h.t, "", "unixgram", h.d.Dir+"/syslog.sock"),
	}
}

// ban sends three failures. Over UDP more follow, because the noise may fill the kernel's queue.
func (h *honest) ban(way string) {
	h.t.Helper()
	h.count++
	addr := netip.AddrFrom4([4]byte{198, 18, byte(h.count >> 8), byte(h.count)})
	begin := time.Now()
	send := func() {
		end := ""
		if way == "tcp" {
			end = "\n"
		}
		if _, err := fmt.Fprint(h.conns[way], failedLogin(int(time.Now().UnixMicro()&0xffff), addr)+end); err != nil {
			h.t.Fatalf("the honest sender's %s: %v", way, err)
		}
	}
	for range 3 {
		send()
	}
	again := begin.Add(time.Second)
	rig.Eventually(h.t, 10*time.Second, fmt.Sprintf("%s is banned by three lines over %s", addr, way), func() bool {
		if way == "udp" && time.Now().After(again) {
			send()
			again = time.Now().Add(100 * time.Millisecond)
		}
		return strings.Contains(h.d.Log.String(), `"addr":"`+addr.String()+`/32"`)
	})
	h.slowest = max(h.slowest, time.Since(begin))
}

// openFiles is the number of open files of the daemon.
func openFiles(d *rig.Daemon) int {
	d.T.Helper()
	list, err := os.ReadDir(fmt.Sprintf("/proc/%d/fd", d.Cmd.Process.Pid))
	if err != nil {
		d.T.Fatal(err)
	}
	return len(list)
}
