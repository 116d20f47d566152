package state

import (
	"context"
	"errors"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"stockade/jails/state/wal/waltest"
)

// D4: while the disk fails, bans go on and are not acknowledged; when it is back they are.
func TestDiskFailure(t *testing.T) {
	for _, errno := range []syscall.Errno{syscall.ENOSPC, syscall.EIO, syscall.EROFS} {
		t.Run(errno.Error(), func(t *testing.T) {
			clock := newFakeClock()
			fsys := waltest.New()
			s := openFS(t, fsys, clock)
			w := newWorkload(s, clock, 9)
			for range 20 {
				w.step()
			}
			if err := s.Save(); err != nil {
				t.Fatal(err)
			}
			good := banSet(s)
			var mu sync.Mutex
			broken := true
			fsys.Fail = func(op, _ string) (int, error) {
				mu.Lock()
				defer mu.Unlock()
				if broken && op != "open" && op != "list" {
					return 5, errno
				}
				return 0, nil
			}
			for range 20 {
				w.step()
			}
			durable := s.Durable()
			_ = s.journal.Sync()
			if s.Trouble() == nil {
				t.Fatal("no trouble while the disk fails")
			}
			if err := s.Save(); err == nil {
				t.Fatal("saved to a failing disk")
			}
			if s.Durable() != durable {
				t.Error("acknowledged while the disk fails")
			}
			if got := banSet(s); !equalBans(got, w.now) {
				t.Errorf("%d bans in memory, want %d", len(got), len(w.now))
			}
			if got := banSet(openFS(t, fsys.Killed(), clock)); !equalBans(got, good) {
				t.Errorf("%d bans on disk, want the %d from before", len(got), len(good))
			}
			mu.Lock()
			broken = false
			mu.Unlock()
			if err := s.Save(); err != nil || s.Trouble() != nil {
				t.Fatal(err, s.Trouble())
			}
			if err := s.WaitDurable(t.Context(), s.Logged()); err != nil {
				t.Fatal(err)
			}
			w.step()
			if err := s.WaitDurable(t.Context(), s.Logged()); err != nil {
				t.Fatal(err)
			}
			if got := banSet(openFS(t, fsys.Cut(nil), clock)); !equalBans(got, w.now) {
				t.Errorf("%d bans on disk, want %d", len(got), len(w.now))
			}
		})
	}
}

// A full disk at the start keeps no one from starting with what is there.
func TestOpenOnAFullDisk(t *testing.T) {
	clock := newFakeClock()
	fsys, want := twoGenerations(t, clock)
	full := true
	fsys.Fail = func(op, _ string) (int, error) {
		if full && op != "open" && op != "list" {
			return 0, syscall.ENOSPC
		}
		return 0, nil
	}
	s := openFS(t, fsys, clock)
	if got := banSet(s); !equalBans(got, want) || !errors.Is(s.Trouble(), syscall.ENOSPC) {
		t.Fatalf("%d bans, want %d; trouble %v", len(got), len(want), s.Trouble())
	}
	b, _ := s.Ban(Ban{Jail: "manual", Prefix: prefix("192.0.2.250/32")})
	if err := s.Save(); !errors.Is(err, syscall.ENOSPC) || s.Durable() != 0 {
		t.Fatal(err, s.Durable())
	}
	full = false
	if err := s.Save(); err != nil || s.Trouble() != nil || s.Durable() < b.Seq {
		t.Fatal(err, s.Trouble(), s.Durable())
	}
	if got := banSet(openFS(t, fsys.Cut(nil), clock)); len(got) != len(want)+1 {
		t.Errorf("%d bans on disk, want %d", len(got), len(want)+1)
	}
	if err := s.Close(); err != nil {
		t.Error(err)
	}
}

// While Run runs, a disk fault shows within 5 s and is made up for within 10 s of its end; a busy machine
// may take five times as long.
func TestRunRepairsTheDisk(t *testing.T) {
	fsys := waltest.New()
	var broken atomic.Bool
	fsys.Fail = func(op, _ string) (int, error) {
		if broken.Load() && op != "open" && op != "list" {
			return 0, syscall.ENOSPC
		}
		return 0, nil
	}
	s, err := open(Options{Dir: "test"}, fsys)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error)
	go func() { done <- s.Run(ctx) }()
	until := func(what string, limit time.Duration, ok func() bool) {
		t.Helper()
		began := time.Now()
		for !ok() {
			if time.Since(began) > limit {
				t.Fatalf("%s: not within %s", what, limit)
			}
			time.Sleep(5 * time.Millisecond)
		}
		t.Logf("%s after %s", what, time.Since(began).Round(time.Millisecond))
	}
	broken.Store(true)
	b, _ := s.Ban(Ban{Jail: "manual", Prefix: prefix("192.0.2.7/32")})
	until("trouble shows", 5*5*time.Second, func() bool { return s.Trouble() != nil })
	if s.Durable() >= b.Seq {
		t.Error("acknowledged while the disk is full")
	}
	broken.Store(false)
	until("the ban is durable", 5*10*time.Second, func() bool { return s.Durable() >= b.Seq && s.Trouble() == nil })
	cancel()
	if err := <-done; err != nil {
		t.Error(err)
	}
}
