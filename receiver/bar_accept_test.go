package receiver

import (
	"context"
	"crypto/tls"
	"fmt"
	"net"
	"net/netip"
	"runtime"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"
)

// The bars A, F and T are the reliability bars of this program: a number each, printed by the
// test and asserted with room for a busy machine. Their full length is behind -long.

// clientHello returns the first flight of a TLS client.
func clientHello(t testing.TB) []byte {
	t.Helper()
	a, b := net.Pipe()
	defer b.Close()
	go func() {
		_ = tls.Client(a, &tls.Config{ServerName: "x", MinVersion: tls.VersionTLS12}).Handshake()
		_ = a.Close()
	}()
	buf := make([]byte, 16<<10)
	n, err := b.Read(buf)
	if err != nil {
		t.Fatal(err)
	}
	return buf[:n]
}

func percentile(d []time.Duration, p int) time.Duration {
	d = slices.Clone(d)
	slices.Sort(d)
	return d[(len(d)-1)*p/100]
}

// allowed is what a good client may wait: five times the bar of 250 ms, and more where a client of an
// idle listener has to wait, too, because others use the machine.
func allowed(idle []time.Duration) time.Duration {
	return max(5*250*time.Millisecond, 10*slices.Max(idle))
}

// goodClients connects n clients, one after the other, and returns how long each took from
// dialling until its line was in the sink.
func (r *rig) goodClients(cfg *tls.Config, n int) []time.Duration {
	r.t.Helper()
	var took []time.Duration
	for range n {
		before, began := r.rec.count(), time.Now()
		c, err := r.dialTLS(cfg)
		if err != nil {
			r.t.Fatal(err)
		}
		r.send(c, "<38>a: good\n")
		r.lines(before + 1)
		took = append(took, time.Since(began))
		_ = c.Close()
	}
	return took
}

// TestStalledTLSClients is bars A1 and A2: clients that stop at each point of the handshake
// delay nobody, and are all closed at the deadline.
func TestStalledTLSClients(t *testing.T) {
	stalled, deadline := 1000, 3*time.Second
	if testing.Short() || slow && !*long {
		stalled, deadline = 200, 2*time.Second
	}
	if *long {
		deadline = 10 * time.Second
	}
	ca := newAuthority(t, "ca", nil)
	r := start(t, ca.files(t, t.TempDir()), named("web1"), func(l *Listener) { l.limits.handshake = deadline })
	good := ca.clientConfig(ca.client(t, "web1.lan"))
	idle := r.goodClients(good, 20)
	goroutines := runtime.NumGoroutine()

	hello := clientHello(t)
	conns := make([]net.Conn, 0, stalled)
	var opened []time.Time
	for i := range stalled {
		c := r.dial()
		opened = append(opened, time.Now())
		switch i % 3 {
		case 1:
			_, _ = c.Write(hello[:1])
		case 2:
			_, _ = c.Write(hello)
		}
		conns = append(conns, c)
	}
	busy := r.goodClients(good, 20)
	t.Logf("A1: %d stalled clients; good client idle p99 %s, busy p99 %s, max %s", stalled,
		percentile(idle, 99).Round(time.Microsecond), percentile(busy, 99).Round(time.Microsecond), slices.Max(busy).Round(time.Microsecond))
	if bar := allowed(idle); slices.Max(busy) > bar {
		t.Errorf("a good client waited %s, at most %s are right on this machine", slices.Max(busy), bar)
	}

	var early, late time.Duration = time.Hour, 0
	for i, c := range conns {
		if !closedSoon(c, deadline+20*time.Second) {
			t.Fatal("a stalled client is never closed")
		}
		early, late = min(early, time.Since(opened[i])), max(late, time.Since(opened[i]))
	}
	t.Logf("A2: closed between %s and %s after opening, deadline %s", early.Round(time.Millisecond), late.Round(time.Millisecond), deadline)
	if early < deadline-deadline/5 || late > deadline+5*time.Second {
		t.Errorf("closed between %s and %s, want about %s", early, late, deadline)
	}
	r.wait("refusals", func() bool { return r.refusals(ReasonHandshake) == int64(stalled) })
	r.wait("the goroutines' end", func() bool { return runtime.NumGoroutine() <= goroutines+5 })
	r.wait("the connections' end", func() bool { return r.Stats().Open == 0 })
}

