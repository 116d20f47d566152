package state

import (
	"bufio"
	"bytes"
	"crypto/sha256"
	"errors"
	"io"
	"net/netip"
	"os"
	"path/filepath"
	"runtime"
	"runtime/debug"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// writeBans writes a snapshot of so many bans, as Save would.
func writeBans(t *testing.T, dir string, bans int) {
	t.Helper()
	f, err := os.Create(filepath.Join(dir, snapshotName(1)))
	if err != nil {
		t.Fatal(err)
	}
	sum := sha256.New()
	w := bufio.NewWriter(io.MultiWriter(f, sum))
	_, err = w.WriteString(snapshotMagic)
	put := func(what any, b *bytes.Buffer) { err = errors.Join(err, encoding.MarshalToBuffer(what, b)) }
	flush := func(b *bytes.Buffer) { err = errors.Join(err, writeChunk(w, b.Bytes())); b.Reset() }
	var b bytes.Buffer
	put(savedHeader{Schema: schema, Jails: []savedJail{{Name: "sshd"}}}, &b)
	flush(&b)
	start := time.Now()
	row := savedRow{Items: []savedItem{{
		Ban: &savedBan{Scope: "22", Start: start.UnixNano(), End: start.Add(24 * time.Hour).UnixNano(), Reason: []byte("5 failures within 10m0s"),
			Source: "web1", Trust: "tls", Failures: 5, Count: 1, Evidence: pack([]Evidence{{Time: start, Source: "web1", Trust: "tls",
				Raw: "Failed password for root from 192.0.2.7 port 4711 ssh2"}}).saved()},
		Past: &savedPast{Count: 1, Last: start.UnixNano()},
	}}}
	for n := range uint32(bans) {
		k := keyOf(addr4(1<<24 + n*37))
		row.Key = k[:]
		if n == defaultMaxOffenders {
			row.Items[0].Past = nil // Save would have written no more of them
		}
		put(&row, &b)
		if b.Len() >= fullChunk {
			flush(&b)
		}
	}
	flush(&b)
	_, end := w.Write(make([]byte, 4))
	err = errors.Join(err, end, w.Flush())
	_, end = f.Write(sum.Sum(nil))
	if err = errors.Join(err, end, f.Close()); err != nil {
		t.Fatal(err)
	}
}

// Restoring many bans is quick and ends with every one of them.
func TestRestoreOfManyBans(t *testing.T) {
	bans := size(2000, 20000, 1000000)
	dir := t.TempDir()
	writeBans(t, dir, bans)
	heap()
	debug.FreeOSMemory()
	resetPeak()
	before := processorTime(t)
	s := testStore(t, Options{Dir: dir})
	used := processorTime(t) - before
	r := s.Recovery()
	if r.Bans != bans || r.FellBack || r.Damaged > 0 {
		t.Fatalf("%+v, want %d bans", r, bans)
	}
	n, began := 0, time.Now()
	s.AllEffective(func(_ netip.Prefix, all []Effective) bool { n += len(all); return true })
	if n != bans {
		t.Errorf("%d elements, want %d", n, bans)
	}
	t.Logf("%d bans restored in %s with %s of processor time, listed in %s; heap %d MiB, peak of resident memory %s",
		bans, r.Took, used, time.Since(began), heap()>>20, peakMemory())
	if bar := time.Second + 5*time.Duration(bans)*10*time.Microsecond; used > bar {
		t.Errorf("%s of processor time, bar %s", used, bar)
	}
	runtime.KeepAlive(s)
}

// processorTime is what the process has used so far, of all its threads.
func processorTime(t *testing.T) time.Duration {
	t.Helper()
	var u unix.Rusage
	if err := unix.Getrusage(unix.RUSAGE_SELF, &u); err != nil {
		t.Fatal(err)
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

// resetPeak makes the kernel measure the peak of resident memory anew. Where it cannot, the peak
// is that of the whole process.
func resetPeak() { _ = os.WriteFile("/proc/self/clear_refs", []byte("5"), 0) }

func peakMemory() string {
	b, _ := os.ReadFile("/proc/self/status")
	for line := range strings.Lines(string(b)) {
		if rest, ok := strings.CutPrefix(line, "VmHWM:"); ok {
			return strings.TrimSpace(rest)
		}
	}
	return "unknown"
}
