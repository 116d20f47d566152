package nft

import (
	"context"
	"math/rand/v2"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"

	"stockade/firewall"
)

// TestAmongMany is E1 for more elements than a listing can take: the program nft is asked for some of
// them and for their neighbours by key, and packets tell a banned address among them from the next ones.
func TestAmongMany(t *testing.T) {
	t.Parallel()
	n := 20_000
	switch {
	case *long:
		n = 1_000_000
	case testing.Short() || raceDetector:
		n = 1000
	}
	l := newLab(t)
	l.echo(l.server, 22, nil)
	r, err := l.nft.Reconcile(context.Background(), numbered(n, time.Now().Add(time.Hour)), firewall.ForeignIgnore)
	if err != nil || r.Failed > 0 || r.Set != n {
		t.Fatalf("%+v, %v", r, err)
	}
	all := slices.Collect(numbered(n, time.Time{}))
	random := rand.New(rand.NewPCG(uint64(time.Now().UnixNano()), 0))
	asked := make(map[string][]string)
	for range 100 { // nft 1.0.6 dies of 500
		p := all[random.IntN(n)].Prefix
		set := kindNames[kindOf(p, 64)]
		asked[set] = append(asked[set], p.Addr().String())
	}
	for set, some := range asked { // each call lists the whole set first
		command(t, l.gateway, "nft", "get element inet stockade "+set+" { "+strings.Join(some, ", ")+" }")
	}
	if n <= 20_000 {
		for _, absent := range []string{"ban4 { 20.0.0.1 }", "ban4 { 19.255.255.255 }", "ban6 { 2001:db8:0:2:: }", "ban6 { 2001:db8:0:1::1 }"} {
			if out, err := try(l.gateway, "nft", "get element inet stockade "+absent); err == nil {
				t.Errorf("%s is in the kernel: %s", absent, out)
			}
		}
	}
	for _, v := range versions {
		if p := netip.MustParsePrefix(v.prefixes[0]); !slices.ContainsFunc(all, func(e firewall.Element) bool { return e.Prefix == p }) {
			l.reaches(l.attacker, v.attacker, v.server, 22)
			l.ban(v.prefixes[0], "", firewall.Drop)
		}
		l.blocked(l.attacker, v.attacker, v.server, 22)
		l.reaches(l.attacker, v.below, v.server, 22)
		l.reaches(l.attacker, v.above, v.server, 22)
	}
	t.Logf("%d elements read back by key; nft has 100 of 100; the banned are dropped, the next ones pass; peak memory %s", n, peakMemory(t))
}
