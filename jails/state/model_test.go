package state

import (
	"fmt"
	"hash/maphash"
	"math/rand/v2"
	"net/netip"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"stockade/jails"
)

// model is the store as plainly as it can be written.
type model struct {
	jails map[string]*jails.Jail
	cells map[modelKey]*modelCell
	total map[string]*JailCounts
}

type modelKey struct {
	jail   string
	prefix netip.Prefix
}

type modelCell struct {
	fails  []modelFail // ascending
	banned bool
	until  time.Time // zero: for ever
	bans   int
}

type modelFail struct {
	t time.Time
	n int
}

func (m *model) cell(k modelKey) *modelCell {
	if m.cells[k] == nil {
		m.cells[k] = &modelCell{}
	}
	return m.cells[k]
}

func (c *modelCell) active(now time.Time) bool {
	return c != nil && c.banned && (c.until.IsZero() || now.Before(c.until))
}

func (c *modelCell) window(now time.Time, keep time.Duration) bool {
	return c != nil && len(c.fails) > 0 && now.Sub(c.fails[len(c.fails)-1].t) <= keep
}

// fail returns whether the failure was counted, met a ban, or began one.
func (m *model) fail(j *jails.Jail, p netip.Prefix, at, now time.Time, n int) (counted, already, begun bool) {
	m.total[j.Name].FailedTotal += int64(n)
	for bits := range p.Bits() + 1 {
		wide, _ := p.Addr().Prefix(bits)
		if m.cells[modelKey{j.Name, wide}].active(now) {
			return false, true, false
		}
	}
	c := m.cell(modelKey{j.Name, p})
	keep := j.FindTime()
	if now.Sub(at) > keep {
		return false, false, false
	}
	if !c.window(now, keep) {
		c.fails = nil
	}
	c.fails = append(c.fails, modelFail{at, n})
	slices.SortStableFunc(c.fails, func(a, b modelFail) int { return a.t.Compare(b.t) })
	last := c.fails[len(c.fails)-1].t
	c.fails = slices.DeleteFunc(c.fails, func(f modelFail) bool { return last.Sub(f.t) > keep })
	var best *jails.Threshold
	for i, t := range j.Thresholds {
		sum := 0
		for _, f := range c.fails {
			if last.Sub(f.t) <= t.FindTime {
				sum += f.n
			}
		}
		if sum >= t.MaxRetry && (best == nil || t.BanTime > best.BanTime) {
			best = &j.Thresholds[i]
		}
	}
	if best == nil {
		return true, false, false
	}
	m.ban(modelKey{j.Name, p}, now.Add(j.BanTime(*best, c.bans, nil)))
	return true, false, true
}

func (m *model) ban(k modelKey, end time.Time) {
	c := m.cell(k)
	c.fails, c.banned, c.until = nil, true, end
	c.bans++
	m.total[k.jail].BannedTotal++
}

func (m *model) compare(s *Store, now time.Time) error {
	counts := map[string]*JailCounts{}
	for name, t := range m.total {
		counts[name] = &JailCounts{FailedTotal: t.FailedTotal, BannedTotal: t.BannedTotal}
	}
	want := map[modelKey]time.Time{}
	for k, c := range m.cells {
		if c.active(now) {
			want[k] = c.until
			counts[k.jail].BannedCurrent++
		}
		if c.window(now, m.jails[k.jail].FindTime()) {
			counts[k.jail].FailedCurrent++
			if err := m.compareWindow(s, k, c, now); err != nil {
				return err
			}
		}
	}
	for name, want := range counts {
		if got := s.Counts(name); got != *want {
			return fmt.Errorf("jail %s: counts %+v, want %+v", name, got, *want)
		}
	}
	got := map[modelKey]time.Time{}
	for name := range m.jails {
		for _, b := range s.Bans(name) {
			got[modelKey{b.Jail, b.Prefix}] = b.End
			if c := m.cells[modelKey{b.Jail, b.Prefix}]; c == nil || c.bans != b.Count {
				return fmt.Errorf("%s in %s: ban number %d", b.Prefix, b.Jail, b.Count)
			}
		}
	}
	if len(got) != len(want) || len(s.Bans("")) != len(want) {
		return fmt.Errorf("%d bans by jail, %d in all, want %d", len(got), len(s.Bans("")), len(want))
	}
	for k, end := range want {
		if g, ok := got[k]; !ok || !g.Equal(end) {
			return fmt.Errorf("%v: ban until %v, want %v", k, g, end)
		}
	}
	return m.compareEffective(s, want)
}

