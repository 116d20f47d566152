package state

import (
	"fmt"
	"net/netip"
	"testing"
	"time"

	"stockade/jails"
)

// FuzzRecent: after whatever bans, unbans and time have done, a Recent answers as the Store does.
func FuzzRecent(f *testing.F) {
	f.Add([]byte{0, 1, 64, 65, 0, 1, 128, 0, 192, 0, 70, 6, 134, 6, 198, 6})
	f.Add([]byte("a ban that is ended early, and begun again, and ended by its time"))
	f.Fuzz(func(t *testing.T, ops []byte) {
		clock := newFakeClock()
		s := testStore(t, Options{Now: clock.now})
		r := s.NewRecent()
		all := []*jails.Jail{testJail(t, nil), testJail(t, func(c *jails.Config) { c.Name = "web" })}
		want := map[string]int64{}
		for i, op := range ops {
			n := int(op & 7)
			addr := netip.AddrFrom4([4]byte{192, 0, 2, byte(n)})
			j, p := all[op>>3&1], netip.PrefixFrom(addr, 32)
			switch op >> 5 {
			case 0, 1:
				s.Ban(Ban{Jail: j.Name, Prefix: p, End: clock.t.Add(time.Duration(1+n) * time.Minute)})
			case 2:
				s.Unban(p, j.Name)
			case 3:
				s.Unban(p, "")
			case 4:
				clock.advance(time.Duration(n) * 20 * time.Second)
			case 5:
				s.Ban(Ban{Jail: j.Name, Prefix: netip.PrefixFrom(addr, 30), End: clock.t.Add(time.Minute)})
			}
			r.Flush()
			for range 2 { // once from the Store, once from memory
				if got, ok := r.FailBanned(j, p, 1), s.FailBanned(j, p, 1); got != ok {
					t.Fatalf("step %d: %v, the store says %v", i, got, ok)
				} else if ok {
					want[j.Name] += 2
				}
			}
		}
		r.Flush()
		for name, n := range want {
			if got := s.Counts(name).FailedTotal; got != n {
				t.Errorf("%s: %d failures in all, want %d", name, got, n)
			}
		}
	})
}

func TestRecentAllocatesNothing(t *testing.T) {
	s := testStore(t, Options{})
	j := testJail(t, nil)
	r := s.NewRecent()
	var all []netip.Prefix
	for i := range 300 {
		p := prefix(fmt.Sprintf("192.0.%d.%d/32", i/250, i%250))
		s.Ban(Ban{Jail: j.Name, Prefix: p})
		all = append(all, p)
	}
	n := 0
	next := func() {
		if !r.FailBanned(j, all[n%len(all)], 1) {
			t.Fatal("it is banned")
		}
		n++
	}
	for range all {
		next()
	}
	if allocs := testing.AllocsPerRun(1000, next); allocs != 0 {
		t.Errorf("%v allocations, want none", allocs)
	}
}

// BenchmarkFailBanned asks for thousands of banned prefixes in no order.
func BenchmarkFailBanned(b *testing.B) {
	const prefixes = 5000
	s := testStore(b, Options{})
	j := testJail(b, nil)
	all := make([]netip.Prefix, prefixes)
	for i := range all {
		all[i] = netip.PrefixFrom(netip.AddrFrom4([4]byte{198, 18, byte(i >> 8), byte(i)}), 32)
		s.Ban(Ban{Jail: j.Name, Prefix: all[i]})
	}
	r := s.NewRecent()
	for _, c := range []struct {
		name string
		ask  func(*jails.Jail, netip.Prefix, int) bool
	}{{"store", s.FailBanned}, {"recent", r.FailBanned}} {
		b.Run(c.name, func(b *testing.B) {
			b.ReportAllocs()
			for n := 0; b.Loop(); n++ {
				if !c.ask(j, all[n*2654435761%prefixes], 1) {
					b.Fatal("it is banned")
				}
			}
		})
	}
}

// TestRecentHasNoRoom asks about more prefixes than a Recent remembers, of which each second one is
// banned in one jail and each third one in another.
func TestRecentHasNoRoom(t *testing.T) {
	s := testStore(t, Options{})
	all := []*jails.Jail{testJail(t, nil), testJail(t, func(c *jails.Config) { c.Name = "web" })}
	const prefixes = 2 * recentWays << recentBits
	at := func(i int) netip.Prefix {
		return netip.PrefixFrom(netip.AddrFrom4([4]byte{198, byte(18 + i>>16), byte(i >> 8), byte(i)}), 32)
	}
	for i := range prefixes {
		for n, j := range all {
			if i%(2+n) == 0 {
				s.Ban(Ban{Jail: j.Name, Prefix: at(i)})
			}
		}
	}
	r := s.NewRecent()
	for i := range 2 * prefixes {
		i = i * 7919 % prefixes
		n := i / 5 % 2
		if got, want := r.FailBanned(all[n], at(i), 1), i%(2+n) == 0; got != want {
			t.Fatalf("%s in jail %d: %v, want %v", at(i), n, got, want)
		}
	}
}
