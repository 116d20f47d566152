package state

import (
	"fmt"
	"net/netip"
	"runtime"
	"testing"
	"time"

	"stockade/jails"
)

func heap() int64 {
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return int64(m.HeapAlloc)
}

// T8: an offender at 4 of 5 is banned on its fifth failure, however many others pass by meanwhile,
// and the memory stays within the bound.
func TestOffenderOutlivesAFlood(t *testing.T) {
	flood := uint32(size(10000, 50000, 10000000))
	rows := size(500, 5000, 1000000)
	clock := newFakeClock()
	s := testStore(t, Options{Now: clock.now, MaxWindows: rows})
	j := testJail(t, func(c *jails.Config) {
		five, day := 5, 24*time.Hour
		c.MaxRetry, c.FindTime = &five, &day
	})
	known := failure("203.0.113.9/32", clock.t)
	for range 4 {
		s.Fail(j, known)
	}
	before := heap()
	most := 0
	for n := range flood {
		f := failure("192.0.2.1/32", clock.t)
		f.Prefix = addr4(n * 2654435761)
		if f.Prefix == known.Prefix {
			continue
		}
		s.Fail(j, f)
		if n%(flood/50) == 0 {
			clock.advance(time.Millisecond)
			s.flush()
			most = max(most, s.Stats().Windows)
		}
	}
	s.flush()
	st := s.Stats()
	perRow := (heap() - before) / int64(rows)
	t.Logf("%d addresses through %d rows: %d evicted, %d lost, %d bytes a row", flood, rows, st.Evicted, st.Lost, perRow)
	if st.Windows > rows || most > rows {
		t.Errorf("%d windows, at most %d are allowed", most, rows)
	}
	if st.Lost != 0 {
		t.Errorf("%d windows near their threshold were lost", st.Lost)
	}
	if got := s.Counts("sshd").FailedCurrent; got != st.Windows {
		t.Errorf("currently failed %d, but %d windows", got, st.Windows)
	}
	out := s.Fail(j, known)
	if out.Ban == nil || out.Window != 5 {
		t.Fatalf("fifth failure of the known offender: %+v", out)
	}
	if perRow > 4096+(64<<20)/int64(rows)/8 {
		t.Errorf("%d bytes a row", perRow)
	}
}

// One neighbourhood gets at most an eighth of the rows, and evicts its own.
func TestNeighbourhoodIsBounded(t *testing.T) {
	clock := newFakeClock()
	s := testStore(t, Options{Now: clock.now, MaxWindows: 800})
	j := testJail(t, nil)
	for i := range uint32(300) { // of other networks: seen once and older
		f := failure("192.0.2.1/32", clock.t)
		f.Prefix = addr4(i<<16 + 0x01000001)
		s.Fail(j, f)
	}
	s.flush()
	for i := range uint32(5000) {
		f := failure("192.0.2.1/32", clock.t)
		f.Prefix = addr4(0xc6330000 + i%65536)
		s.Fail(j, f)
		f = failure("192.0.2.1/32", clock.t)
		f.Prefix = netip.MustParsePrefix(fmt.Sprintf("2001:db8:%x::/64", i))
		s.Fail(j, f)
	}
	s.flush()
	if n := s.Counts("sshd").FailedCurrent; n != 300+100+100 {
		t.Errorf("%d windows, want all 300 of others and 100 of each crowd", n)
	}
	for i := range uint32(300) {
		if len(s.Windows(addr4(i<<16+0x01000001).Addr())) != 1 {
			t.Fatalf("window %d of others was evicted", i)
		}
	}
}

// The windows of those seen once go first, then the others by age; the loss is counted.
func TestEvictionOrder(t *testing.T) {
	clock := newFakeClock()
	s := testStore(t, Options{Now: clock.now, MaxWindows: 30})
	j := testJail(t, func(c *jails.Config) { eight := 8; c.MaxRetry = &eight })
	fail := func(n, times int) {
		for range times {
			f := failure("192.0.2.1/32", clock.t)
			f.Prefix = addr4(uint32(n)<<20 | 1)
			s.Fail(j, f)
		}
		s.flush()
	}
	has := func(n int) bool { return len(s.Windows(addr4(uint32(n)<<20|1).Addr())) > 0 }
	for n := range 10 {
		fail(n, 4) // at half
	}
	for n := range 10 {
		fail(10+n, 2)
	}
	for n := range 30 {
		fail(20+n, 1)
	}
	for n := range 20 {
		if !has(n) {
			t.Errorf("window %d was evicted before those seen once", n)
		}
	}
	if has(20) || !has(49) {
		t.Error("not the oldest one went first")
	}
	for n := range 20 {
		fail(40+n, 2)
	}
	if !has(0) || !has(9) || has(10) || s.Stats().Lost != 0 {
		t.Errorf("windows at half their threshold do not go last: %+v", s.Stats())
	}
	for n := range 30 {
		fail(60+n, 5)
	}
	if has(0) || s.Stats().Lost == 0 {
		t.Errorf("%+v", s.Stats())
	}
}

func TestOffendersAreBoundedAndForgotten(t *testing.T) {
	clock := newFakeClock()
	s := testStore(t, Options{Now: clock.now, MaxOffenders: 100})
	j := testJail(t, func(c *jails.Config) { one := 1; c.MaxRetry = &one })
	ban := func(n int) *Ban {
		f := failure("192.0.2.1/32", clock.t)
		f.Prefix = addr4(uint32(n)<<16 | 1)
		b := s.Fail(j, f).Ban
		clock.advance(time.Hour)
		s.flush()
		return b
	}
	ban(0)
	if b := ban(0); b.Count != 2 || b.End.Sub(b.Start) != 4*time.Minute {
		t.Fatalf("second ban %+v", b)
	}
	for n := range 200 {
		ban(1 + n)
	}
	if n := s.Stats().Offenders; n != 100 {
		t.Errorf("%d offenders are remembered, want 100", n)
	}
	if b := ban(0); b.Count != 3 {
		t.Errorf("the repeated offender was forgotten first: %+v", b)
	}
	if b := ban(1); b.Count != 1 {
		t.Errorf("the oldest one was not forgotten: %+v", b)
	}
	clock.advance(30*24*time.Hour + time.Second)
	s.flush()
	if n := s.Stats().Offenders; n != 0 {
		t.Errorf("%d offenders after 30 days", n)
	}
	if b := ban(0); b.Count != 1 {
		t.Errorf("ban after 30 days: %+v", b)
	}
}

func TestEvidenceIsBounded(t *testing.T) {
	clock := newFakeClock()
	s := testStore(t, Options{Now: clock.now, MaxEvidence: 10000})
	j := testJail(t, nil)
	for i := range uint32(2000) {
		f := failure("192.0.2.1/32", clock.t)
		f.Prefix = addr4(i << 16)
		f.Evidence.Raw = string(make([]byte, 100))
		s.Fail(j, f)
		if i%10 == 0 {
			s.flush()
		}
	}
	if n := s.Stats().Evidence; n > 11000 || n < 9000 {
		t.Errorf("%d bytes of evidence", n)
	}
	clock.advance(time.Minute)
	s.flush()
	if n := s.Stats().Evidence; n != 0 { // nothing was banned
		t.Errorf("%d bytes of evidence of nothing", n)
	}
	f := failure("192.0.2.1/32", clock.t)
	f.Evidence.Raw = string(make([]byte, 5000))
	s.Fail(j, f)
	if w := s.Windows(f.Addr); len(w[0].Failures[0].Raw) != 1024 {
		t.Errorf("%d bytes of one line", len(w[0].Failures[0].Raw))
	}
}
