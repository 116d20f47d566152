package e2e

import (
	"os/exec"
	"testing"
	"time"

	"stockade/cmd/stockade/e2e/rig"
)

// TestUnprivilegedDaemon runs serve as the unit does: no root, two capabilities. It still bans.
func TestUnprivilegedDaemon(t *testing.T) {
	l := newLab(t)
	rig.RequirePrograms(t, "setpriv")
	d := rig.NewDaemon(t, l.gateway, gatewayConfig+`
  - {name: own, filter: {failregex: ['^denied <HOST>$']}, maxretry: 1}
`)
	if out, err := exec.Command("chown", "-R", "nobody:", d.Dir).CombinedOutput(); err != nil {
		t.Fatalf("chown: %v: %s", err, out)
	}
	d.Wrap = []string{"setpriv", "--reuid=nobody", "--regid=nogroup", "--clear-groups", "--no-new-privs",
		"--inh-caps=-all,+net_admin,+net_bind_service", "--ambient-caps=-all,+net_admin,+net_bind_service",
		"--bounding-set=-all,+net_admin,+net_bind_service"}
	d.Start()
	d.Must("ban", attacker, "--reason", "as the unit runs it")
	rig.Eventually(t, 30*time.Second, "the ban is in the kernel", func() bool { return rig.Holds(t, l.gateway, "ban4", attacker) })
}
