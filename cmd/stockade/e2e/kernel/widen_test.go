package kernel

import (
	"fmt"
	"net/netip"
	"testing"
	"time"

	"stockade/cmd/stockade/e2e/rig"
)

const widenConfig = `
jails:
  - name: sshd
    filter: sshd
    maxretry: 1
    bantime: 1d
    ports: [22]
    widen: {v4: 24, v6: 48, members: 4}
    ignoreip: [100.64.2.200]
  - {name: users, filter: sshd, key: user, maxretry: 12, bantime: 1h}
  - {name: weighed, filter: {failregex: ['^bad from <HOST>$', '^worse from <HOST>$', '^nothing from <HOST>$']}, apps: [app], maxretry: 3, weights: [1, 3, 0]}
never_ban: [100.64.1.200]
firewall: {backend: nftables}
`

// TestBansOfNetworks: widen, key and weights from the configuration to the kernel. The network of
// four banned addresses is banned on the service's port for an hour, around nobody who is never
// banned; failures counted by user ban nobody.
func TestBansOfNetworks(t *testing.T) {
	d := newDaemon(t, widenConfig)
	d.start()
	conn := d.dial()
	now := time.Now().Format(time.Stamp)
	var b []byte
	for net := range 3 {
		for host := range 4 {
			b = appendFailure(b, now, netip.AddrFrom4([4]byte{100, 64, byte(net), byte(10 + host)}))
		}
	}
	for host := range 4 {
		b = appendFailure(b, now, netip.MustParseAddr(fmt.Sprintf("2001:db8:7:%d::1", host)))
	}
	for _, text := range []string{"bad from 20.0.0.1", "bad from 20.0.0.1", "worse from 20.0.0.2", "nothing from 20.0.0.3", "nothing from 20.0.0.3", "nothing from 20.0.0.3"} {
		b = append(b, "<38>"+now+" server app[1]: "+text+"\n"...)
	}
	if _, err := conn.Write(b); err != nil {
		t.Fatal(err)
	}
	bans := func() map[string]time.Duration {
		all := make(map[string]time.Duration)
		for _, b := range d.bans() {
			if b.Enforced {
				all[b.Jail+" "+b.Address.String()] = b.End.Sub(b.Start).Round(time.Minute)
			}
		}
		return all
	}
	const want = 12 + 4 + 2 + 1
	defer func() {
		for _, b := range d.bans() {
			if b.Packets == nil || b.Bytes == nil || *b.Packets+*b.Bytes != 0 {
				t.Errorf("the counters of %s are not read from the kernel", b.Address)
			}
		}
	}()
	rig.Eventually(t, 20*time.Second, "every ban is in the kernel", func() bool { return len(bans()) == want })
	all := bans()
	for ban, lasts := range map[string]time.Duration{
		"sshd 100.64.0.0/24": time.Hour, "sshd 2001:db8:7::/48": time.Hour, "sshd 100.64.0.10/32": 24 * time.Hour,
		"sshd 100.64.1.13/32": 24 * time.Hour, "sshd 100.64.2.13/32": 24 * time.Hour, "weighed 20.0.0.2/32": time.Hour,
	} {
		if all[ban] != lasts {
			t.Errorf("%s is banned for %s, want %s", ban, all[ban], lasts)
		}
	}
	if t.Failed() {
		t.Logf("bans: %v", all)
	}
	for set, element := range map[string]string{"net4_p22": "100.64.0.0/24", "net6_p22": "2001:db8:7::/48"} {
		if err := d.nft("get element inet stockade " + set + " { " + element + " }"); err != nil {
			t.Error(err)
		}
	}
	rig.Eventually(t, 10*time.Second, "the user's failures are told of", func() bool {
		return d.Metrics()["stockade_user_alerts_total"] == 1
	})
}
