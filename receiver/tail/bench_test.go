package tail

import (
	"bytes"
	"context"
	"fmt"
	"log/slog"
	"os"
	"runtime"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"stockade/receiver"
	"stockade/receiver/receivertest"
)

// counter is a sink that only counts.
type counter struct{ n atomic.Int64 }

func (c *counter) Put(*receiver.Entry) { c.n.Add(1) }
func (c *counter) Flush()              {}

// used returns the processor time of this process.
func used(t testing.TB) time.Duration {
	t.Helper()
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		t.Fatal(err)
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

func (r *rig) counting() *counter {
	c := new(counter)
	var err error
	r.tail, err = New(Options{
		Config: r.cfg, Registry: r.reg, Open: func(bool) receiver.Sink { return c }, StateDir: r.state, Log: slog.New(slog.DiscardHandler),
	})
	if err != nil {
		r.t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	r.cancel, r.done = cancel, make(chan error, 1)
	go func() { r.done <- r.tail.Run(ctx) }()
	<-r.tail.Ready()
	return c
}

// TestThroughput follows a growing file; no date is looked for, which is the filter's work. The target is 500,000 lines a second of one core; on a
// noisy machine a fifth of it must hold.
func TestThroughput(t *testing.T) {
	lines, rounds := 10000, 100
	if testing.Short() || raceEnabled {
		rounds = 20
	}
	r := newRig(t, "", "a.log")
	r.add("a.log", "")
	c := r.counting()
	var b bytes.Buffer
	for i := range lines {
		fmt.Fprintf(&b, "192.0.2.%d - - [24/Nov/2026:08:00:00 +0000] \"GET /index.html?%d HTTP/1.1\" 200 1234 \"-\" \"curl/8\"\n", i%250, i)
	}
	f, err := os.OpenFile(r.path("a.log"), os.O_APPEND|os.O_WRONLY, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	began, cpu := time.Now(), used(t)
	for range rounds {
		if _, err := f.Write(b.Bytes()); err != nil {
			t.Fatal(err)
		}
	}
	want := int64(lines * rounds)
	if !receivertest.Eventually(60*time.Second, func() bool { return c.n.Load() >= want }) {
		t.Fatalf("%d of %d lines", c.n.Load(), want)
	}
	spent := used(t) - cpu
	rate := float64(want) / spent.Seconds()
	t.Logf("%d lines in %s, %s of processor with the writer: %.0f lines a second of one core",
		want, time.Since(began).Round(time.Millisecond), spent.Round(time.Millisecond), rate)
	if rate < 100_000 && !raceEnabled {
		t.Errorf("%.0f lines a second", rate)
	}
}

// TestIdle: nothing written costs next to nothing.
func TestIdle(t *testing.T) {
	r := newRig(t, "", "*.log")
	for i := range 100 {
		r.add(fmt.Sprintf("%d.log", i), "x\n")
	}
	r.counting()
	long := 2 * time.Second
	cpu := used(t)
	time.Sleep(long) // the time that is measured
	share := float64(used(t)-cpu) / float64(long)
	t.Logf("100 files, nothing written: %.2f %% of a core", share*100)
	if share > 0.10 {
		t.Errorf("%.1f %% of a core", share*100)
	}
}

// TestALineCostsNoAllocation: from the file to the sink.
func TestALineCostsNoAllocation(t *testing.T) {
	if raceEnabled {
		t.Skip("the race detector allocates")
	}
	r := newRig(t, "", "a.log")
	c := new(counter)
	tl, err := New(Options{Config: r.cfg, Registry: r.reg, Open: func(bool) receiver.Sink { return c }, Log: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	tl.sink, tl.now = c, time.Now()
	tl.refresh()
	f := &file{fd: -1}
	data := bytes.Repeat([]byte("192.0.2.1 - - [24/Nov/2026:08:00:00 +0000] \"GET / HTTP/1.1\" 200\nNov 24 08:00:00 host sshd[1]: Failed\n"), 100)
	runtime.GC()
	if n := testing.AllocsPerRun(20, func() { tl.lines(f, data) }); n > 0 {
		t.Errorf("%v allocations for 200 lines", n)
	}
	if c.n.Load() == 0 {
		t.Error("no lines")
	}
}
