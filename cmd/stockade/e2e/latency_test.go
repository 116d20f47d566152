package e2e

import (
	"bytes"
	"fmt"
	"net"
	"net/netip"
	"slices"
	"sync/atomic"
	"testing"
	"time"

	"stockade/cmd/stockade/e2e/rig"
)

const latencyConfig = `
listeners:
  - {name: plain, transport: tcp, address: "127.0.0.1:601"}
  - {name: local, transport: unixgram, path: "%DIR%/syslog.sock"}
sources:
  - {name: neighbour, listener: plain, addresses: [127.0.0.1], jails: [sshd], quota: none}
  - {name: this-host, listener: local, uid: [0], jails: [sshd]}
jails:
  - {name: sshd, filter: sshd, maxretry: 3}
firewall: {backend: nftables}
`

// The targets, from the write of the deciding line to the element in the kernel. The tests allow
// five times as much.
const (
	idleMedian      = 300 * time.Microsecond
	idleNearlyAll   = 2 * time.Millisecond // of 99 in 100
	loadedNearlyAll = 10 * time.Millisecond
	allowance       = 5

	// Those beside a flood of bans and notices.
	median    = time.Millisecond
	nearlyAll = 10 * time.Millisecond

	loadedRate    = 100_000 // lines a second that others send meanwhile
	loadedBans    = 5000    // addresses that those name
	loadedFailing = 6       // of 10 lines
)

// failedLogin is a line of sshd. Each number is a connection of its own.
func failedLogin(n int, addr netip.Addr) string {
	return fmt.Sprintf("<38>%s web1 sshd[%d]: Failed password for root from %s port 40022 ssh2", time.Now().Format(time.Stamp), 1000+n, addr)
}

// TestLatency measures the time from the write of the deciding line to the element in the kernel,
// as the kernel itself announces it.
func TestLatency(t *testing.T) {
	ns := rig.NewNS(t)
	d := rig.NewDaemon(t, ns, latencyConfig).Start()
	l := &latency{t: t, m: watch(t, ns)}
	bans := rig.Size(100, 200, 5000)
	for _, way := range []struct{ name, network, address, end string }{
		{"TCP", "tcp", "127.0.0.1:601", "\n"},
		{"unix socket", "unixgram", d.Dir + "/syslog.sock", ""},
	} {
		t.Run(way.name, func(t *testing.T) {
			conn := rig.Connect(t, ns, way.network, way.address)
			within(t, d, func() (string, bool) {
				took := l.bans(conn, bans, way.end)
				p50, p99 := took[bans/2], took[bans*99/100]
				return fmt.Sprintf("line to kernel over %d bans: p50 %s, p99 %s, longest %s; targets %s and %s", bans, p50, p99, took[bans-1], idleMedian, idleNearlyAll),
					p50 <= allowance*idleMedian && p99 <= allowance*idleNearlyAll
			})
		})
	}
	if in := len(rig.SetOf(t, ns, "ban4", l.next)); in != l.next {
		t.Errorf("the kernel holds %d bans, want %d", in, l.next)
	}
}

// TestLatencyUnderLoad measures the same while the same host sends an attack's lines at a rate.
func TestLatencyUnderLoad(t *testing.T) {
	ns := rig.NewNS(t)
	d := rig.NewDaemon(t, ns, latencyConfig).Start()
	conn := rig.Connect(t, ns, "tcp", "127.0.0.1:601")
	rest := background(t, d)
	l := &latency{t: t, m: watch(t, ns)} // of the background's bans nobody needs to hear
	bans := rig.Size(100, 200, 5000)
	within(t, d, func() (string, bool) {
		before, begin := rest.sent.Load(), time.Now()
		took := l.bans(conn, bans, "\n")
		rate := float64(rest.sent.Load()-before) / time.Since(begin).Seconds()
		p50, p99 := took[bans/2], took[bans*99/100]
		return fmt.Sprintf("line to kernel over %d bans beside %.0f lines/s: p50 %s, p99 %s, longest %s; target %s", bans, rate, p50, p99, took[bans-1], loadedNearlyAll),
			p99 <= allowance*loadedNearlyAll
	})
	rest.stop()
	rig.Eventually(t, 30*time.Second, "every line has an outcome", func() bool {
		all := d.Metrics()
		return rig.Sum(all, "stockade_lines_total") >= rest.sent.Load()+3*int64(l.next)
	})
	if in := len(rig.SetOf(t, ns, "ban4", l.next+loadedBans)); in != l.next+loadedBans {
		t.Errorf("the kernel holds %d bans, want %d", in, l.next+loadedBans)
	}
}

