package kernel

import (
	"net/netip"
	"os/exec"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"stockade/cmd/stockade/e2e/rig"
)

const flushConfig = `
jails:
  - {name: sshd, filter: sshd, maxretry: 1, findtime: 10m, bantime: 1h}
firewall: {backend: nftables, owner: OWNER}
`

// fill bans some addresses and waits until they are in the kernel.
func (d *daemon) fill(n int) {
	d.T.Helper()
	var b []byte
	for i := range n {
		b = appendFailure(b, time.Now().Format(time.Stamp), numbered(i))
	}
	if _, err := d.dial().Write(b); err != nil {
		d.T.Fatal(err)
	}
	rig.Eventually(d.T, 30*time.Second, "the bans are in the kernel", func() bool { return len(d.set("ban4")) == n })
}

// TestForeignFlush: somebody runs `nft flush ruleset` twenty times; each time all bans are back
// soon, and status says what happened.
func TestForeignFlush(t *testing.T) {
	d := newDaemon(t, strings.ReplaceAll(flushConfig, "OWNER", "off"))
	d.start()
	const bans = 200
	d.fill(bans)
	var took []time.Duration
	for range rig.Size(5, 20, 100) {
		if err := d.nft("flush", "ruleset"); err != nil {
			t.Fatal(err)
		}
		start := time.Now()
		rig.Eventually(t, 30*time.Second, "the bans are back", func() bool { return len(d.set("ban4")) == bans })
		took = append(took, time.Since(start))
	}
	rig.Eventually(t, 30*time.Second, "status reports the change", func() bool { return strings.Contains(d.status(), "drift") })
	slices.Sort(took)
	t.Logf("%d flushes, each of %d bans repaired: median %s, longest %s", len(took), bans, took[len(took)/2], took[len(took)-1])
	if median := took[len(took)/2]; median > 5*2*time.Second {
		t.Errorf("repaired after %s, want 2s on a quiet machine", median)
	}
}

// TestFlushOfAnOwnedTable: with an owned table others are refused, and the bans never leave.
func TestFlushOfAnOwnedTable(t *testing.T) {
	d := newDaemon(t, strings.ReplaceAll(flushConfig, "OWNER", "auto"))
	d.start()
	d.fill(50)
	for _, args := range [][]string{{"flush", "table", "inet", "stockade"}, {"delete", "table", "inet", "stockade"}, {"flush", "set", "inet", "stockade", "ban4"}} {
		if err := d.nft(args...); err == nil {
			t.Errorf("nft %s was let through", strings.Join(args, " "))
		}
	}
	_ = d.nft("flush", "ruleset") // leaves out the tables of others, or is refused
	if n := len(d.setOf("ban4", 50)); n != 50 {
		t.Errorf("%d bans are left in the kernel, want 50", n)
	}
}

// TestFlushWhileDown: what was flushed while nothing ran is there again when the daemon serves.
func TestFlushWhileDown(t *testing.T) {
	d := newDaemon(t, strings.ReplaceAll(flushConfig, "OWNER", "auto"))
	d.start()
	d.fill(200)
	for _, how := range []syscall.Signal{syscall.SIGTERM, syscall.SIGKILL} {
		d.signal(how)
		if n := len(d.setOf("ban4", 200)); n != 200 {
			t.Errorf("after %v: %d bans are in the kernel while nothing runs, want 200", how, n)
		}
		if err := d.nft("flush", "ruleset"); err != nil {
			t.Fatal(err)
		}
		d.start()
		if n := len(d.setOf("ban4", 200)); n != 200 {
			t.Errorf("after %v and a flush: %d bans in the kernel when it serves, want 200", how, n)
		}
		for _, b := range d.bans() {
			if !b.Enforced {
				t.Errorf("the ban of %s is not shown as enforced", b.Address)
			}
		}
	}
	if _, ok := d.setOf("ban4", 200)[netip.MustParseAddr("20.0.0.7")]; !ok {
		t.Error("20.0.0.7 is not in the set")
	}
}

// TestWithoutCapability is E9: a daemon that may not use the configured backend says so in one line
// and ends at once.
func TestWithoutCapability(t *testing.T) {
	rig.RequirePrograms(t, "setpriv")
	d := newDaemon(t, strings.ReplaceAll(flushConfig, "OWNER", "auto"))
	cmd := exec.Command("ip", "netns", "exec", d.NS, "setpriv", "--bounding-set", "-net_admin", "--inh-caps", "-net_admin",
		rig.Program(t, "stockade"), "serve", "--config", d.Config)
	start := time.Now()
	out, err := cmd.CombinedOutput()
	took := time.Since(start)
	if code := cmd.ProcessState.ExitCode(); err == nil || code != 4 {
		t.Errorf("exit code %d, want 4", code)
	}
	if lines := strings.Split(strings.TrimSpace(string(out)), "\n"); len(lines) > 2 || !strings.Contains(string(out), "CAP_NET_ADMIN") {
		t.Errorf("it says %q, want a line that names CAP_NET_ADMIN", out)
	}
	t.Logf("ended after %s: %s", took.Round(time.Millisecond), strings.TrimSpace(string(out)))
	if took > 10*time.Second {
		t.Errorf("ended after %s, want 2s", took)
	}
}
