package pipeline

import (
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"stockade/jails/state"
)

// fakeDisk is a journal that a test moves.
type fakeDisk struct{ logged, durable uint64 }

func (d *fakeDisk) Logged() uint64  { return d.logged }
func (d *fakeDisk) Durable() uint64 { return d.durable }

// memoryDir is a new folder on a tmpfs.
func memoryDir(t testing.TB) string {
	t.Helper()
	dir := t.TempDir()
	if inMemory(dir) {
		return dir
	}
	dir, err := os.MkdirTemp("/dev/shm", "stockade")
	if err != nil || !inMemory(dir) {
		const reason = "needs /dev/shm or a temporary folder on a tmpfs"
		if os.Getenv("STOCKADE_REQUIRE") == "all" {
			t.Fatal(reason)
		}
		t.Skip(reason)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	return dir
}

func newAhead(t testing.TB, path string, disk durability) *ahead {
	t.Helper()
	a, err := openAhead(path, disk)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = a.close() })
	return a
}

func change(prefix, scope string) state.Change {
	return state.Change{Prefix: netip.MustParsePrefix(prefix), Scope: scope}
}

// batchOf are so many different elements.
func batchOf(n, from int) []state.Change {
	out := make([]state.Change, n)
	for i := range out {
		k := from + i
		out[i] = state.Change{Prefix: netip.PrefixFrom(netip.AddrFrom4([4]byte{20, byte(k >> 16), byte(k >> 8), byte(k)}), 32), Scope: "22"}
	}
	return out
}

func (a *ahead) sizes(t *testing.T) (total int64) {
	t.Helper()
	for _, p := range a.parts {
		info, err := p.file.Stat()
		if err != nil {
			t.Fatal(err)
		}
		if info.Size() > aheadMost {
			t.Errorf("a part has %d bytes, at most %d may be", info.Size(), aheadMost)
		}
		total += info.Size()
	}
	return total
}

func TestAheadOutlivesItsProcess(t *testing.T) {
	path := filepath.Join(memoryDir(t), "ahead")
	want := []state.Change{
		change("192.0.2.7/32", ""), change("192.0.2.7/32", "22,80/tcp"), change("198.51.100.0/24", ""),
		change("2001:db8::/64", "22"), change("2001:db8::1/128", ""), change("::ffff:0:0/96", ""),
	}
	a := newAhead(t, path, &fakeDisk{logged: 1})
	a.note(want[:2])
	a.note(nil)
	a.note(want[2:])
	a = newAhead(t, path, &fakeDisk{})
	got, err := a.left()
	if err != nil || len(got) != len(want) {
		t.Fatalf("%d elements are left, want %d (%v)", len(got), len(want), err)
	}
	for _, c := range want {
		if _, ok := got[c]; !ok {
			t.Errorf("%v is not left", c)
		}
	}
	a.note(want[:1]) // goes behind what is left
	if got, _ := newAhead(t, path, &fakeDisk{}).left(); len(got) != len(want) {
		t.Errorf("%d elements are left after another note, want %d", len(got), len(want))
	}
	if err := a.begin(); err != nil {
		t.Fatal(err)
	}
	if got, _ := newAhead(t, path, &fakeDisk{}).left(); len(got) != 0 {
		t.Errorf("%d elements are left after a new beginning", len(got))
	}
}

func TestAheadReadsWhatAKillCut(t *testing.T) {
	var whole []byte
	want := []state.Change{change("192.0.2.7/32", "22"), change("2001:db8::/64", ""), change("192.0.2.8/32", "")}
	var ends []int
	for _, c := range want {
		whole = appendChange(whole, c)
		ends = append(ends, len(whole))
	}
	for n := range len(whole) + 1 {
		var got []state.Change
		for c, rest, ok := cutChange(whole[:n]); ok; c, rest, ok = cutChange(rest) {
			got = append(got, c)
		}
		full := 0
		for full < len(ends) && ends[full] <= n {
			full++
		}
		if !slices.Equal(got, want[:full]) {
			t.Fatalf("%d of %d bytes: %v", n, len(whole), got)
		}
	}
}

