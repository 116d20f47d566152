package e2e

import (
	"fmt"
	"net/netip"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"
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
	d := newDaemon(t, newHost(t), fmt.Sprintf(loadConfig, perAddress)).start()
	d.load(lines, "tcp:127.0.0.1:601")

	all := d.settled(lines)
	if got := sum(all, "stockade_messages_total"); got != int64(lines) {
		t.Errorf("%d messages were received, want %d", got, lines)
	}
	if got := outcome(all, "matched"); got != int64(lines/loadShare) {
		t.Errorf("%d lines matched, want %d", got, lines/loadShare)
	}
	if got := outcome(all, "dropped") + outcome(all, "refused"); got != 0 {
		t.Errorf("%d lines were dropped or refused, want none", got)
	}
	s := d.source("stream")
	if s.Lines != int64(lines) || s.Failures != int64(lines/loadShare) {
		t.Errorf("the source has %d lines and %d failures, want %d and %d", s.Lines, s.Failures, lines, lines/loadShare)
	}
	if n := d.banned(); n != loadAddresses {
		t.Errorf("the kernel holds %d of %d addresses", n, loadAddresses)
	}
	d.sayMemory()
}

// TestLoadUDP does the same with datagrams: what the kernel or a full queue drops is counted.
func TestLoadUDP(t *testing.T) {
	lines := loadLines()
	d := newDaemon(t, newHost(t), fmt.Sprintf(loadConfig, 3)).start()
	d.load(lines, "udp:127.0.0.1:514")
	// The kernel tells of datagrams that it dropped with the next one that it delivers.
	conn := open(t, d.ns, "udp", "127.0.0.1:514")
	sent := lines
	eventually(t, 30*time.Second, "received and lost datagrams are all that were sent", func() bool {
		if _, err := fmt.Fprintf(conn, "<78>%s web1 CRON[%d]: (root) CMD (true)", time.Now().Format(time.Stamp), sent); err != nil {
			t.Fatal(err)
		}
		sent++
		all := d.metrics()
		return sum(all, "stockade_messages_total")+sum(all, "stockade_kernel_drops_total") >= int64(lines)
	})
	all := d.settled(int(sum(d.metrics(), "stockade_messages_total")))
	received, lost := sum(all, "stockade_messages_total"), sum(all, "stockade_kernel_drops_total")
	if received+lost != int64(sent) {
		t.Errorf("%d received and %d lost, want %d together", received, lost, sent)
	}
	dropped := outcome(all, "dropped")
	t.Logf("of %d datagrams %d were received, %d lost in the kernel, %d dropped in the queue", sent, received, lost, dropped)
	// In the long form an address has 40 failures and needs three: few losses do not matter.
	n, few := d.banned(), !testing.Short() && lost+dropped < int64(lines)/10
	if n != loadAddresses && (few || lost+dropped == 0) {
		t.Errorf("the kernel holds %d of %d addresses", n, loadAddresses)
	}
	d.sayMemory()
}

func loadLines() int {
	if testing.Short() {
		return 100_000
	}
	return 1_000_000
}

// load sends lines with stockade-load from the daemon's own host.
func (d *daemon) load(lines int, to string) {
	d.t.Helper()
	out := sh(d.t, d.ns, "timeout", "120", filepath.Join(binaries, "stockade-load"), "-to", to, "-count", strconv.Itoa(lines),
		"-addresses", strconv.Itoa(loadAddresses), "-failures", fmt.Sprint(1.0/loadShare), "-quiet")
	d.t.Logf("stockade-load: %s", strings.TrimSpace(out))
}

// settled waits until every line received has an outcome, and every ban is in the kernel.
func (d *daemon) settled(lines int) map[string]int64 {
	d.t.Helper()
	begin := time.Now()
	var all map[string]int64
	eventually(d.t, 60*time.Second, "every line has an outcome", func() bool {
		all = d.metrics()
		return sum(all, "stockade_lines_total") >= int64(lines) && sum(all, "stockade_queue_depth") == 0
	})
	d.t.Logf("the last line was judged %s after the last was sent: ignored %d, matched %d, unmatched %d, refused %d, dropped %d, continued %d",
		time.Since(begin).Round(time.Millisecond), outcome(all, "ignored"), outcome(all, "matched"), outcome(all, "unmatched"),
		outcome(all, "refused"), outcome(all, "dropped"), outcome(all, "continued"))
	if got := sum(all, "stockade_lines_total"); got != int64(lines) {
		d.t.Errorf("%d lines have an outcome, want %d", got, lines)
	}
	eventually(d.t, 30*time.Second, "all bans are in the kernel", func() bool {
		all = d.metrics()
		return all["stockade_line_to_ban_seconds_count"] == all["stockade_bans_total"]
	})
	return all
}

// banned counts the addresses in the kernel, all of which must be of those that were sent.
func (d *daemon) banned() int {
	d.t.Helper()
	first := netip.MustParseAddr("198.18.0.0").As4()
	seen := make(map[string]bool)
	for _, e := range set(d.t, d.ns, "ban4") {
		a, err := netip.ParseAddr(e.address)
		if err != nil {
			d.t.Fatal(err)
		}
		b := a.As4()
		i := int(b[2])<<8 | int(b[3])
		if b[0] != first[0] || b[1] != first[1] || i >= loadAddresses {
			d.t.Errorf("%s is banned and was in no line", a)
		}
		seen[e.address] = true
	}
	if n := len(set(d.t, d.ns, "ban6")); n != 0 {
		d.t.Errorf("%d IPv6 addresses are banned, want none", n)
	}
	return len(seen)
}

func (d *daemon) sayMemory() {
	d.t.Helper()
	high := d.memory("VmHWM")
	d.t.Logf("resident memory was at most %d MiB", high>>20)
	if high > loadMemory {
		d.t.Errorf("resident memory was %d MiB, want at most %d", high>>20, loadMemory>>20)
	}
}
