package state

import (
	"encoding/binary"
	"net/netip"
	"testing"
	"time"

	"stockade/jails"
)

func addr4(n uint32) netip.Prefix {
	var b [4]byte
	binary.BigEndian.PutUint32(b[:], n)
	return netip.PrefixFrom(netip.AddrFrom4(b), 32)
}

func BenchmarkFail(b *testing.B) {
	f := failure("192.0.2.7/32", time.Time{})
	b.Run("banned", func(b *testing.B) {
		s, j := testStore(b, Options{}), testJail(b, nil)
		f := f
		s.Ban(Ban{Jail: j.Name, Prefix: f.Prefix})
		b.ReportAllocs()
		for b.Loop() {
			s.Fail(j, f)
		}
	})
	b.Run("hot window", func(b *testing.B) {
		s := testStore(b, Options{})
		j := testJail(b, func(c *jails.Config) { n := 100000; c.MaxRetry = &n })
		f, n := f, uint32(0)
		b.ReportAllocs()
		for b.Loop() {
			f.Prefix = addr4(0xc6120000 + n%1000)
			n++
			s.Fail(j, f)
		}
	})
	b.Run("new addresses", func(b *testing.B) {
		s := testStore(b, Options{})
		j := testJail(b, nil)
		f, n := f, uint32(0)
		b.ReportAllocs()
		for b.Loop() {
			f.Prefix = addr4(n * 2654435761)
			n++
			s.Fail(j, f)
		}
	})
	b.Run("new bans", func(b *testing.B) {
		s := testStore(b, Options{})
		j := testJail(b, func(c *jails.Config) { n := 1; c.MaxRetry = &n })
		f, n := f, uint32(0)
		b.ReportAllocs()
		for b.Loop() {
			f.Prefix = addr4(n * 2654435761)
			n++
			s.Fail(j, f)
		}
	})
	b.Run("bans of five, with a journal", func(b *testing.B) {
		s := testStore(b, Options{Dir: b.TempDir()})
		defer s.Close()
		j := testJail(b, func(c *jails.Config) { n := 5; c.MaxRetry = &n })
		f, n := f, uint32(0)
		b.ReportAllocs()
		for b.Loop() {
			f.Prefix = addr4(n * 2654435761)
			n++
			for range 5 {
				s.Fail(j, f)
			}
		}
	})
}
