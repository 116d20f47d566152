package tail

import (
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/fxamacker/cbor/v2"

	"stockade/receiver"
	"stockade/receiver/receivertest/record"
	"stockade/receiver/statefile"
)

// FuzzState: whatever the state says, resuming neither panics nor reads what is not there, and the
// tail goes on.
func FuzzState(f *testing.F) {
	good, err := cbor.Marshal(memory{
		Saved: 1, Files: []memorized{{Path: "/a.log", Real: "/a.log", At: 2, Size: 3, Before: []byte("1\n"), Head: printOf([]byte("1\n"))}},
		Heads: []print{printOf([]byte("x"))}, Ignored: []memorizedID{{1, 2, print{}}},
	})
	if err != nil {
		f.Fatal(err)
	}
	f.Add(good)
	f.Add([]byte{})
	f.Add([]byte{0xa1, 0x65, 'F', 'i', 'l', 'e', 's', 0x81, 0xa0})
	dir := f.TempDir()
	path := filepath.Join(dir, "a.log")
	if err := os.WriteFile(path, []byte("1\n2\n"), 0o600); err != nil {
		f.Fatal(err)
	}
	f.Fuzz(func(t *testing.T, body []byte) {
		m := new(memory)
		if statefile.Decode(statefile.Encode(stateKind, body), stateKind, m) != nil {
			return
		}
		for i := range m.Files { // nothing outside of the test's folder is to be looked at
			m.Files[i].Path, m.Files[i].Real = path, path
		}
		ss, err := receiver.NewSources([]receiver.SourceConfig{{Name: "web", Tail: "web", Jails: []string{"*"}}}, nil)
		if err != nil {
			t.Fatal(err)
		}
		c := new(counter)
		tl, err := New(Options{
			Config:   Config{Name: "web", Paths: []string{path}, From: "start"},
			Registry: receiver.NewRegistry(ss), Open: func(bool) receiver.Sink { return c }, Log: slog.New(slog.DiscardHandler),
		})
		if err != nil {
			t.Fatal(err)
		}
		tl.buf, tl.notify, tl.sink = make([]byte, bufferSize), newNotifier(false), c
		defer tl.shut()
		tl.resume(m)
		tl.scan()
		tl.read(t.Context())
		if c.n.Load() > 4 {
			t.Errorf("%d lines of a file of two", c.n.Load())
		}
	})
}

// FuzzLines: any cutting of the bytes gives the same lines.
func FuzzLines(f *testing.F) {
	f.Add("one\ntwo\r\n\nthree", uint16(3))
	f.Add("\x00\x00a\n\x00b\n", uint16(1))
	f.Add(strings.Repeat("x", MaxLine+5)+"\nnext\n", uint16(999))
	ss, err := receiver.NewSources([]receiver.SourceConfig{{Name: "web", Tail: "web", Jails: []string{"*"}}}, nil)
	if err != nil {
		f.Fatal(err)
	}
	f.Fuzz(func(t *testing.T, text string, at uint16) {
		lines := func(cut int) string {
			rec := new(record.Recorder)
			tl, err := New(Options{Config: Config{Name: "web"}, Registry: receiver.NewRegistry(ss), Log: slog.New(slog.DiscardHandler)})
			if err != nil {
				t.Fatal(err)
			}
			tl.sink, tl.now = rec, time.Unix(0, 0)
			tl.refresh()
			x := &file{fd: -1}
			used := tl.lines(x, []byte(text[:cut]))
			tl.lines(x, []byte(text[used:]))
			for _, l := range rec.All() {
				if len(l.Raw) > MaxLine || strings.Contains(l.Raw, "\n") {
					t.Fatalf("a line of %d bytes", len(l.Raw))
				}
			}
			return strings.Join(rec.Texts(), "\n")
		}
		cut := min(int(at), len(text))
		if a, b := lines(len(text)), lines(cut); a != b {
			t.Fatalf("whole %q, cut at %d %q", a, cut, b)
		}
	})
}