// TestSilentFlood is bar T1: more silent connections than may be pending, from many addresses.
func TestSilentFlood(t *testing.T) {
	conns, addresses, pendingMax := 1200, 120, 256
	if *long {
		conns, addresses, pendingMax = 10_000, 1000, maxPending
	}
	ca := newAuthority(t, "ca", nil)
	r := start(t, ca.files(t, t.TempDir()), named("web1"), func(l *Listener) {
		l.server.(*streams).pending.max = pendingMax
	})
	good := ca.clientConfig(ca.client(t, "web1.lan"))
	idle := r.goodClients(good, 10)
	ctx, cancel := context.WithCancel(context.Background())
	var wg sync.WaitGroup
	flooded := make(chan struct{})
	wg.Add(1)
	go func() {
		defer wg.Done()
		defer close(flooded)
		for i := range conns {
			n := i % addresses
			d := net.Dialer{LocalAddr: &net.TCPAddr{IP: net.IPv4(127, 1, byte(n/100), byte(1+n%100))}}
			c, err := d.DialContext(ctx, "tcp", r.Addr().String())
			if err != nil {
				continue
			}
			defer c.Close() //nolint:gocritic // all stay open until the flood ends
		}
		<-ctx.Done()
	}()
	took := r.goodClients(good, 50)
	cancel()
	<-flooded
	wg.Wait()
	s := r.Stats()
	t.Logf("T1: %d silent connections from %d addresses, %d pushed out; good client p99 %s, max %s",
		conns, addresses, r.refusals(ReasonPushedOut), percentile(took, 99).Round(time.Microsecond), slices.Max(took).Round(time.Microsecond))
	if entries(s) != 60 || s.Bytes != 60*int64(len("<38>a: good")) {
		t.Errorf("%d entries, %d bytes: something of the flood was parsed", entries(s), s.Bytes)
	}
	if bar := allowed(idle); percentile(took, 99) > bar {
		t.Errorf("good client p99 %s, at most %s are right on this machine", percentile(took, 99), bar)
	}
}

// TestPendingEvictsTheOldestOfTheHeaviestPrefix shows who goes when there is no place.
func TestPendingEvictsTheOldestOfTheHeaviestPrefix(t *testing.T) {
	p := newPending(3, 1, 1)
	enter := func(addr string) *conn {
		a, b := net.Pipe()
		t.Cleanup(func() { _, _ = a.Close(), b.Close() })
		c := &conn{nc: a}
		c.peer.Addr = netip.MustParseAddrPort(addr)
		p.enter(c)
		return c
	}
	lone := enter("198.51.100.1:1")
	first, second := enter("192.0.2.1:1"), enter("192.0.2.200:1")
	third := enter("[2001:db8::1]:1")
	if lone.evicted.Load() || !first.evicted.Load() || second.evicted.Load() || third.evicted.Load() {
		t.Fatal("the oldest of the prefix with most connections must go first")
	}
	p.leave(first)
	p.leave(second)
	if p.count != 2 || len(p.groups) != 2 {
		t.Fatalf("%d pending in %d prefixes, want 2 in 2", p.count, len(p.groups))
	}
}

