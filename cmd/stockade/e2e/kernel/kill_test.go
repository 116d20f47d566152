package kernel

import (
	"context"
	"math/rand/v2"
	"net/netip"
	"syscall"
	"testing"
	"time"

	"stockade/cmd/stockade/control"
	"stockade/cmd/stockade/e2e/rig"
)

const killConfig = `
jails:
  - {name: sshd, filter: sshd, maxretry: 1, findtime: 10m, bantime: 1h, increment: {enabled: false}}
firewall: {backend: nftables}
`

// TestKillTheDaemon is D1 end to end: kill -9 at random points under load. What was shown as
// enforced is there after the restart, with its end; nothing is there that was not sent; and the
// kernel holds what the store does.
func TestKillTheDaemon(t *testing.T) {
	rounds := rig.Size(4, 20, 200)
	d := newDaemon(t, killConfig)
	d.moveSocket() // the long form comes to more bans than the kernel's sets are looked through for
	random := rand.New(rand.NewPCG(uint64(time.Now().UnixNano()), 0))
	sent := 0 // addresses so far
	acknowledged := make(map[netip.Addr]time.Time)
	d.start()
	for round := range rounds {
		sent = d.loadAndKill(sent, time.Duration(random.IntN(300))*time.Millisecond, acknowledged)
		d.start()
		bans := make(map[netip.Addr]time.Time)
		for _, b := range d.bans() {
			a := b.Address.Addr()
			if b.End == nil || !b.Address.IsSingleIP() || a.Compare(numbered(sent)) >= 0 || a.Compare(numbered(0)) < 0 {
				t.Fatalf("round %d: ban of %s until %v, which nobody asked for", round, b.Address, b.End)
			}
			bans[a] = *b.End
		}
		for a, end := range acknowledged {
			got, ok := bans[a]
			if !ok {
				t.Fatalf("round %d: the acknowledged ban of %s is lost", round, a)
			}
			if off := got.Sub(end).Abs(); off > 2*time.Second {
				t.Fatalf("round %d: the ban of %s ends %s off", round, a, off)
			}
		}
		inKernel := d.setOf("ban4", len(bans))
		for a, end := range bans {
			got, ok := inKernel[a]
			if off := got.Sub(end).Abs(); !ok || off > 3*time.Second+d.listing { // nft tells whole seconds
				t.Fatalf("round %d: %s is in the kernel: %v, its end %s off", round, a, ok, off)
			}
		}
		if len(inKernel) != len(bans) {
			t.Fatalf("round %d: %d elements in the kernel, %d bans", round, len(inKernel), len(bans))
		}
	}
	if len(acknowledged) < rounds {
		t.Errorf("only %d bans were acknowledged", len(acknowledged))
	}
	t.Logf("%d kills: %d addresses sent, %d bans acknowledged, 0 lost, 0 phantom, ends within 2 s", rounds, sent, len(acknowledged))
}

// loadAndKill sends failures of new addresses, notes what is acknowledged, and kills the daemon
// that long after the first acknowledgement of this load. It returns how many addresses there are.
func (d *daemon) loadAndKill(from int, after time.Duration, acknowledged map[netip.Addr]time.Time) int {
	d.T.Helper()
	conn := d.dial()
	sent, stop := make(chan int), make(chan struct{})
	go func() {
		n := from
		defer func() { sent <- n }()
		for {
			now := time.Now().Format(time.Stamp)
			var b []byte
			for range 5 {
				b = appendFailure(b, now, numbered(n))
				n++
			}
			if _, err := conn.Write(b); err != nil {
				return
			}
			select {
			case <-stop:
				return
			case <-time.After(5 * time.Millisecond):
			}
		}
	}()
	client, err := control.Dial(context.Background(), d.Socket)
	if err != nil {
		d.T.Fatal(err)
	}
	defer client.Close()
	seen := make(chan struct{}) // something new was acknowledged
	polled := make(chan map[netip.Addr]time.Time)
	go func() {
		all, told := make(map[netip.Addr]time.Time), false
		defer func() { polled <- all }()
		for {
			bans, err := client.Bans(context.Background(), "sshd")
			if err != nil {
				return // killed
			}
			for _, b := range bans {
				if b.Enforced {
					all[b.Address.Addr()] = *b.End
					if !told && b.Address.Addr().Compare(numbered(from)) >= 0 {
						told = true
						close(seen)
					}
				}
			}
		}
	}()
	select {
	case <-seen:
	case <-time.After(30 * time.Second):
		d.T.Error("nothing was acknowledged within 30 s")
	}
	time.Sleep(after) // the moment of the kill is what is random here
	d.signal(syscall.SIGKILL)
	close(stop)
	_ = conn.Close()
	for a, end := range <-polled {
		acknowledged[a] = end
	}
	return <-sent
}
