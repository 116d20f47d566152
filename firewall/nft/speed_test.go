package nft

import (
	"context"
	"fmt"
	"net/netip"
	"runtime"
	"slices"
	"testing"
	"time"

	"stockade/firewall"
)

// TestSustainedBans: 20,000 new bans a second, as they come: whatever waits is one call of Apply.
func TestSustainedBans(t *testing.T) {
	requireKernel(t)
	const rate = 20_000 // a second
	lasts := 2 * time.Second
	switch {
	case *long:
		lasts = 10 * time.Second
	case testing.Short():
		lasts = 500 * time.Millisecond
	}
	e := openIn(t, newNamespace(t))
	start := time.Now()
	var waits []time.Duration
	for made := 0; made < int(rate*lasts.Seconds()); {
		due := min(int(rate*time.Since(start).Seconds()), int(rate*lasts.Seconds()))
		if due == made {
			runtime.Gosched()
			continue
		}
		var changes []firewall.Change
		for i := made; i < due; i++ {
			changes = append(changes, banChange(netip.AddrFrom4([4]byte{100, byte(64 + i>>16), byte(i >> 8), byte(i)}).String()+"/32", "", time.Hour))
		}
		results, err := e.Apply(context.Background(), changes)
		if err != nil {
			t.Fatal(err)
		}
		for i, r := range results {
			if !r.Enforced {
				t.Fatalf("%v: %v", r.Prefix, r.Err)
			}
			waits = append(waits, time.Since(start)-time.Duration(float64(made+i)/rate*float64(time.Second)))
		}
		made = due
	}
	took := time.Since(start)
	slices.Sort(waits)
	t.Logf("%d bans in %s; from due to read back: median %s, p99 %s", len(waits), took, waits[len(waits)/2], waits[len(waits)*99/100])
	if took > 5*lasts {
		t.Errorf("%d bans took %s, want %s", len(waits), took, lasts)
	}
	if n := count(t, e); n != len(waits) {
		t.Errorf("%d elements, want %d", n, len(waits))
	}
}

func BenchmarkApply(b *testing.B) {
	for _, n := range []int{1, 100, 1000} {
		b.Run(fmt.Sprint(n), func(b *testing.B) {
			requireKernel(b)
			e := openIn(b, newNamespace(b))
			b.ReportAllocs()
			changes := make([]firewall.Change, n)
			i := 0
			for b.Loop() {
				for j := range changes {
					i++
					changes[j] = firewall.Change{Element: firewall.Element{
						Prefix: netip.PrefixFrom(netip.AddrFrom4([4]byte{100, byte(i >> 16), byte(i >> 8), byte(i)}), 32), End: time.Now().Add(time.Hour), Comment: "sshd",
					}}
				}
				if _, err := e.Apply(context.Background(), changes); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
