package receiver

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"stockade/receiver/receivertest"
)

// TestBuffersAreNotMixed is bar B8: the lines of many senders stay what they were. Run it
// with -race.
func TestBuffersAreNotMixed(t *testing.T) {
	const senders = 16
	total := 48_000
	if *long {
		total = 1_000_000
	}
	if testing.Short() {
		total = 8000
	}
	for _, transport := range []string{"udp", "tcp"} {
		t.Run(transport, func(t *testing.T) {
			r := start(t, loopback(transport), local, nil)
			var wg sync.WaitGroup
			for i := range senders {
				c := r.dialFrom(fmt.Sprintf("127.0.0.%d", 10+i))
				wg.Add(1)
				go func() {
					defer wg.Done()
					for k := range total / senders {
						line := "<38>app: " + strings.Repeat(string(rune('a'+i)), 1+(k*37)%900) + "\n"
						if _, err := c.Write([]byte(line)); err != nil {
							return
						}
						if transport == "udp" && k%32 == 0 { // slow enough for a small buffer
							time.Sleep(time.Millisecond)
						}
					}
				}()
			}
			wg.Wait()
			r.wait("all lines", func() bool { return int64(r.rec.count())+r.Stats().KernelDrops == int64(total) })
			mixed := 0
			for _, l := range r.rec.all() {
				letter := string(rune('a' + l.peer.Addr.Addr().As4()[3] - 10))
				if strings.Trim(l.text, letter) != "" || l.app != "app" || len(l.text) == 0 {
					mixed++
				}
			}
			t.Logf("B8: %s: %d lines of %d senders, %d mixed, %d dropped by the kernel", transport, r.rec.count(), senders, mixed, r.Stats().KernelDrops)
			if mixed > 0 {
				t.Errorf("%d lines are mixed", mixed)
			}
		})
	}
}

// dialFrom connects from a loopback address.
func (r *rig) dialFrom(addr string) net.Conn {
	r.t.Helper()
	var d net.Dialer
	if a := netip.AddrPortFrom(netip.MustParseAddr(addr), 0); r.cfg.Transport == "udp" {
		d.LocalAddr = net.UDPAddrFromAddrPort(a)
	} else {
		d.LocalAddr = net.TCPAddrFromAddrPort(a)
	}
	c, err := d.Dial(r.Addr().Network(), r.Addr().String())
	if err != nil {
		r.t.Fatal(err)
	}
	r.t.Cleanup(func() { _ = c.Close() })
	return c
}

// TestShutdownUnderLoad is bar F1: the listener stops in time with senders at work.
func TestShutdownUnderLoad(t *testing.T) {
	rounds, conns := 3, 50
	if testing.Short() {
		rounds = 1
	}
	if *long {
		rounds, conns = 200, 1000
	}
	// 50,000 lines a second over all senders, on streams.
	noise := []byte(strings.Repeat("<38>Nov 24 06:00:00 web1 sshd[7]: noise\n", 1000/conns))
	for _, transport := range []string{"tcp", "udp", "tls"} {
		t.Run(transport, func(t *testing.T) {
			ca := newAuthority(t, "ca", nil)
			cfg, sources := loopback(transport), local
			if transport == "tls" {
				cfg, sources = ca.files(t, t.TempDir()), named("web1")
			}
			client := ca.clientConfig(ca.client(t, "web1.lan"))
			var slowest time.Duration
			for range rounds {
				r := start(t, cfg, sources, nil)
				r.rec.quiet.Store(true)
				ctx, cancel := context.WithCancel(context.Background())
				var wg sync.WaitGroup
				var opened []net.Conn
				for i := range conns {
					var c net.Conn
					if transport == "tls" && i < conns/5 {
						tc, err := r.dialTLS(client)
						if err != nil {
							t.Fatal(err)
						}
						c = tc
					} else {
						c = r.dial() // silent on a tls listener
					}
					opened = append(opened, c)
					if transport == "tls" && i >= conns/5 {
						continue
					}
					wg.Add(1)
					go func() {
						defer wg.Done()
						for ctx.Err() == nil {
							_ = c.SetWriteDeadline(time.Now().Add(10 * time.Millisecond))
							if _, err := c.Write(noise); err != nil && !os.IsTimeout(err) && transport != "udp" {
								return
							}
							time.Sleep(20 * time.Millisecond)
						}
					}()
				}
				r.lines(100)
				began := time.Now()
				err := r.stop()
				slowest = max(slowest, time.Since(began))
				cancel()
				wg.Wait()
				for _, c := range opened {
					_ = c.Close()
				}
				if err != nil {
					t.Fatal(err)
				}
			}
			t.Logf("F1: %s, %d rounds with %d senders at work: stopped within %s", transport, rounds, conns, slowest.Round(time.Millisecond))
			if slowest > 5*time.Second {
				t.Errorf("took %s", slowest)
			}
		})
	}
}

