package e2e

import (
	"fmt"
	"net"
	"net/netip"
	"strings"
	"syscall"
	"testing"
	"time"

	"stockade/cmd/stockade/e2e/rig"
	"stockade/receiver/receivertest"
)

const reloadConfig = `
listeners:
  - {name: stream, transport: tcp, address: "127.0.0.1:%[1]d"}
sources:
  - {name: neighbour, listener: stream, addresses: [127.0.0.1], jails: ["*"], quota: none}
jails:
  - {name: logins, filter: {failregex: ['^Failed password for \S+ from <HOST> port \d+']}, maxretry: %[2]d}
%[3]s
firewall: {backend: observe}
`

// TestReload reloads good and bad configurations by verb and by signal. Windows, bans and
// connections live on; a bad one changes nothing.
func TestReload(t *testing.T) {
	port := receivertest.FreePort(t)
	d := rig.NewDaemon(t, "", fmt.Sprintf(reloadConfig, port, 3, "")).Start()
	conn := rig.Connect(t, "", "tcp", fmt.Sprintf("127.0.0.1:%d", port))
	n := 0
	fail := func(addr string, times int) {
		t.Helper()
		for range times {
			n++
			if _, err := fmt.Fprint(conn, failedLogin(n, netip.MustParseAddr(addr))+"\n"); err != nil {
				t.Fatalf("the connection did not outlive a reload: %v", err)
			}
		}
		rig.Eventually(t, 30*time.Second, "the lines are counted", func() bool { return d.Source("neighbour").Failures == int64(n) })
		d.Must("ping") // a worker answers when it is done with the lines: a failure is counted before its ban
	}
	banned := func(addr string) bool {
		t.Helper()
		for _, b := range d.Bans() {
			if b.Address == addr+"/32" {
				return true
			}
		}
		return false
	}
	reloads := func() int { return strings.Count(d.Log.String(), `"msg":"reloaded"`) }
	const early, half, later = "198.18.0.1", "198.18.0.2", "198.18.0.3"
	fail(early, 3)
	fail(half, 2)
	if !banned(early) || banned(half) {
		t.Fatalf("bans = %+v", d.Bans())
	}
	end := d.Bans()[0].End

	// A bad configuration: by verb it is told, by signal it is logged.
	d.Rewrite(fmt.Sprintf(reloadConfig, port, 1, "  - {name: broken, filter: nosuch}"))
	if out, code := d.Run("reload"); code != 2 || !hasLine(out, d.Config+":", "nosuch") {
		t.Errorf("reload of a bad configuration exits with %d, want 2 and the place:\n%s", code, out)
	}
	signal(t, d, syscall.SIGHUP)
	rig.Eventually(t, 30*time.Second, "the signal's reload is refused", func() bool { return strings.Contains(d.Log.String(), "reload refused") })
	if out := d.Must("jails", "--json"); !strings.Contains(out, `"maxretry":3`) || strings.Contains(out, "broken") {
		t.Errorf("a bad configuration changed the jails: %s", out)
	}
	if reloads() != 0 {
		t.Error("a bad configuration was put in force")
	}

	// A good one by verb: another jail, and the window's two failures still count.
	more := "  - {name: other, filter: {failregex: ['^nothing <HOST>']}}"
	d.Rewrite(fmt.Sprintf(reloadConfig, port, 3, more))
	d.Must("reload")
	if out := d.Must("status"); !strings.Contains(out, "logins, other") {
		t.Errorf("the new jail is not there:\n%s", out)
	}
	if !banned(early) || !d.Bans()[0].End.Equal(*end) {
		t.Errorf("the ban changed: %+v, want the end %s", d.Bans(), end)
	}
	fail(half, 1)
	if !banned(half) {
		t.Error("the third failure did not ban: the window did not outlive the reload")
	}

	// A good one by signal: a lower threshold and a second listener.
	second := receivertest.FreePort(t)
	d.Rewrite(strings.Replace(fmt.Sprintf(reloadConfig, port, 1, ""), "sources:",
		fmt.Sprintf("  - {name: second, transport: tcp, address: \"127.0.0.1:%d\"}\nsources:", second), 1))
	signal(t, d, syscall.SIGHUP)
	rig.Eventually(t, 30*time.Second, "the signal's reload is in force", func() bool { return reloads() == 2 })
	fail(later, 1)
	if !banned(later) {
		t.Error("the new threshold does not hold")
	}
	extra, err := net.Dial("tcp", fmt.Sprintf("127.0.0.1:%d", second))
	if err != nil {
		t.Fatalf("the new listener: %v", err)
	}
	extra.Close()

	// A listener that cannot be opened: everything is as before.
	busy, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer busy.Close()
	d.Rewrite(fmt.Sprintf(reloadConfig, busy.Addr().(*net.TCPAddr).Port, 3, ""))
	if out, code := d.Run("reload"); code != 2 {
		t.Errorf("reload with an address in use exits with %d, want 2:\n%s", code, out)
	}
	again := rig.Connect(t, "", "tcp", fmt.Sprintf("127.0.0.1:%d", port))
	conn = again
	fail("198.18.0.4", 1)
	if !banned("198.18.0.4") {
		t.Error("the configuration in force did not come back")
	}
	d.Stop()
}

func signal(t testing.TB, d *rig.Daemon, s syscall.Signal) {
	t.Helper()
	if err := d.Cmd.Process.Signal(s); err != nil {
		t.Fatal(err)
	}
}
