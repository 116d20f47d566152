package bench

import (
	"bytes"
	"runtime"
	"testing"

	"golang.org/x/sys/unix"

	"stockade/jails/filter/catalogue"
)

// BenchmarkMatching takes a line of a log as serve takes one of a file: decode, route, match.
func BenchmarkMatching(b *testing.B) {
	mixed, err := Mixed(1, 20_000)
	if err != nil {
		b.Fatal(err)
	}
	all := catalogue.Names()
	for _, c := range []struct {
		name    string
		filters []string
		log     *Corpus
	}{
		{"sshd/attack", []string{"sshd"}, Attack(1, 20_000, Addresses)},
		{"catalogue/attack", all, Attack(1, 20_000, Addresses)},
		{"catalogue/quiet", all, Quiet(1, 20_000)},
		{"catalogue/samples", all, mixed},
	} {
		b.Run(c.name, func(b *testing.B) {
			set, err := newSet(c.filters)
			if err != nil {
				b.Fatal(err)
			}
			m := newMatching(set)
			lines := bytes.Split(bytes.TrimSuffix(c.log.File, []byte("\n")), []byte("\n"))
			for _, line := range lines {
				m.take(line)
			}
			b.SetBytes(int64(len(c.log.File) / c.log.Lines))
			b.ReportAllocs()
			runtime.LockOSThread()
			defer runtime.UnlockOSThread()
			before := threadTime(b)
			n := 0
			for b.Loop() {
				m.take(lines[n%len(lines)])
				n++
			}
			b.ReportMetric(float64(threadTime(b)-before)/float64(n), "cpu-ns/op")
		})
	}
}

// threadTime is the time on a processor of this thread: a busy machine stretches the time of a
// benchmark, and this hardly.
func threadTime(b *testing.B) int64 {
	var at unix.Timespec
	if err := unix.ClockGettime(unix.CLOCK_THREAD_CPUTIME_ID, &at); err != nil {
		b.Fatal(err)
	}
	return at.Nano()
}

// BenchmarkItems runs items of the command and reports their medians: -bench 'Items/matching'.
func BenchmarkItems(b *testing.B) {
	for _, it := range items {
		b.Run(it.name, func(b *testing.B) {
			for b.Loop() {
				rep, err := Measure(b.Context(), Options{Lines: 20_000, Repeat: 1, Seed: 1, Pin: -1, Only: it.name, Dir: b.TempDir()})
				if err != nil {
					b.Fatal(err)
				}
				var table bytes.Buffer
				if err := Table(&table, rep.Results); err != nil {
					b.Fatal(err)
				}
				b.Logf("%s\n%s", rep.Machine, table.String())
			}
		})
	}
}
