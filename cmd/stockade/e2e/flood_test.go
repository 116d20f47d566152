package e2e

import (
	"encoding/binary"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"slices"
	"sync/atomic"
	"testing"
	"time"

	"stockade/cmd/stockade/e2e/rig"
)

const (
	floodRate = 20_000 // packets a second
	floodTo   = server + ":9"
)

// TestPacketsAfterTheDecidingLine counts what an attacker who floods a server still gets through the
// gateway once the line is written that bans him: while nothing else happens, and beside the lines of
// an attack.
func TestPacketsAfterTheDecidingLine(t *testing.T) {
	l := newLab(t)
	d := rig.NewDaemon(t, l.gateway, latencyConfig).Start()
	conn := rig.Connect(t, l.gateway, "tcp", "127.0.0.1:601")
	rounds := rig.Size(5, 10, 100)
	f := newFlood(l)
	turn := 0
	measure := func(limit time.Duration) func() (string, bool) {
		return func() (string, bool) {
			through := make([]int64, rounds)
			for i := range through {
				turn++
				through[i] = f.round(d, conn, turn)
			}
			slices.Sort(through)
			most := through[rounds-1]
			allowed := int64(allowance * floodRate * limit / time.Second)
			return fmt.Sprintf("packets through after the deciding line, at %d/s, over %d bans: half at most %d, all at most %d; target %d",
				floodRate, rounds, through[rounds/2], most, allowed/allowance), most <= allowed
		}
	}
	t.Run("idle", func(t *testing.T) {
		f.m = watch(t, l.gateway)
		within(t, d, measure(idleNearlyAll))
	})
	t.Run("under load", func(t *testing.T) {
		rest := background(t, d)
		f.m = watch(t, l.gateway)
		within(t, d, measure(loadedNearlyAll))
		rest.stop()
	})
}

// flood sends numbered packets from an attacker's address to the lab's server, which notes what comes.
type flood struct {
	l    *lab
	m    *monitor // of the gateway
	sink net.PacketConn

	turn         atomic.Uint64 // this round; packets of an earlier one may still wait to be read
	got, highest atomic.Uint64 // packets that came in this round, and the highest number
}

func newFlood(l *lab) *flood {
	l.t.Helper()
	f := &flood{l: l}
	err := rig.Inside(l.server, func() (err error) {
		f.sink, err = net.ListenPacket("udp4", floodTo)
		return err
	})
	if err != nil {
		l.t.Fatal(err)
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		f.receive()
	}()
	l.t.Cleanup(func() { _ = f.sink.Close(); <-done })
	return f
}

func (f *flood) receive() {
	var buf [16]byte
	for {
		n, _, err := f.sink.ReadFrom(buf[:])
		switch {
		case errors.Is(err, net.ErrClosed):
			return
		case err != nil || n != len(buf) || binary.BigEndian.Uint64(buf[:]) != f.turn.Load():
			continue
		}
		f.got.Add(1)
		f.highest.Store(max(f.highest.Load(), binary.BigEndian.Uint64(buf[8:])))
	}
}

// round floods from an address of its own, writes the lines that ban it, and returns how many packets
// were sent after the last of those was written and before the last one that came through.
func (f *flood) round(d *rig.Daemon, conn net.Conn, turn int) int64 {
	t := f.l.t
	t.Helper()
	addr := netip.AddrFrom4([4]byte{198, 18, byte(turn >> 8), byte(turn)})
	f.l.addr(f.l.internet, "gw0", addr.String()+"/32")
	var out net.Conn
	err := rig.Inside(f.l.internet, func() (err error) {
		dial := net.Dialer{LocalAddr: &net.UDPAddr{IP: addr.AsSlice()}}
		out, err = dial.Dial("udp4", floodTo)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	f.turn.Store(uint64(turn))
	f.got.Store(0)
	f.highest.Store(0)
	var sent atomic.Uint64
	stop, stopped := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(stopped)
		send(out, uint64(turn), &sent, stop)
	}()
	defer func() { close(stop); <-stopped; out.Close() }()
	rig.Eventually(t, 30*time.Second, "packets come through", func() bool { return f.got.Load() > 100 })
	for i := range 2 {
		f.write(conn, 3*turn+i, addr)
	}
	rig.Eventually(t, 30*time.Second, "the first two are counted", func() bool { return d.Jail("sshd").FailedCurrent > 0 })
	f.write(conn, 3*turn+2, addr)
	last := sent.Load()
	f.m.wait("ban4", addr)
	// What is on its way arrives; of what is sent from now on nothing may.
	banned := sent.Load()
	rig.Eventually(t, 30*time.Second, "the flood goes on", func() bool { return sent.Load() > banned+floodRate/10 })
	through := f.highest.Load()
	if through > banned {
		t.Errorf("packet %d came through; the kernel held the ban before %d was sent", through, banned+1)
	}
	return int64(through) - int64(min(last, through))
}

func (f *flood) write(conn net.Conn, n int, addr netip.Addr) {
	f.l.t.Helper()
	if _, err := conn.Write([]byte(failedLogin(n, addr) + "\n")); err != nil {
		f.l.t.Fatal(err)
	}
}

// send sends what is due each millisecond. A packet counts as sent right before it is, also when it finds
// no room.
func send(out net.Conn, turn uint64, sent *atomic.Uint64, stop chan struct{}) {
	var buf [16]byte
	binary.BigEndian.PutUint64(buf[:], turn)
	begin := time.Now()
	for {
		for due := uint64(time.Since(begin).Seconds() * floodRate); sent.Load() < due; {
			n := sent.Load() + 1
			binary.BigEndian.PutUint64(buf[8:], n)
			sent.Store(n)
			_, _ = out.Write(buf[:]) // refused or full: an attacker does not mind
		}
		select {
		case <-stop:
			return
		case <-time.After(time.Millisecond):
		}
	}
}