// TestAheadIsBounded: a disk that keeps up keeps the files small; one that is stuck lets them grow to
// their bound, after which elements are counted and not noted; nothing is let go of before it is on disk.
func TestAheadIsBounded(t *testing.T) {
	path := filepath.Join(memoryDir(t), "ahead")
	disk := &fakeDisk{}
	a := newAhead(t, path, disk)
	const batch = 1000
	n := 0
	add := func() {
		disk.logged += batch
		a.note(batchOf(batch, n))
		n += batch
	}
	for round := range 60 {
		add()
		disk.durable = disk.logged - 2*batch // two batches behind
		if size := a.sizes(t); size > 2*aheadSwitch+2*batch*(aheadHead+2) {
			t.Fatalf("%d bytes for a disk that keeps up", size)
		}
		if round%8 != 7 {
			continue
		}
		left, err := newAhead(t, path, disk).left()
		if err != nil {
			t.Fatal(err)
		}
		for _, c := range batchOf(min(2*batch, n), n-min(2*batch, n)) {
			if _, ok := left[c]; !ok {
				t.Fatalf("%v is not on disk and not noted", c)
			}
		}
	}
	if a.trouble() != nil {
		t.Fatal(a.trouble())
	}
	same := batchOf(batch, 0)
	for range 2 * aheadMost / (batch * (aheadHead + 2)) {
		disk.logged += batch
		a.note(same)
	}
	a.sizes(t)
	if err := a.trouble(); err == nil || !strings.Contains(err.Error(), "full") {
		t.Errorf("trouble %v, want that the files are full", err)
	}
	disk.durable = disk.logged
	add()
	if err := a.trouble(); err != nil {
		t.Errorf("there is room again: %v", err)
	}
	if left, _ := newAhead(t, path, disk).left(); len(left) < batch {
		t.Errorf("only %d elements are noted", len(left))
	}
}

func TestAheadNeedsMemory(t *testing.T) {
	if !inMemory(".") {
		if _, err := openAhead("ahead", &fakeDisk{}); err == nil {
			t.Error("a folder on a disk was taken")
		}
	}
	if _, err := openAhead(filepath.Join(t.TempDir(), "absent", "ahead"), &fakeDisk{}); err == nil {
		t.Error("an absent folder was taken")
	}
	var none *ahead
	none.note(batchOf(1, 0))
	if left, err := none.left(); len(left) != 0 || err != nil || none.begin() != nil || none.close() != nil || none.trouble() != nil {
		t.Error("no files at all do something")
	}
}

func TestAheadAllocates(t *testing.T) {
	disk := &fakeDisk{}
	a := newAhead(t, filepath.Join(memoryDir(t), "ahead"), disk)
	batch := batchOf(changeBatch, 0)
	a.note(batch)
	if n := testing.AllocsPerRun(100, func() {
		disk.logged += changeBatch
		disk.durable = disk.logged
		a.note(batch)
	}); n != 0 {
		t.Errorf("%g allocations a batch, want 0", n)
	}
}

func BenchmarkAhead(b *testing.B) {
	for _, n := range []int{1, 64, changeBatch} {
		b.Run(fmt.Sprint(n), func(b *testing.B) {
			disk := &fakeDisk{}
			a := newAhead(b, filepath.Join(memoryDir(b), "ahead"), disk)
			batch := batchOf(n, 0)
			b.ReportAllocs()
			for b.Loop() {
				disk.logged += uint64(n)
				disk.durable = disk.logged
				a.note(batch)
			}
		})
	}
}

func FuzzAhead(f *testing.F) {
	f.Add([]byte{})
	f.Add(appendChange(nil, change("192.0.2.7/32", "22")))
	f.Add(appendChange(appendChange(nil, change("2001:db8::/64", "")), change("192.0.2.0/24", "80/tcp,443")))
	f.Add(make([]byte, 3*aheadHead))
	f.Fuzz(func(t *testing.T, b []byte) {
		for c, rest, ok := cutChange(b); ok; c, rest, ok = cutChange(rest) {
			again, _, ok := cutChange(appendChange(nil, c))
			if !ok || again != c {
				t.Fatalf("%v is read back as %v", c, again)
			}
		}
	})
}
