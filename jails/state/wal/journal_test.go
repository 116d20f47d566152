package wal_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"stockade/jails/state/wal"
	"stockade/jails/state/wal/waltest"
)

func name(gen uint64) string { return fmt.Sprint("journal-", gen) }

func create(t *testing.T, fsys wal.FS) *wal.Journal {
	t.Helper()
	j, err := wal.Create(fsys, 1, name)
	if err != nil {
		t.Fatal(err)
	}
	return j
}

func read(t *testing.T, fsys wal.FS, gen uint64) ([]string, wal.Report) {
	t.Helper()
	f, err := fsys.Open(name(gen))
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	var out []string
	rep, err := wal.Read(f, gen, func(p []byte) error {
		out = append(out, string(p))
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return out, rep
}

func TestJournalKeepsRecordsInOrder(t *testing.T) {
	fsys, err := wal.Dir(filepath.Join(t.TempDir(), "new"))
	if err != nil {
		t.Fatal(err)
	}
	j := create(t, fsys)
	for i := range 100 {
		if seq := j.Append([]byte(strings.Repeat("x", i))); seq != uint64(i+1) {
			t.Fatalf("record %d has number %d", i, seq)
		}
	}
	if j.Durable() != 0 {
		t.Fatal("durable without a sync")
	}
	if err := j.Wait(t.Context(), 100); err != nil || j.Durable() != 100 {
		t.Fatal(err, j.Durable())
	}
	gen, last, err := j.Rotate()
	if err != nil || gen != 2 || last != 100 {
		t.Fatal(gen, last, err)
	}
	j.Append([]byte("after"))
	if err := errors.Join(j.Close(), j.Close()); err != nil {
		t.Fatal(err)
	}
	old, rep := read(t, fsys, 1)
	if len(old) != 100 || len(old[99]) != 99 || rep.Torn != 0 || rep.Damaged != 0 {
		t.Errorf("%d records, %+v", len(old), rep)
	}
	if after, _ := read(t, fsys, 2); !slices.Equal(after, []string{"after"}) {
		t.Errorf("second file has %q", after)
	}
}

// TestFlushedRecordsOutliveTheProcess: what is flushed is there after a kill, and only what is synced
// after a power cut.
func TestFlushedRecordsOutliveTheProcess(t *testing.T) {
	fsys := waltest.New()
	j := create(t, fsys)
	if j.Flush() {
		t.Error("an empty journal waits for a sync")
	}
	left := func(fsys wal.FS) []string {
		records, _ := read(t, fsys, 1)
		return records
	}
	j.Append([]byte("a"))
	if got := left(fsys.Killed()); len(got) != 0 {
		t.Errorf("killed before a flush: %q", got)
	}
	if !j.Flush() || j.Durable() != 0 {
		t.Error("a flush made a record durable")
	}
	if got := left(fsys.Killed()); !slices.Equal(got, []string{"a"}) {
		t.Errorf("killed after a flush: %q", got)
	}
	if got := left(fsys.Cut(nil)); len(got) != 0 {
		t.Errorf("a power cut after a flush: %q", got)
	}
	j.Append([]byte("b"))
	if err := j.Sync(); err != nil || j.Durable() != 2 || j.Flush() {
		t.Errorf("synced: %v, %d records are durable", err, j.Durable())
	}
	if got := left(fsys.Cut(nil)); !slices.Equal(got, []string{"a", "b"}) {
		t.Errorf("a power cut after a sync: %q", got)
	}
	j.Append([]byte("c"))
	j.Flush()
	if _, last, err := j.Rotate(); err != nil || last != 3 || j.Durable() != 3 || j.Flush() {
		t.Errorf("rotated: %v, the last is %d, %d are durable", err, last, j.Durable())
	}
	if got := left(fsys.Cut(nil)); !slices.Equal(got, []string{"a", "b", "c"}) {
		t.Errorf("a power cut after a rotation: %q", got)
	}
}

func TestManyWaitersShareASync(t *testing.T) {
	fsys := waltest.New()
	syncs := 0
	var mu sync.Mutex
	fsys.Fail = func(op, _ string) (int, error) {
		if op == "sync" {
			mu.Lock()
			syncs++
			mu.Unlock()
			time.Sleep(time.Millisecond) // a disk
		}
		return 0, nil
	}
	j := create(t, fsys)
	var wg sync.WaitGroup
	for range 50 {
		wg.Go(func() {
			for range 20 {
				if err := j.Wait(t.Context(), j.Append([]byte("x"))); err != nil {
					t.Error(err)
				}
			}
		})
	}
	wg.Wait()
	if syncs > 500 {
		t.Errorf("%d syncs for 1,000 records", syncs)
	}
	t.Logf("%d syncs for 1,000 records of 50 writers", syncs)
}

func TestBrokenJournalIsRepairedByASnapshot(t *testing.T) {
	fsys := waltest.New()
	j := create(t, fsys)
	j.Append([]byte("one"))
	if err := j.Sync(); err != nil {
		t.Fatal(err)
	}
	fsys.Fail = func(op, _ string) (int, error) {
		if op == "write" || op == "create" {
			return 3, syscall.ENOSPC
		}
		return 0, nil
	}
	j.Append([]byte("two"))
	if err := j.Sync(); !errors.Is(err, syscall.ENOSPC) || !errors.Is(j.Err(), syscall.ENOSPC) {
		t.Fatal(err, j.Err())
	}
	seq := j.Append([]byte("three"))
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := j.Wait(ctx, seq); !errors.Is(err, context.Canceled) || j.Durable() != 1 {
		t.Fatal(err, j.Durable())
	}
	if _, _, err := j.Rotate(); !errors.Is(err, syscall.ENOSPC) {
		t.Fatal(err)
	}
	fsys.Fail = nil
	_, last, err := j.Rotate()
	if err != nil || last != 3 || j.Err() != nil {
		t.Fatal(last, err, j.Err())
	}
	after := j.Append([]byte("four"))
	if err := j.Sync(); err != nil || j.Durable() != 1 {
		t.Fatal("records were lost before this one and no snapshot covers them:", err, j.Durable())
	}
	j.Covered(last)
	if err := j.Wait(t.Context(), after); err != nil || j.Durable() != 4 {
		t.Fatal(err, j.Durable())
	}
	one, rep := read(t, fsys, 1)
	if !slices.Equal(one, []string{"one"}) || rep.Torn != 3 {
		t.Errorf("first file has %q, %+v", one, rep)
	}
	if two, _ := read(t, fsys, 2); !slices.Equal(two, []string{"four"}) {
		t.Errorf("second file has %q", two)
	}
}

// Every truncation leaves the whole records before it; every flipped bit is found.
func TestDamageIsFound(t *testing.T) {
	fsys := waltest.New()
	j := create(t, fsys)
	for i := range 20 {
		j.Append(bytes.Repeat([]byte{byte(i)}, 10+i))
	}
	if err := j.Close(); err != nil {
		t.Fatal(err)
	}
	whole, _ := read(t, fsys, 1)
	size := fsys.Size(name(1))
	var data []byte
	fsys.Change(name(1), func(b []byte) []byte { data = b; return b })
	readAll := func(b []byte) ([]string, wal.Report) {
		var out []string
		rep, err := wal.Read(bytes.NewReader(b), 1, func(p []byte) error { out = append(out, string(p)); return nil })
		if err != nil {
			t.Fatal(err)
		}
		return out, rep
	}
	for n := range size {
		got, rep := readAll(data[:n])
		if !slices.Equal(got, whole[:len(got)]) || rep.Damaged != 0 {
			t.Fatalf("cut at %d: %d records, %+v", n, len(got), rep)
		}
		if rep.Torn >= 0 && int(rep.Good+rep.Torn) != n {
			t.Fatalf("cut at %d: %+v", n, rep)
		}
	}
	for bit := range size * 8 {
		b := slices.Clone(data)
		b[bit/8] ^= 1 << (bit % 8)
		got, rep := readAll(b)
		if rep.Damaged == 0 && rep.Torn == 0 {
			t.Fatalf("bit %d: flipped unseen: %+v", bit, rep)
		}
		i := 0
		for _, g := range got {
			for i < len(whole) && whole[i] != g {
				i++
			}
			if i == len(whole) {
				t.Fatalf("bit %d: a record that was never written: %q", bit, g)
			}
		}
		if rep.Damaged > 0 && len(got) != len(whole)-1 {
			t.Fatalf("bit %d: one damaged payload left %d of %d records", bit, len(got), len(whole))
		}
	}
	if got, rep := readAll(data[:0]); got != nil || rep.Torn != -1 {
		t.Errorf("empty file: %q, %+v", got, rep)
	}
	rep, err := wal.Read(bytes.NewReader(data), 2, func([]byte) error { return nil })
	if err != nil || rep.Torn != -1 || rep.Records != 0 {
		t.Errorf("another generation's file: %+v, %v", rep, err)
	}
}

func TestFolderIsLocked(t *testing.T) {
	dir := t.TempDir()
	first, err := wal.Dir(dir)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := wal.Dir(dir); !errors.Is(err, wal.ErrInUse) {
		t.Fatalf("second user: %v", err)
	}
	if err := first.Close(); err != nil {
		t.Fatal(err)
	}
	again, err := wal.Dir(dir)
	if err != nil {
		t.Fatal(err)
	}
	if err := again.Close(); err != nil {
		t.Fatal(err)
	}
}

func TestWriteFile(t *testing.T) {
	content := func(s string) func(io.Writer) error {
		return func(w io.Writer) error { _, err := io.WriteString(w, s); return err }
	}
	dir := t.TempDir()
	fsys, err := wal.Dir(dir)
	if err != nil {
		t.Fatal(err)
	}
	if err := wal.WriteFile(fsys, "f", content("old")); err != nil {
		t.Fatal(err)
	}
	half := errors.New("half way")
	err = wal.WriteFile(fsys, "f", func(w io.Writer) error {
		_, _ = io.WriteString(w, "ne")
		return half
	})
	got, readErr := os.ReadFile(filepath.Join(dir, "f"))
	if !errors.Is(err, half) || readErr != nil || string(got) != "old" {
		t.Errorf("%v, %v, %q", err, readErr, got)
	}
	if names, err := fsys.List(); err != nil || !slices.Equal(names, []string{"f", "lock"}) {
		t.Errorf("folder has %q, %v", names, err)
	}
	for _, op := range []string{"create", "write", "sync", "rename"} {
		m := waltest.New()
		if err := wal.WriteFile(m, "f", content("old")); err != nil {
			t.Fatal(err)
		}
		m.Fail = func(o, _ string) (int, error) {
			if o == op {
				return 1, syscall.EIO
			}
			return 0, nil
		}
		if err := wal.WriteFile(m, "f", content("new")); !errors.Is(err, syscall.EIO) {
			t.Errorf("failed %s: %v", op, err)
		}
		m.Fail = nil
		if names, _ := m.List(); !slices.Equal(names, []string{"f"}) || m.Size("f") != 3 {
			t.Errorf("failed %s leaves %q", op, names)
		}
		m.Change("f", func(b []byte) []byte {
			if string(b) != "old" {
				t.Errorf("failed %s leaves %q", op, b)
			}
			return b
		})
	}
}

func FuzzRead(f *testing.F) {
	fsys := waltest.New()
	j, err := wal.Create(fsys, 1, name)
	if err != nil {
		f.Fatal(err)
	}
	j.Append([]byte("record"))
	j.Append(nil)
	if err := j.Sync(); err != nil {
		f.Fatal(err)
	}
	fsys.Change(name(1), func(b []byte) []byte {
		f.Add(b)
		f.Add(b[:len(b)-3])
		f.Add(append(b, "\xff\xff\xff\xff tail of something else"...))
		return b
	})
	f.Add([]byte{})
	f.Fuzz(func(t *testing.T, data []byte) {
		n := 0
		rep, err := wal.Read(bytes.NewReader(data), 1, func(p []byte) error { n += len(p); return nil })
		if err != nil || n > len(data) || rep.Good > int64(len(data)) {
			t.Errorf("%+v, %v, %d bytes of records in %d", rep, err, n, len(data))
		}
	})
}
