package e2e

import (
	"fmt"
	"net/netip"
	"strconv"
	"strings"
	"testing"
	"time"

	"stockade/cmd/stockade/e2e/rig"
)

const loadConfig = `
listeners:
  - {name: plain, transport: tcp, address: "127.0.0.1:601"}
  - {name: lan, transport: udp, address: "127.0.0.1:514"}
sources:
  - {name: stream, listener: plain, addresses: [127.0.0.1], jails: [sshd], quota: none}
  - {name: datagrams, listener: lan, addresses: [127.0.0.1], accept_spoofable: true, jails: [sshd], quota: none}
jails:
  - {name: sshd, filter: sshd, maxretry: %d, findtime: 1h}
firewall: {backend: nftables}
`

const (
	loadAddresses = 5000
	loadShare     = 5 // one line in so many is a failure
	loadMemory    = 512 << 20
)

// TestLoadTCP sends all lines at full speed. An address is banned only by the last of its failures,
// so one lost or miscounted line would leave an address out.
func TestLoadTCP(t *testing.T) {
	lines := loadLines()
	perAddress := lines / loadShare / loadAddresses
	d := rig.NewDaemon(t, rig.NewNS(t), fmt.Sprintf(loadConfig, perAddress)).Start()
	load(d, lines, "tcp:127.0.0.1:601")

	all := settled(d, lines)
	if got := rig.Sum(all, "stockade_messages_total"); got != int64(lines) {
		t.Errorf("%d messages were received, want %d", got, lines)
	}
	if got := outcome(all, "matched"); got != int64(lines/loadShare) {
		t.Errorf("%d lines matched, want %d", got, lines/loadShare)
	}
	if got := outcome(all, "dropped") + outcome(all, "refused"); got != 0 {
		t.Errorf("%d lines were dropped or refused, want none", got)
	}
	s := d.Source("stream")
	if s.Lines != int64(lines) || s.Failures != int64(lines/loadShare) {
		t.Errorf("the source has %d lines and %d failures, want %d and %d", s.Lines, s.Failures, lines, lines/loadShare)
	}
	if !rig.Soon(30*time.Second, func() bool { return banned(d) == loadAddresses }) {
		t.Errorf("the kernel holds %d of %d addresses", banned(d), loadAddresses)
	}
	sayMemory(d)
}

// TestLoadUDP does the same with datagrams: what the kernel or a full queue drops is counted.
func TestLoadUDP(t *testing.T) {
	lines := loadLines()
	d := rig.NewDaemon(t, rig.NewNS(t), fmt.Sprintf(loadConfig, 3)).Start()
	load(d, lines, "udp:127.0.0.1:514")
	// The kernel tells of datagrams that it dropped with the next one that it delivers.
	conn := rig.Connect(t, d.NS, "udp", "127.0.0.1:514")
	sent := lines
	told := func() bool {
		all := d.Metrics()
		return rig.Sum(all, "stockade_messages_total")+rig.Sum(all, "stockade_kernel_drops_total") >= int64(sent)
	}
	rig.Eventually(t, 60*time.Second, "received and lost datagrams are all that were sent", func() bool {
		if rig.Soon(time.Second, told) {
			return true
		}
		if _, err := fmt.Fprintf(conn, "<78>%s web1 CRON[%d]: (root) CMD (true)", time.Now().Format(time.Stamp), sent); err != nil {
			t.Fatal(err)
		}
		sent++
		return false
	})
	all := settled(d, int(rig.Sum(d.Metrics(), "stockade_messages_total"))) // nothing is under way any more
	received, lost := rig.Sum(all, "stockade_messages_total"), rig.Sum(all, "stockade_kernel_drops_total")
	if received+lost != int64(sent) {
		t.Errorf("%d received and %d lost, want %d together", received, lost, sent)
	}
	dropped := outcome(all, "dropped")
	t.Logf("of %d datagrams %d were received, %d lost in the kernel, %d dropped in the queue", sent, received, lost, dropped)
	// In the long form an address has 40 failures and needs three: few losses do not matter.
	n, few := banned(d), !testing.Short() && lost+dropped < int64(lines)/10
	if n != loadAddresses && (few || lost+dropped == 0) {
		t.Errorf("the kernel holds %d of %d addresses", n, loadAddresses)
	}
	sayMemory(d)
}

func loadLines() int {
	if testing.Short() {
		return 100_000
	}
	return 1_000_000
}

// load sends lines with stockade-load from the daemon's own host.
func load(d *rig.Daemon, lines int, to string) {
	d.T.Helper()
	out := rig.Sh(d.T, d.NS, "timeout", "120", rig.Program(d.T, "stockade-load"), "-to", to, "-count", strconv.Itoa(lines),
		"-addresses", strconv.Itoa(loadAddresses), "-failures", fmt.Sprint(1.0/loadShare), "-quiet")
	d.T.Logf("stockade-load: %s", strings.TrimSpace(out))
}

// settled waits until every line received has an outcome, and every ban is in the kernel.
func settled(d *rig.Daemon, lines int) map[string]int64 {
	d.T.Helper()
	begin := time.Now()
	var all map[string]int64
	rig.Eventually(d.T, 60*time.Second, "every line has an outcome", func() bool {
		all = d.Metrics()
		return rig.Sum(all, "stockade_lines_total") >= int64(lines) && rig.Sum(all, "stockade_queue_depth") == 0
	})
	d.T.Logf("the last line was judged %s after the last was sent: ignored %d, matched %d, unmatched %d, refused %d, dropped %d, continued %d",
		time.Since(begin).Round(time.Millisecond), outcome(all, "ignored"), outcome(all, "matched"), outcome(all, "unmatched"),
		outcome(all, "refused"), outcome(all, "dropped"), outcome(all, "continued"))
	if got := rig.Sum(all, "stockade_lines_total"); got != int64(lines) {
		d.T.Errorf("%d lines have an outcome, want %d", got, lines)
	}
	rig.Eventually(d.T, 30*time.Second, "all bans are in the kernel", func() bool {
		all = d.Metrics()
		return all["stockade_line_to_ban_seconds_count"] == all["stockade_bans_total"]
	})
	return all
}

// banned counts the addresses in the kernel, all of which must be of those that were sent.
func banned(d *rig.Daemon) int {
	d.T.Helper()
	first := netip.MustParseAddr("198.18.0.0").As4()
	seen := make(map[string]bool)
	for _, e := range rig.Set(d.T, d.NS, "ban4") {
		a, err := netip.ParseAddr(e.Address)
		if err != nil {
			d.T.Fatal(err)
		}
		b := a.As4()
		i := int(b[2])<<8 | int(b[3])
		if b[0] != first[0] || b[1] != first[1] || i >= loadAddresses {
			d.T.Errorf("%s is banned and was in no line", a)
		}
		seen[e.Address] = true
	}
	if n := len(rig.Set(d.T, d.NS, "ban6")); n != 0 {
		d.T.Errorf("%d IPv6 addresses are banned, want none", n)
	}
	return len(seen)
}

func sayMemory(d *rig.Daemon) {
	d.T.Helper()
	high := d.Memory("VmHWM")
	d.T.Logf("resident memory was at most %d MiB", high>>20)
	if high > loadMemory {
		d.T.Errorf("resident memory was %d MiB, want at most %d", high>>20, loadMemory>>20)
	}
}