func (m *model) compareWindow(s *Store, k modelKey, c *modelCell, now time.Time) error {
	for _, w := range s.Windows(k.prefix.Addr()) {
		if w.Jail != k.jail || w.Prefix != k.prefix {
			continue
		}
		n := 0
		for _, f := range c.fails {
			if now.Sub(f.t) <= m.jails[k.jail].FindTime() {
				n += f.n
			}
		}
		if w.Count != n || !w.Last.Equal(c.fails[len(c.fails)-1].t) {
			return fmt.Errorf("window of %v: %+v, want %d attempts", k, w, n)
		}
		return nil
	}
	return fmt.Errorf("no window of %v", k)
}

// compareEffective checks the union over the jails, by scope.
func (m *model) compareEffective(s *Store, bans map[modelKey]time.Time) error {
	type element struct {
		prefix netip.Prefix
		scope  string
	}
	want := map[element]time.Time{}
	for k, end := range bans {
		j := m.jails[k.jail]
		if !j.Enforce {
			continue
		}
		e := element{k.prefix, j.Scope}
		if old, ok := want[e]; !ok || end.IsZero() || !old.IsZero() && end.After(old) {
			want[e] = end
		}
	}
	seen := 0
	var err error
	s.AllEffective(func(p netip.Prefix, all []Effective) bool {
		for _, e := range all {
			seen++
			if end, ok := want[element{p, e.Scope}]; !ok || !end.Equal(e.End) {
				err = fmt.Errorf("%s on %q until %v, want %v", p, e.Scope, e.End, end)
			}
		}
		if again := s.Effective(p); len(again) != len(all) {
			err = fmt.Errorf("%s: Effective and AllEffective differ", p)
		}
		return err == nil
	})
	if err == nil && seen != len(want) {
		err = fmt.Errorf("%d elements, want %d", seen, len(want))
	}
	return err
}

