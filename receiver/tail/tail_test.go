package tail

import (
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"

	"stockade/receiver"
)

func TestLinesAreFollowed(t *testing.T) {
	r := newRig(t, "", "*.log")
	r.add("a.log", "old\n")
	r.start()
	r.add("a.log", "one\ntwo\r\n\nthr")
	r.want("one", "two")
	r.add("a.log", "ee\n")
	r.want("one", "two", "three")
	l := r.rec.All()[0]
	if l.App != "nginx" || l.Raw != "one" {
		t.Fatalf("%+v", l)
	}
}

func TestFromStart(t *testing.T) {
	r := newRig(t, "start", "*.log")
	r.add("a.log", "old\n")
	r.start()
	r.want("old")
}

func TestAFileThatAppearsIsReadFromItsStart(t *testing.T) {
	r := newRig(t, "", "**/*.log")
	r.start()
	began := time.Now()
	r.add("late.log", "late\n")
	r.want("late")
	if err := os.MkdirAll(r.path("x/y"), 0o700); err != nil {
		t.Fatal(err)
	}
	r.add("x/y/deep.log", "deep\n")
	r.want("late", "deep")
	if d := time.Since(began); d > 30*time.Second {
		t.Fatalf("found after %s", d)
	}
	r.add("late.log.gz", "never\n")
	r.add("x/y/deep.log", "more\n")
	r.want("late", "deep", "more")
}

func TestPollingFindsWhatInotifyDoesNotTell(t *testing.T) {
	r := newRig(t, "", "*.log")
	r.add("a.log", "")
	r.start()
	r.stop()
	r.tune = func(tl *Tail) { tl.poll, tl.deaf = 20*time.Millisecond, true }
	r.start()
	r.add("a.log", "one\n")
	r.want("one")
	r.add("b.log", "two\n")
	r.want("one", "two")
}

func TestALineTooLongIsCut(t *testing.T) {
	r := newRig(t, "", "*.log")
	r.start()
	for _, n := range []int{MaxLine - 1, MaxLine, MaxLine + 1, 3 * bufferSize} {
		r.add("a.log", strings.Repeat("x", n)+"\n")
	}
	r.add("a.log", "next\n")
	r.wait("5 lines", func() bool { return len(r.rec.All()) >= 5 })
	for i, want := range []struct {
		n   int
		cut bool
	}{{MaxLine - 1, false}, {MaxLine, false}, {MaxLine, true}, {MaxLine, true}, {4, false}} {
		l := r.rec.All()[i]
		if len(l.Text) != want.n || l.Truncated != want.cut {
			t.Errorf("line %d: %d bytes, truncated %v", i, len(l.Text), l.Truncated)
		}
	}
}

func TestAHoleInFrontIsSkipped(t *testing.T) {
	r := newRig(t, "", "*.log")
	r.start()
	f, err := os.Create(r.path("a.log"))
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if _, err := f.WriteString(strings.Repeat("a line\n", 3)); err != nil {
		t.Fatal(err)
	}
	r.want("a line", "a line", "a line")
	if err := f.Truncate(0); err != nil {
		t.Fatal(err)
	}
	if _, err := f.WriteString("after\n"); err != nil { // at the old offset
		t.Fatal(err)
	}
	r.want("a line", "a line", "a line", "after")
}

func TestHeadersAreDecodedAndDatesCut(t *testing.T) {
	r := newRig(t, "", "*.log")
	at := time.Date(2026, 11, 24, 8, 0, 0, 0, time.UTC)
	r.cut = func(line []byte, now time.Time) ([]byte, time.Time, bool) {
		rest, ok := strings.CutPrefix(string(line), "[DATE] ")
		return []byte(rest), at, ok
	}
	r.start()
	r.add("plain.log", "[DATE] hello\nworld\n")
	r.want("hello", "world")
	r.add("z.log", "Nov 24 08:00:00 host sshd[12]: Failed\n<34>Nov 24 08:00:00 host su: bad\n")
	r.want("hello", "world", "Failed", "bad")
	all := r.rec.All()
	if all[0].Stamp != at || all[0].App != "nginx" || all[0].Raw != "[DATE] hello" || !all[1].Stamp.IsZero() {
		t.Errorf("plain: %+v", all[:2])
	}
	if all[2].App != "sshd" || all[2].Host != "host" || all[2].Stamp.IsZero() || all[3].App != "su" {
		t.Errorf("headers: %+v", all[2:])
	}
	w, err := Judge(r.path("plain.log"))
	if err != nil {
		t.Fatal(err)
	}
	want := receiver.Origin{}
	if w.UID >= 0 {
		want = receiver.Origin{Known: true, UID: uint32(w.UID)} //nolint:gosec // a uid
	}
	if all[0].Origin != want || all[0].Peer.Level != w.Level || all[0].Peer.UID != w.UID {
		t.Errorf("origin of a plain line: %+v", all[0].Origin)
	}
	if all[2].Origin.Known {
		t.Errorf("a log carrier's line has an origin: %+v", all[2].Origin)
	}
}

func TestWithoutASourceNothingIsReadAndNothingLost(t *testing.T) {
	r := newRig(t, "", "*.log")
	r.tune = func(tl *Tail) { tl.poll = 20 * time.Millisecond }
	with := r.reg.Swap(nil2(t))
	r.start()
	r.add("a.log", "one\n")
	time.Sleep(60 * time.Millisecond)
	if n := len(r.rec.All()); n != 0 {
		t.Fatalf("%d lines without a source", n)
	}
	r.reg.Swap(with)
	r.want("one")
	if n := with.All()[0].Lines.Load(); n != 1 {
		t.Fatalf("the source counts %d lines", n)
	}
}

func nil2(t *testing.T) *receiver.Sources {
	t.Helper()
	ss, err := receiver.NewSources(nil, nil)
	if err != nil {
		t.Fatal(err)
	}
	return ss
}

func TestWhatIsRefused(t *testing.T) {
	r := newRig(t, "start", "in/*")
	if err := os.Mkdir(r.path("in"), 0o700); err != nil {
		t.Fatal(err)
	}
	r.add("secret", "root:x\n")
	r.add("in/real", "fine\n")
	if err := os.Symlink("../secret", r.path("in/out")); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink("real", r.path("in/inside")); err != nil {
		t.Fatal(err)
	}
	if out, err := exec.Command("mkfifo", r.path("in/pipe")).CombinedOutput(); err != nil {
		t.Fatalf("%v %s", err, out)
	}
	r.start()
	r.want("fine") // once, though two names lead to it
	r.wait("refusals", func() bool { return len(r.tail.Stats().Refused) == 2 })
	for _, x := range r.tail.Stats().Refused {
		if x.Reason != ReasonSymlink && x.Reason != ReasonFile {
			t.Errorf("refused for %q", x.Reason)
		}
	}
}