// TestManyConnections is bar A4: nothing is lost or doubled over many connections.
func TestManyConnections(t *testing.T) {
	for _, tt := range []struct {
		transport    string
		conns, lines int
	}{{"tcp", 2000, 40_000}, {"tls", 1000, 100_000}} {
		t.Run(tt.transport, func(t *testing.T) {
			if testing.Short() || slow && !*long {
				tt.conns, tt.lines = tt.conns/10, tt.lines/10
			}
			ca := newAuthority(t, "ca", nil)
			cfg, sources := loopback("tcp"), local
			if tt.transport == "tls" {
				cfg, sources = ca.files(t, t.TempDir()), named("web1")
			}
			r := start(t, cfg, sources, nil)
			client := ca.clientConfig(ca.client(t, "web1.lan"))
			var before, after runtime.MemStats
			runtime.GC()
			runtime.ReadMemStats(&before)
			conns := make([]net.Conn, tt.conns)
			errs := make(chan error, tt.conns) // one each; never full
			var wg sync.WaitGroup
			for i := range conns {
				wg.Add(1)
				go func() {
					defer wg.Done()
					var err error
					if tt.transport == "tls" {
						d := tls.Dialer{Config: client, NetDialer: &net.Dialer{}}
						conns[i], err = d.Dial("tcp", r.Addr().String())
					} else {
						conns[i], err = net.Dial("tcp", r.Addr().String())
					}
					if err != nil {
						errs <- err
					}
				}()
			}
			wg.Wait()
			close(errs)
			for err := range errs {
				t.Fatal(err)
			}
			r.wait("open connections", func() bool { return r.Stats().Open == int64(tt.conns) })
			runtime.GC()
			runtime.ReadMemStats(&after)
			perConn := (after.HeapInuse + after.StackInuse - before.HeapInuse - before.StackInuse) / uint64(tt.conns) / 1024 //nolint:gosec // positive
			each := tt.lines / tt.conns
			for i, c := range conns {
				wg.Add(1)
				go func() {
					defer wg.Done()
					var b strings.Builder
					for k := range each {
						fmt.Fprintf(&b, "<38>a: %d\n", i*each+k)
					}
					_, _ = c.Write([]byte(b.String()))
				}()
			}
			wg.Wait()
			r.lines(tt.lines)
			seen := make([]int, tt.lines)
			for _, l := range r.rec.all() {
				var n int
				if _, err := fmt.Sscanf(l.text, "%d", &n); err != nil || n >= len(seen) {
					t.Fatalf("line %q", l.text)
				}
				seen[n]++
			}
			lost, doubled := 0, 0
			for _, n := range seen {
				if n == 0 {
					lost++
				} else if n > 1 {
					doubled++
				}
			}
			t.Logf("A4: %s, %d connections, %d lines: %d lost, %d doubled; %d KiB a connection, both ends", tt.transport, tt.conns, tt.lines, lost, doubled, perConn)
			if lost+doubled > 0 {
				t.Errorf("%d lost, %d doubled", lost, doubled)
			}
			for _, c := range conns {
				_ = c.Close()
			}
		})
	}
}

// TestGreedySourceDelaysNobody is bar A5: one source sends at line rate, another now and then.
func TestGreedySourceDelaysNobody(t *testing.T) {
	sources := []SourceConfig{{Name: "greedy", Addresses: []string{"127.0.0.1"}}, {Name: "calm", Addresses: []string{"127.0.0.2"}}}
	r := start(t, loopback("tcp"), sources, nil)
	r.rec.quiet.Store(true)
	greedy := r.dial()
	batch := []byte(strings.Repeat("<38>Nov 24 06:00:00 web1 sshd[7]: noise\n", 500))
	stop := make(chan struct{})
	var wg sync.WaitGroup
	wg.Add(1)
	go func() {
		defer wg.Done()
		for {
			select {
			case <-stop:
				return
			default:
			}
			if _, err := greedy.Write(batch); err != nil {
				return
			}
		}
	}()
	d := net.Dialer{LocalAddr: &net.TCPAddr{IP: net.IPv4(127, 0, 0, 2)}}
	calm, err := d.Dial("tcp", r.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer calm.Close()
	source := r.registry.Load().All()[1]
	var took []time.Duration
	for i := range 50 {
		began := time.Now()
		r.send(calm, "<38>a: calm\n")
		r.wait("the calm line", func() bool { return source.Lines.Load() == int64(i+1) })
		took = append(took, time.Since(began))
	}
	close(stop)
	wg.Wait()
	t.Logf("A5: beside %d lines of another source, a line took p99 %s", r.registry.Load().All()[0].Lines.Load(), percentile(took, 99).Round(time.Microsecond))
	if percentile(took, 99) > 5*500*time.Millisecond {
		t.Errorf("p99 %s", percentile(took, 99))
	}
}