// D8: the store against the model, with 32 readers that look for objects that change.
func TestStoreAgreesWithAModel(t *testing.T) {
	steps := size(2500, 10000, 1000000)
	var wallClock atomic.Int64
	wallClock.Store(time.Date(2026, 3, 1, 0, 0, 0, 0, time.UTC).UnixNano())
	now := func() time.Time { return time.Unix(0, wallClock.Load()) }
	dir := t.TempDir()
	s := testStore(t, Options{Dir: dir, Now: now})
	m := &model{jails: map[string]*jails.Jail{}, cells: map[modelKey]*modelCell{}, total: map[string]*JailCounts{}}
	three := 3
	for _, c := range []jails.Config{
		{Name: "sshd", Ports: []string{"22"}, Increment: &jails.IncrementConfig{Enabled: new(bool)}},
		{Name: "web", Ports: []string{"80", "443"}, MaxRetry: &three, Increment: &jails.IncrementConfig{MaxTime: time.Minute}},
		{Name: "slow", Thresholds: []jails.ThresholdConfig{{MaxRetry: 4, FindTime: 5 * time.Second, BanTime: 20 * time.Second}, {MaxRetry: 6, FindTime: 40 * time.Second, BanTime: time.Minute}}},
		{Name: "shadow", Ports: []string{"22"}, Enforce: new(bool)},
	} {
		c.Filter.Name = "x"
		j, err := jails.New(jails.DefaultsConfig{MaxRetry: 4, FindTime: 10 * time.Second, BanTime: 30 * time.Second}, c, nil)
		if err != nil {
			t.Fatal(err)
		}
		m.jails[c.Name], m.total[c.Name] = j, &JailCounts{}
	}
	names := []string{"sshd", "web", "slow", "shadow"}
	prefixes := make([]netip.Prefix, 0, 64)
	for i := range 40 {
		prefixes = append(prefixes, addr4(0xc0000200+uint32(i)))
	}
	for i := range 20 {
		prefixes = append(prefixes, netip.MustParsePrefix(fmt.Sprintf("2001:db8:0:%x::/64", i)))
	}
	wide := []netip.Prefix{netip.MustParsePrefix("192.0.2.0/29"), netip.MustParsePrefix("2001:db8::/62"), netip.MustParsePrefix("192.0.2.8/31")}

	stop := make(chan struct{})
	var readers sync.WaitGroup
	defer func() { close(stop); readers.Wait() }()
	for i := range 32 {
		readers.Go(func() { watch(t, s, prefixes[i], stop) })
	}

	rnd := rand.New(rand.NewPCG(42, uint64(steps)))
	for i := range steps {
		name := names[rnd.IntN(len(names))]
		p := prefixes[rnd.IntN(len(prefixes))]
		at := now()
		switch op := rnd.IntN(100); {
		case op < 80:
			n, late := 1, at
			if rnd.IntN(10) == 0 {
				n = 2
			}
			if rnd.IntN(10) == 0 {
				late = at.Add(-time.Duration(rnd.Int64N(int64(12 * time.Second))))
			}
			out := s.Fail(m.jails[name], Failure{Prefix: p, Addr: p.Addr(), Time: late, Attempts: n, Evidence: Evidence{Source: "x", Raw: "line"}})
			counted, already, begun := m.fail(m.jails[name], p, late, at, n)
			if out.Counted != counted || out.AlreadyBanned != already || (out.Ban != nil) != begun {
				t.Fatalf("step %d: %s in %s: %+v, want counted %v, already banned %v, ban %v", i, p, name, out, counted, already, begun)
			}
		case op < 85:
			if rnd.IntN(8) == 0 {
				p = wide[rnd.IntN(len(wide))]
			}
			k := modelKey{name, p}
			end := at.Add(time.Duration(rnd.IntN(60)+1) * time.Second)
			_, changed := s.Ban(Ban{Jail: name, Prefix: p, End: end, Scope: m.jails[name].Scope, Shadow: !m.jails[name].Enforce, Reason: fmt.Sprint(i)})
			if c := m.cell(k); c.active(at) {
				c.until, c.fails = end, nil
			} else {
				m.ban(k, end)
			}
			if !changed {
				t.Fatalf("step %d: nothing changed", i)
			}
		case op < 90:
			if rnd.IntN(4) == 0 {
				p = wide[rnd.IntN(len(wide))]
			}
			got := s.Unban(p, name)
			c := m.cell(modelKey{name, p})
			if (len(got) == 1) != c.active(at) {
				t.Fatalf("step %d: unbanned %d", i, len(got))
			}
			c.fails, c.banned = nil, false
		default:
			wallClock.Add(rnd.Int64N(int64(1500 * time.Millisecond)))
		}
		if i%500 == 499 {
			if err := m.compare(s, now()); err != nil {
				t.Fatalf("step %d: %v", i, err)
			}
		}
	}
	if err := m.compare(s, now()); err != nil {
		t.Fatal(err)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	restarted := testStore(t, Options{Dir: dir, Now: now})
	if err := m.compare(restarted, now()); err != nil {
		t.Fatalf("after a restart: %v", err)
	}
	t.Logf("%d operations, %d bans, %d failures in sshd", steps, m.total["sshd"].BannedTotal, m.total["sshd"].FailedTotal)
}

// watch reads bans and windows until stop, and checks that none of them changes.
func watch(t *testing.T, s *Store, p netip.Prefix, stop chan struct{}) {
	seed := maphash.MakeSeed()
	sum := func(b *Ban) uint64 { return maphash.String(seed, fmt.Sprintf("%+v", *b)) }
	held := map[*Ban]uint64{}
	for {
		select {
		case <-stop:
			return
		case <-time.After(20 * time.Millisecond):
		}
		for _, b := range s.BansOf(p.Addr()) {
			if old, ok := held[b]; ok && old != sum(b) {
				t.Errorf("a ban of %s changed", b.Prefix)
			}
			held[b] = sum(b)
		}
		for b, old := range held {
			if old != sum(b) {
				t.Errorf("a ban of %s changed", b.Prefix)
			}
		}
		if len(held) > 50 {
			clear(held)
		}
		s.Windows(p.Addr())
		s.Counts("sshd")
		s.Effective(p)
	}
}
