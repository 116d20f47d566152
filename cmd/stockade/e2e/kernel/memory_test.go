package kernel

import (
	"fmt"
	"net/netip"
	"testing"
	"time"

	"stockade/cmd/stockade/e2e/rig"
)

const memoryConfig = `
jails:
  - {name: sshd, filter: sshd, maxretry: 5, findtime: 1d, bantime: 1h}
memory: {windows: %d, evidence: 16777216}
firewall: {backend: nftables}
`

// TestMemoryIsBounded is T8 end to end: ten times as many addresses as there is room for pass by, each
// failing once. The memory stays within what the rows may take, and an offender at four of five is
// banned on the fifth.
func TestMemoryIsBounded(t *testing.T) {
	windows := rig.Size(1_000, 5_000, 1_000_000)
	d := newDaemon(t, fmt.Sprintf(memoryConfig, windows))
	d.start()
	conn := d.dial()
	known := netip.MustParseAddr("203.0.113.9")
	now := time.Now().Format(time.Stamp)
	send := func(b []byte) {
		t.Helper()
		if _, err := conn.Write(b); err != nil {
			t.Fatal(err)
		}
	}
	var b []byte
	for range 4 {
		b = appendFailure(b, now, known)
	}
	send(b)
	base, most, total := d.Memory("VmRSS"), int64(0), 10*windows
	for sent := 0; sent < total; {
		b = b[:0]
		for n := min(sent+5000, total); sent < n; sent++ {
			b = appendFailure(b, now, scattered(sent))
		}
		send(b)
		most = max(most, d.Memory("VmRSS"))
	}
	rig.Eventually(t, 5*time.Minute, "every failure was counted", func() bool { return d.Metrics()["stockade_failures_total"] == int64(total+4) })
	all := d.Metrics()
	if rows := rig.Sum(all, "stockade_windows"); rows > int64(windows) || rows < int64(windows)*9/10 {
		t.Errorf("%d windows are kept, at most %d may be", rows, windows)
	}
	if n := len(d.bans()); n != 0 {
		t.Errorf("%d bans after one failure each", n)
	}
	send(appendFailure(nil, now, known))
	rig.Eventually(t, 30*time.Second, "the known offender is banned", func() bool {
		bans := d.bans()
		return len(bans) == 1 && bans[0].Address.Addr() == known && bans[0].Failures == 5
	})
	most = max(most, d.Memory("VmRSS"))
	// A row takes 0.9 KB, its garbage as much again, the queues of lines under way some tens of MB each way.
	bound := base + int64(windows)*2_500 + 160<<20
	t.Logf("%d addresses through %d rows: resident memory %d MiB before, at most %d MiB, bound %d MiB", total, windows, base>>20, most>>20, bound>>20)
	if most > bound {
		t.Errorf("%d MiB resident, bound %d MiB", most>>20, bound>>20)
	}
}

// scattered are addresses of all neighbourhoods, each of another number, none of them special.
func scattered(n int) netip.Addr {
	const first, nets = 16, 96
	host := n / nets
	return netip.AddrFrom4([4]byte{byte(first + n%nets), byte(host), byte(host >> 8), byte(host >> 16)})
}
