package nft

import (
	"errors"
	"math/rand/v2"
	"net/netip"
	"syscall"
	"testing"
	"time"

	"stockade/firewall"
)

// TestUnionOfBans sets and removes bans of one address at random, in several scopes, alone and
// within wider prefixes, and asks with connections which ports are closed: those that any ban
// covers. Its verdict is reject, which answers at once.
func TestUnionOfBans(t *testing.T) {
	t.Parallel()
	l := newLab(t)
	ports := map[int][]firewall.Scope{
		22: {"", "22", "20-30/tcp"}, 23: {"", "20-30/tcp"}, 80: {"", "80/tcp,443"}, 1000: {""},
	}
	for port := range ports {
		l.echo(l.gateway, port, nil)
	}
	steps := 300
	switch {
	case *long:
		steps = 100_000
	case testing.Short():
		steps = 60
	}
	scopes := []firewall.Scope{"", "22", "20-30/tcp", "80/tcp,443", "22/udp"}
	random := rand.New(rand.NewPCG(9, 10))
	for _, v := range []struct {
		attacker, other, gateway string
		prefixes                 []string
	}{
		{attacker4, above4, gateway4, []string{attacker4 + "/32", "192.0.2.0/29", "192.0.2.4/30"}},
		{attacker6, above6, gateway6, []string{attacker6 + "/128", "2001:db8:a:7::/64", "2001:db8:a:7::/66"}},
	} {
		held := make(map[elementKey]bool)
		for step := range steps {
			var changes []firewall.Change
			for range 1 + random.IntN(3) {
				c := banChange(v.prefixes[random.IntN(len(v.prefixes))], scopes[random.IntN(len(scopes))], time.Hour)
				c.Verdict = firewall.Reject
				c.Remove = random.IntN(3) > 0
				held[elementKey{c.Prefix, c.Scope}] = !c.Remove
				changes = append(changes, c)
			}
			l.apply(changes...)
			for port, by := range ports {
				want := false
				for _, s := range by {
					for _, p := range v.prefixes {
						want = want || held[elementKey{netip.MustParsePrefix(p), s}]
					}
				}
				c, err := l.dial(l.attacker, v.attacker, v.gateway, port, 5*time.Second)
				if err == nil {
					_ = c.Close()
				} else if !errors.Is(err, syscall.ECONNREFUSED) {
					t.Fatalf("step %d, port %d: %v", step, port, err)
				}
				if (err != nil) != want {
					t.Fatalf("step %d, port %d: closed %v, want %v; held %v", step, port, err != nil, want, held)
				}
			}
		}
		l.reaches(l.attacker, v.other, v.gateway, 22)
	}
}
