package state

import (
	"bytes"
	"flag"
	"fmt"
	"maps"
	"math/rand/v2"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"

	"stockade/jails/state/wal/waltest"
)

var long = flag.Bool("long", false, "run the long forms of the tests")

// size picks a number by how long the tests may take.
func size(short, normal, longForm int) int {
	switch {
	case *long:
		return longForm
	case testing.Short():
		return short
	}
	return normal
}

// openFS opens a store on a folder of waltest.
func openFS(t testing.TB, fsys *waltest.FS, clock *fakeClock) *Store {
	t.Helper()
	s, err := open(Options{Dir: "test", Now: clock.now}, fsys)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// banSet is what a store should hold: the end of each ban.
func banSet(s *Store) map[string]time.Time {
	out := map[string]time.Time{}
	for _, b := range s.Bans("") {
		out[b.Jail+" "+b.Prefix.String()] = b.End
	}
	return out
}

func equalBans(a, b map[string]time.Time) bool {
	return maps.EqualFunc(a, b, time.Time.Equal)
}

// workload bans and unbans, with snapshots in between, and remembers what the store held after each
// journal record.
type workload struct {
	s     *Store
	rnd   *rand.Rand
	clock *fakeClock
	at    []map[string]time.Time // by journal number
	now   map[string]time.Time
}

func newWorkload(s *Store, clock *fakeClock, seed uint64) *workload {
	w := &workload{s: s, rnd: rand.New(rand.NewPCG(seed, 1)), clock: clock, now: banSet(s)}
	w.at = []map[string]time.Time{maps.Clone(w.now)}
	return w
}

func (w *workload) step() {
	p := addr4(0xc0000200 + uint32(w.rnd.IntN(40)))
	jail := []string{"sshd", "nginx"}[w.rnd.IntN(2)]
	key := jail + " " + p.String()
	before := w.s.Logged()
	if w.rnd.IntN(3) == 0 {
		w.s.Unban(p, jail)
		delete(w.now, key)
	} else {
		b := Ban{Jail: jail, Prefix: p, End: w.clock.t.Add(time.Duration(w.rnd.IntN(1000)+3600) * time.Second),
			Reason: "test", Evidence: []Evidence{{Raw: strings.Repeat("x", w.rnd.IntN(300))}}}
		w.s.Ban(b)
		w.now[key] = b.End
	}
	if w.s.Logged() > before {
		w.at = append(w.at, maps.Clone(w.now))
	}
}

// D2: after a power cut at any step the store holds what it held at some moment between the last
// durable record and the last one.
func TestPowerCutAtEveryStep(t *testing.T) {
	clock := newFakeClock()
	fsys := waltest.New()
	type moment struct {
		disks        []*waltest.FS
		durable, end int
	}
	var moments []moment
	var s *Store
	rnd := rand.New(rand.NewPCG(7, 7))
	fsys.Done = func() {
		m := moment{disks: []*waltest.FS{fsys.Killed(), fsys.Cut(nil), fsys.Cut(rnd), fsys.Cut(rnd)}}
		if s != nil {
			m.durable, m.end = int(s.Durable()), int(s.Logged())
		}
		moments = append(moments, m)
	}
	s = openFS(t, fsys, clock)
	w := newWorkload(s, clock, 3)
	steps := size(60, 300, 4000)
	for i := range steps {
		w.step()
		if i%3 == 0 {
			if err := s.WaitDurable(t.Context(), s.Logged()); err != nil {
				t.Fatal(err)
			}
		}
		if i%40 == 39 {
			if err := s.Save(); err != nil {
				t.Fatal(err)
			}
		}
	}
	states := 0
	for n, m := range moments {
		for kind, disk := range m.disks {
			states++
			r := openFS(t, disk, clock)
			if rec := r.Recovery(); rec.FellBack || rec.Damaged > 0 {
				t.Fatalf("step %d/%d: %+v", n, kind, rec)
			}
			got := banSet(r)
			if !slices.ContainsFunc(w.at[m.durable:m.end+1], func(want map[string]time.Time) bool { return equalBans(got, want) }) {
				t.Fatalf("step %d/%d: %d bans are those of no moment from record %d to %d", n, kind, len(got), m.durable, m.end)
			}
		}
	}
	if states < 500 && !testing.Short() {
		t.Errorf("only %d states", states)
	}
	t.Logf("%d states of the disk at %d steps", states, len(moments))
}

// twoGenerations returns a folder with two snapshots, and what the store held at the end.
func twoGenerations(t *testing.T, clock *fakeClock) (*waltest.FS, map[string]time.Time) {
	t.Helper()
	fsys := waltest.New()
	s := openFS(t, fsys, clock)
	w := newWorkload(s, clock, 5)
	for range 3 {
		for range 60 {
			w.step()
		}
		if err := s.Save(); err != nil {
			t.Fatal(err)
		}
	}
	return fsys, banSet(s)
}

// D3: every damage to the newest snapshot is found, the previous one and the journals make up for
// it, and the damaged file is kept once.
func TestDamagedSnapshotFallsBack(t *testing.T) {
	clock := newFakeClock()
	fsys, want := twoGenerations(t, clock)
	names, err := fsys.List()
	if err != nil {
		t.Fatal(err)
	}
	snapshots := generations(names, snapshotPrefix)
	if len(snapshots) != 2 || len(generations(names, journalPrefix)) != 2 {
		t.Fatalf("folder has %q", names)
	}
	newest := snapshotName(snapshots[1])
	length := fsys.Size(newest)
	try := func(what string, change func([]byte) []byte) {
		t.Helper()
		disk := fsys.Killed()
		disk.Change(newest, change)
		s := openFS(t, disk, clock)
		if r := s.Recovery(); !r.FellBack || !r.Adopt() || r.Problem == "" {
			t.Fatalf("%s of %s is not found: %+v", what, newest, r)
		}
		if got := banSet(s); !equalBans(got, want) {
			t.Fatalf("%s: %d bans, want %d", what, len(got), len(want))
		}
		if left, _ := disk.List(); slices.Contains(left, newest) || !slices.Contains(left, "snapshot-damaged.bad") {
			t.Fatalf("%s: folder has %q", what, left)
		}
	}
	flips, cuts := size(30, 150, 10000), size(30, 150, length)
	rnd := rand.New(rand.NewPCG(1, 2))
	for range flips {
		bit := rnd.IntN(length * 8)
		try(fmt.Sprintf("flip of bit %d", bit), func(b []byte) []byte { b[bit/8] ^= 1 << (bit % 8); return b })
	}
	for i := range cuts {
		n := i * length / cuts
		try(fmt.Sprintf("cut at %d", n), func(b []byte) []byte { return b[:n] })
	}
	try("length of 1 GiB", func(b []byte) []byte { copy(b[len(snapshotMagic):], []byte{0, 0, 0, 0x40}); return b })
	try("another version", func(b []byte) []byte { b[len(snapshotMagic)-1]++; return b })
	try("a byte more", func(b []byte) []byte { return append(b, 0) })
	try("noise", func(b []byte) []byte { return bytes.Repeat([]byte{0x42}, len(b)) })
	t.Logf("%d flips, %d cuts of %d bytes: all found", flips, cuts, length)

	disk := fsys.Killed()
	for range 5 {
		names, _ := disk.List()
		gens := generations(names, snapshotPrefix)
		disk.Change(snapshotName(gens[len(gens)-1]), func(b []byte) []byte { return b[1:] })
		s := openFS(t, disk, clock)
		if got := banSet(s); !equalBans(got, want) {
			t.Fatalf("%d bans, want %d", len(got), len(want))
		}
		if err := s.Save(); err != nil {
			t.Fatal(err)
		}
		if err := s.Save(); err != nil {
			t.Fatal(err)
		}
	}
	if names, _ := disk.List(); len(names) != 5 {
		t.Errorf("damaged files pile up: %q", names)
	}
}

func TestBothSnapshotsDamaged(t *testing.T) {
	clock := newFakeClock()
	fsys, _ := twoGenerations(t, clock)
	names, _ := fsys.List()
	for _, gen := range generations(names, snapshotPrefix) {
		fsys.Change(snapshotName(gen), func(b []byte) []byte { return b[:len(b)/2] })
	}
	s := openFS(t, fsys, clock)
	if r := s.Recovery(); !r.FellBack || !r.Adopt() {
		t.Errorf("recovery %+v", r)
	}
	if len(s.Bans("")) == 0 {
		t.Error("the journals were not read")
	}
}

func FuzzReadSnapshot(f *testing.F) {
	clock := newFakeClock()
	s := testStore(f, Options{Now: clock.now})
	s.Ban(Ban{Jail: "sshd", Prefix: netip.MustParsePrefix("192.0.2.7/32"), Evidence: []Evidence{{Raw: "x"}}})
	j := testJail(f, nil)
	s.Fail(j, failure("2001:db8::/64", clock.t))
	v := s.view()
	var b bytes.Buffer
	if err := s.writeSnapshot(&b, s.db.Txn(false), v); err != nil {
		f.Fatal(err)
	}
	f.Add(b.Bytes())
	f.Add(b.Bytes()[:40])
	f.Add([]byte(snapshotMagic + "\x00\x00\x00\x00"))
	f.Fuzz(func(t *testing.T, data []byte) {
		sum := checkSnapshot(bytes.NewReader(data))
		s := testStore(t, Options{Now: clock.now})
		// Without its sum a snapshot is never read; it must not harm even so.
		_ = s.readSnapshot(bytes.NewReader(data), s.moment(), &Recovery{})
		for _, b := range s.Bans("") {
			if !b.Prefix.IsValid() && sum == nil {
				t.Errorf("a ban of %v", b.Prefix)
			}
		}
	})
}
