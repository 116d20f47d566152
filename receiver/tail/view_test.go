package tail

import (
	"encoding/binary"
	"errors"
	"os"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"stockade/receiver"
)

// TestWhatIsShownIsWhatIsBelieved: the worth in Stats is that of the least trusted file, and the level
// of its lines.
func TestWhatIsShownIsWhatIsBelieved(t *testing.T) {
	r := newRig(t, "start", "*.log")
	r.tune = func(tl *Tail) { tl.poll = 20 * time.Millisecond }
	r.start()
	if w := r.tail.Stats().Worth; w != unjudged {
		t.Errorf("without a file: %+v", w)
	}
	r.add("a.log", "mine\n")
	r.want("mine")
	mine, err := Judge(r.path("a.log"))
	if err != nil {
		t.Fatal(err)
	}
	r.wait("the worth of the file", func() bool { return r.tail.Stats().Worth == mine })
	if err := os.WriteFile(r.path("b.log"), []byte("anybody's\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(r.path("b.log"), 0o666); err != nil { //nolint:gosec // on purpose
		t.Fatal(err)
	}
	r.wait("two lines", func() bool { return r.rec.Count() == 2 })
	r.stop() // what is open is judged every five seconds: a restart does at once
	r.start()
	r.add("b.log", "anybody's again\n")
	r.wait("three lines", func() bool { return r.rec.Count() == 3 })
	w := r.tail.Stats().Worth
	if w.Level != receiver.LevelSpoofable || w.UID != -1 || !strings.Contains(w.Why, "b.log can be written by everybody") {
		t.Errorf("worth: %+v", w)
	}
	if p := r.rec.All()[2].Peer; p.Level != w.Level || p.UID != w.UID {
		t.Errorf("believed: %+v, shown: %+v", p, w)
	}
	surveyed, files := Survey(r.cfg)
	if surveyed != w || files != 2 {
		t.Errorf("survey: %d files, %+v", files, surveyed)
	}
}

func TestATailWithoutAFileSaysWhy(t *testing.T) {
	r := newRig(t, "", "in/*.log")
	r.tune = func(tl *Tail) { tl.poll = 20 * time.Millisecond }
	idle := func(why string) {
		t.Helper()
		r.wait("a reason", func() bool { s := r.tail.Stats(); return !s.Idle.IsZero() && strings.Contains(s.Why, why) })
	}
	r.start()
	idle("there is no folder")
	if err := os.Mkdir(r.path("in"), 0o700); err != nil {
		t.Fatal(err)
	}
	idle("nothing that can be read matches")
	r.add("in/a.log", "line\n")
	r.want("line")
	r.wait("work", func() bool { return r.tail.Stats().Idle.IsZero() })
	if err := os.RemoveAll(r.path("in")); err != nil {
		t.Fatal(err)
	}
	idle("there is no folder")
}

// TestAnAccessControlListIsSeen: the group bits of a file with a list are those of all in it.
func TestAnAccessControlListIsSeen(t *testing.T) {
	r := newRig(t, "")
	r.add("a.log", "")
	if err := os.Chmod(r.path("a.log"), 0o600); err != nil {
		t.Fatal(err)
	}
	list := binary.LittleEndian.AppendUint32(nil, 2) // the version
	const none = ^uint32(0)
	for _, e := range []struct {
		tag, perm uint16
		id        uint32
	}{{0x01, 6, none}, {0x02, 6, 33}, {0x04, 4, none}, {0x10, 6, none}, {0x20, 0, none}} {
		list = binary.LittleEndian.AppendUint16(list, e.tag)
		list = binary.LittleEndian.AppendUint16(list, e.perm)
		list = binary.LittleEndian.AppendUint32(list, e.id)
	}
	err := unix.Setxattr(r.path("a.log"), "system.posix_acl_access", list, 0)
	if errors.Is(err, unix.ENOTSUP) {
		t.Skip("the file system has no access control lists")
	}
	if err != nil {
		t.Fatal(err)
	}
	w, err := Judge(r.path("a.log"))
	if err != nil || w.Level > receiver.LevelAddress || w.UID != -1 {
		t.Errorf("worth: %+v, %v", w, err)
	}
}