// TestLossIsCounted is bar F4: what was sent is received or counted as lost.
func TestLossIsCounted(t *testing.T) {
	burst := 20_000
	if *long {
		burst = 500_000
	}
	t.Run("udp", func(t *testing.T) {
		r := prepare(t, loopback("udp"), local, nil)
		for _, s := range r.server.(*datagrams).sockets {
			if err := control(func(fd int) error {
				return unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_RCVBUF, 64<<10)
			})("", "", s.raw); err != nil {
				t.Fatal(err)
			}
		}
		c := r.dial()
		for i := range burst { // nobody reads yet: most are dropped, the last ones too
			r.send(c, fmt.Sprintf("<38>a: %d", i))
		}
		ctx, cancel := context.WithCancel(context.Background())
		go func() { r.done <- r.Run(ctx) }()
		<-r.Ready()
		r.cancel = cancel
		r.wait("all accounted for", func() bool { return int64(r.rec.count())+r.Stats().KernelDrops == int64(burst) })
		if err := r.stop(); err != nil {
			t.Fatal(err)
		}
		lost := r.Stats().KernelDrops // also after the socket is closed
		t.Logf("F4: udp: %d sent = %d received + %d counted as dropped", burst, r.rec.count(), lost)
		if lost == 0 || int64(r.rec.count())+lost != int64(burst) {
			t.Errorf("%d received, %d dropped of %d", r.rec.count(), lost, burst)
		}
	})
	t.Run("unixgram", func(t *testing.T) {
		r := start(t, ListenerConfig{Transport: "unixgram", Path: socketPath(t)}, []SourceConfig{{Name: "any"}}, nil)
		fd, err := unix.Socket(unix.AF_UNIX, unix.SOCK_DGRAM|unix.SOCK_NONBLOCK, 0)
		if err != nil {
			t.Fatal(err)
		}
		defer unix.Close(fd)
		to := &unix.SockaddrUnix{Name: r.cfg.Path}
		sent, refused := 0, 0
		for i := range burst {
			switch err := unix.Sendto(fd, fmt.Appendf(nil, "<38>a: %d", i), 0, to); {
			case err == nil:
				sent++
			case errors.Is(err, unix.EAGAIN):
				refused++ // the sender knows: nothing is lost silently
			default:
				t.Fatal(err)
			}
		}
		r.lines(sent)
		t.Logf("F4: unixgram: %d accepted by the kernel = %d received, %d refused to the sender", sent, r.rec.count(), refused)
		if r.rec.count() != sent {
			t.Errorf("%d of %d received", r.rec.count(), sent)
		}
	})
}

// TestStoppedReceiverHarmsNoSender is bar F5: while this program stands still, senders with a
// datagram socket that must not wait lose lines and go on; after that lines flow again.
func TestStoppedReceiverHarmsNoSender(t *testing.T) {
	still := 300 * time.Millisecond
	if *long {
		still = time.Minute
	}
	path := socketPath(t)
	child := startChild(t, "serve-unixgram", path)
	fd, err := unix.Socket(unix.AF_UNIX, unix.SOCK_DGRAM|unix.SOCK_NONBLOCK, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer unix.Close(fd)
	to := &unix.SockaddrUnix{Name: path}
	send := func() error { return unix.Sendto(fd, []byte("<38>a: x"), 0, to) }
	if !receivertest.Eventually(30*time.Second, func() bool { return send() == nil }) {
		t.Fatal("the child does not receive")
	}
	if err := child.cmd.Process.Signal(syscall.SIGSTOP); err != nil {
		t.Fatal(err)
	}
	var slowest time.Duration
	refused := 0
	for end := time.Now().Add(still); time.Now().Before(end); time.Sleep(100 * time.Microsecond) {
		began := time.Now()
		err := send()
		slowest = max(slowest, time.Since(began))
		if errors.Is(err, unix.EAGAIN) {
			refused++
		} else if err != nil {
			t.Fatal(err)
		}
	}
	if err := child.cmd.Process.Signal(syscall.SIGCONT); err != nil {
		t.Fatal(err)
	}
	began := time.Now()
	if !receivertest.Eventually(30*time.Second, func() bool { return send() == nil }) {
		t.Fatal("the child does not receive again")
	}
	back := time.Since(began)
	t.Logf("F5: stopped for %s: %d lines refused to the sender, no send took longer than %s, received again after %s", still, refused, slowest, back.Round(time.Microsecond))
	if refused == 0 || slowest > 5*time.Second || back > 20*time.Second {
		t.Errorf("refused %d, slowest %s, back after %s", refused, slowest, back)
	}
}