// latency bans one address after the other.
type latency struct {
	t    testing.TB
	m    *monitor
	next int // addresses so far
}

// bans returns how long the deciding lines of so many addresses took, the shortest first.
func (l *latency) bans(conn net.Conn, n int, end string) []time.Duration {
	l.t.Helper()
	took := make([]time.Duration, n)
	for i := range took {
		l.next++
		took[i] = banTime(l.t, conn, l.m, l.next, end)
	}
	slices.Sort(took)
	return took
}

// banTime brings one address to its ban and returns how long the last line took.
func banTime(t testing.TB, conn net.Conn, m *monitor, n int, end string) time.Duration {
	t.Helper()
	addr := netip.AddrFrom4([4]byte{198, 18, byte(n >> 8), byte(n)})
	write := func(i int) {
		if _, err := conn.Write([]byte(failedLogin(3*n+i, addr) + end)); err != nil {
			t.Fatal(err)
		}
	}
	write(0)
	write(1)
	time.Sleep(5 * time.Millisecond) // a quiet moment: nothing of this address is under way
	begin := time.Now()
	write(2)
	return m.wait("ban4", addr).Sub(begin)
}

// sender sends lines beside a test.
type sender struct {
	sent atomic.Int64 // lines
	stop func()
}

// background sends an attack's lines to the daemon at loadedRate, from its own host, until it is
// stopped or the test ends, and returns once all addresses that it names are banned.
func background(t testing.TB, d *rig.Daemon) *sender {
	t.Helper()
	conn := rig.Connect(t, d.NS, "tcp", "127.0.0.1:601")
	s := &sender{}
	done, stopped := make(chan struct{}), make(chan struct{})
	s.stop = func() {
		select {
		case <-stopped:
		default:
			close(done)
			<-stopped
		}
	}
	t.Cleanup(s.stop)
	go func() {
		defer close(stopped)
		if err := s.run(conn, done); err != nil {
			t.Errorf("the background: %v", err)
		}
	}()
	rig.Eventually(t, 60*time.Second, "the background's addresses are banned", func() bool {
		return rig.Sum(d.Metrics(), "stockade_bans_total") >= loadedBans
	})
	rig.Eventually(t, 60*time.Second, "the kernel holds them", func() bool {
		return d.Metrics()["stockade_line_to_ban_seconds_count"] >= loadedBans
	})
	return s
}

// linesAtOnce are the lines that the background writes together.
const linesAtOnce = 100

// chunks are the lines of the background, so many that each address is named often enough.
func chunks() (list [][]byte) {
	now := time.Now().Format(time.Stamp)
	var b bytes.Buffer
	failures := 0
	for i := range 10 * loadedBans {
		if i%10 < loadedFailing {
			n := failures % loadedBans
			failures++
			fmt.Fprintf(&b, "<38>%s web1 sshd[%d]: Failed password for root from 198.19.%d.%d port 40022 ssh2\n", now, i, n>>8, n&255)
		} else {
			fmt.Fprintf(&b, "<78>%s web1 CRON[%d]: (root) CMD (test -x /usr/sbin/anacron)\n", now, i)
		}
		if (i+1)%linesAtOnce == 0 {
			list = append(list, bytes.Clone(b.Bytes()))
			b.Reset()
		}
	}
	return list
}

// run writes what is due each millisecond.
func (s *sender) run(conn net.Conn, done chan struct{}) error {
	list := chunks()
	begin := time.Now()
	for n := 0; ; n++ {
		if _, err := conn.Write(list[n%len(list)]); err != nil {
			return err
		}
		s.sent.Add(linesAtOnce)
		select {
		case <-done:
			return nil
		case <-time.After(time.Until(begin.Add(time.Duration(n+1) * linesAtOnce * time.Second / loadedRate))):
		}
	}
}
