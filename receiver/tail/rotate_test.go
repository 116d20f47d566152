package tail

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"stockade/receiver/receivertest"
)

func TestRenameIsDrained(t *testing.T) {
	r := newRig(t, "", "a.log").start()
	r.add("a.log", "1\n")
	r.want("1")
	f, err := os.OpenFile(r.path("a.log"), os.O_APPEND|os.O_WRONLY, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	r.rename("a.log", "a.log.1")
	fmt.Fprintln(f, "2")
	r.want("1", "2")
	r.add("a.log", "4\n")
	r.want("1", "2", "4")
	fmt.Fprintln(f, "3") // the writer has not reopened yet
	r.want("1", "2", "4", "3")
}

func TestRotationsTooFastToSee(t *testing.T) {
	r := newRig(t, "", "a.log")
	r.add("a.log", "0\n")
	r.start()
	r.add("a.log", "1\n")
	r.want("1")
	r.stop()
	r.add("a.log", "2\n")
	r.rename("a.log", "a.log.1")
	r.add("a.log", "3\n")
	r.rename("a.log.1", "a.log.2")
	r.rename("a.log", "a.log.1")
	r.add("a.log", "4\n")
	r.start()
	r.want("1", "2", "3", "4")
}

func TestCopyTruncateWhileNobodyLooks(t *testing.T) {
	r := newRig(t, "", "a.log")
	r.start()
	r.add("a.log", "1\n")
	r.want("1")
	r.stop()
	r.add("a.log", "2\nbro")
	r.copyTruncate("a.log", "a.log.1")
	r.add("a.log", "ken\n3\nlonger than before it was truncated\n")
	r.start()
	r.want("1", "2", "broken", "3", "longer than before it was truncated")
	r.stop()
	r.add("a.log", "4\n")
	r.rename("a.log.1", "a.log.2")
	r.copyTruncate("a.log", "a.log.1")
	r.add("a.log", "5\n")
	r.rename("a.log.2", "a.log.3")
	r.rename("a.log.1", "a.log.2")
	r.copyTruncate("a.log", "a.log.1")
	r.add("a.log", "6\n")
	r.start()
	r.want("1", "2", "broken", "3", "longer than before it was truncated", "4", "5", "6")
}

func TestRotationsThatThePathsNameToo(t *testing.T) {
	for _, from := range []string{"start", "end"} {
		t.Run(from, func(t *testing.T) {
			r := newRig(t, from, "a.log*").start()
			var want []string
			for i := range 6 {
				line := fmt.Sprintf("line %d", i)
				r.add("a.log", line+"\n")
				want = append(want, line)
				r.want(want...)
				for n := i; n > 0; n-- {
					if _, err := os.Stat(r.path(fmt.Sprintf("a.log.%d", n))); err == nil {
						r.rename(fmt.Sprintf("a.log.%d", n), fmt.Sprintf("a.log.%d", n+1))
					}
				}
				if i%2 == 0 {
					r.copyTruncate("a.log", "a.log.1")
				} else {
					r.rename("a.log", "a.log.1")
				}
				if i == 3 {
					r.stop()
					r.start()
				}
			}
			r.add("a.log", "end\n")
			r.want(append(want, "end")...)
		})
	}
}

func TestAUsedInodeIsAnotherFile(t *testing.T) {
	r := newRig(t, "", "a.log")
	r.start()
	r.add("a.log", "first life\n")
	r.want("first life")
	r.stop()
	// Written over in place, a file keeps its inode as one that got a used number has it.
	if err := os.WriteFile(r.path("a.log"), []byte("second life\nand longer\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	r.start()
	r.want("first life", "second life", "and longer")
}

func TestAPartialLineSurvivesARestart(t *testing.T) {
	r := newRig(t, "", "a.log").start()
	r.add("a.log", "whole\nha")
	r.want("whole")
	r.stop()
	r.start()
	r.add("a.log", "lf\n")
	r.want("whole", "half")
}

func TestALostBeginningMarksTheRest(t *testing.T) {
	r := newRig(t, "", "a.log").start()
	r.add("a.log", "whole\nhalf of an attacker's li")
	r.want("whole")
	r.wait("a look", func() bool { return true })
	r.stop()
	if err := os.Truncate(r.path("a.log"), 0); err != nil {
		t.Fatal(err)
	}
	r.start()
	r.add("a.log", "ne\nnext\n")
	r.want("whole", "ne", "next")
	all := r.rec.All()
	if !all[1].Continued || all[2].Continued {
		t.Fatalf("continued: %v %v", all[1].Continued, all[2].Continued)
	}
	if n := len(r.tail.Stats().Refused); n != 1 {
		t.Fatalf("%d reasons of loss", n)
	}
}

func TestADamagedStateBeginsAgain(t *testing.T) {
	r := newRig(t, "", "a.log").start()
	r.add("a.log", "1\n")
	r.want("1")
	r.stop()
	path := filepath.Join(r.state, "tail-web.state")
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	b[len(b)/2] ^= 1
	if err := os.WriteFile(path, b, 0o600); err != nil {
		t.Fatal(err)
	}
	r.add("a.log", "2\n")
	r.start()
	r.add("a.log", "3\n")
	r.want("1", "3")
}

// TestACopyBeforeItsOriginalIsRead: a copy that is made while the original has an unfinished line alone,
// and grows with it, adds nothing.
func TestACopyBeforeItsOriginalIsRead(t *testing.T) {
	r := newRig(t, "", "a.log").start()
	var want []string
	for i := range 20 {
		line := fmt.Sprintf("line %d", i)
		r.add("a.log", line[:2])
		r.wait("the first bytes", func() bool { return r.tail.Stats().Files == 1 })
		r.add("a.log", line[2:]+"\n"+line+" again\n")
		r.copyTruncate("a.log", fmt.Sprintf("a.log.%d", 20-i))
		want = append(want, line, line+" again")
	}
	r.wait("all lines", func() bool { return r.rec.Count() >= len(want) })
	r.add("a.log", "end\n")
	r.wait("the end", func() bool { return slices.Contains(r.rec.Texts(), "end") })
	have := r.rec.Texts()
	slices.Sort(have) // of a file and its copy, either may come first
	want = append(want, "end")
	slices.Sort(want)
	if !slices.Equal(have, want) {
		t.Fatalf("have %q\nlog:\n%s", have, r.log)
	}
}

// TestRotationsBehindARemovedFile: the file that is followed is removed while the tail stops, and its
// number used again; what was rotated and read before does not come again.
func TestRotationsBehindARemovedFile(t *testing.T) {
	r := newRig(t, "start", "a.log").start()
	r.add("a.log", "1\n")
	r.rename("a.log", "a.log.1")
	r.add("a.log", "2\n")
	r.want("1", "2")
	r.stop()
	if err := os.Remove(r.path("a.log")); err != nil {
		t.Fatal(err)
	}
	r.rename("a.log.1", "a.log.2")
	r.add("a.log", "3\n")
	r.rename("a.log", "a.log.1")
	r.add("a.log", "4\n")
	r.start()
	r.want("1", "2", "3", "4")
}

func TestARemovedFileIsClosedAndItsLastLineComes(t *testing.T) {
	r := newRig(t, "", "a.log")
	r.tune = func(tl *Tail) { tl.poll, tl.keep = 10*time.Millisecond, 50*time.Millisecond }
	r.start()
	r.add("a.log", "1\nno end")
	r.want("1")
	if err := os.Remove(r.path("a.log")); err != nil {
		t.Fatal(err)
	}
	r.want("1", "no end")
	r.wait("closing", func() bool { return r.tail.Stats().Files == 0 })
	r.add("a.log", "2\n")
	r.want("1", "no end", "2")
}

// writer writes numbered lines and rotates in every way there is.
type writer struct {
	*rig
	f      *os.File
	lines  int
	link   int
	rng    uint64
	ways   []string
	seen   map[int]int // how often each line came
	looked int         // lines counted in seen
}

func (w *writer) rand(n int) int {
	w.rng = w.rng*6364136223846793005 + 1442695040888963407
	return int(w.rng>>33) % n
}

func (w *writer) open(name string) {
	w.t.Helper()
	if w.f != nil {
		w.f.Close()
	}
	f, err := os.OpenFile(w.path(name), os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o600)
	if err != nil {
		w.t.Fatal(err)
	}
	w.f = f
}

func (w *writer) write(n int) {
	w.t.Helper()
	for range n {
		line := fmt.Sprintf("line %07d of the test that is not all alike %x\n", w.lines, w.rng)
		w.lines++
		cut := w.rand(len(line))
		for _, part := range []string{line[:cut], line[cut:]} {
			if _, err := w.f.WriteString(part); err != nil {
				w.t.Fatal(err)
			}
		}
	}
}

// shift moves name.1 to name.2 and so on: as many as come between two checks.
func (w *writer) shift(name string) {
	for n := 12; n > 0; n-- {
		_ = os.Rename(w.path(fmt.Sprintf("%s.%d", name, n)), w.path(fmt.Sprintf("%s.%d", name, n+1)))
	}
}

// check waits until all lines came, each once.
func (w *writer) check(when string) {
	w.t.Helper()
	receivertest.Eventually(30*time.Second, func() bool { return w.rec.Count() >= w.lines })
	seen := w.seen
	all := w.rec.All()
	for _, l := range all[w.looked:] {
		var n int
		if _, err := fmt.Sscanf(l.Text, "line %07d of", &n); err != nil {
			w.t.Fatalf("%s: not a whole line: %q", when, l.Text)
		}
		seen[n]++
		if l.Continued || l.Truncated {
			w.t.Fatalf("%s: line %d is marked after %v; log:\n%s", when, n, w.ways[max(0, len(w.ways)-12):], w.log)
		}
	}
	w.looked = len(all)
	var lost, doubled []int
	for n := range w.lines {
		switch seen[n] {
		case 0:
			lost = append(lost, n)
		case 1:
		default:
			doubled = append(doubled, n)
		}
	}
	if len(lost)+len(doubled) > 0 || len(seen) != w.lines {
		w.t.Fatalf("%s: lost %v, doubled %v of %d after %v; log:\n%s", when, lost, doubled, w.lines, w.ways[max(0, len(w.ways)-12):], w.log)
	}
}

// TestRotations rotates in random ways, other ones each time: nothing is lost, nothing comes twice.
func TestRotations(t *testing.T) {
	rounds := 200
	if *long {
		rounds = 1000
	} else if testing.Short() {
		rounds = 60
	}
	rotateAtRandom(t, uint64(time.Now().UnixNano()), rounds) //nolint:gosec // a seed
}

// TestRotationsThatWereWrongOnce are runs in which lines came twice.
func TestRotationsThatWereWrongOnce(t *testing.T) {
	for name, seed := range map[string]uint64{
		"a restart behind a removed file whose number was used again": 1795511995896338047,
		"and with a copy beside it":                                   1795512092925253504,
	} {
		t.Run(name, func(t *testing.T) { rotateAtRandom(t, seed, 60) })
	}
}

func rotateAtRandom(t *testing.T, seed uint64, rounds int) {
	t.Helper()
	w := &writer{rig: newRig(t, "start", "app.log", "current.log"), seen: map[int]int{}, rng: seed}
	t.Cleanup(func() {
		if t.Failed() {
			t.Logf("seed %d, %d rounds", seed, rounds)
		}
	})
	if err := os.Symlink("out-0.log", w.path("current.log")); err != nil {
		t.Fatal(err)
	}
	w.start()
	w.open("app.log")
	counts := make(map[string]int)
	for range rounds {
		w.write(1 + w.rand(40))
		way := []string{"rename", "copytruncate", "recreate", "symlink", "restart"}[w.rand(5)]
		counts[way]++
		w.ways = append(w.ways, fmt.Sprintf("%s@%d", way, w.lines))
		switch way {
		case "rename":
			w.shift("app.log")
			w.rename("app.log", "app.log.1")
			w.write(1 + w.rand(5)) // into the old file
			w.open("app.log")
		case "copytruncate":
			w.shift("app.log")
			w.copyTruncate("app.log", "app.log.1")
		case "recreate": // the number of a removed file is likely to be used again
			w.check(way)
			if err := os.Remove(w.path("app.log")); err != nil {
				t.Fatal(err)
			}
			w.open("app.log")
		case "symlink":
			w.link++
			w.open(fmt.Sprintf("out-%d.log", w.link))
			w.write(3)
			if err := os.Symlink(fmt.Sprintf("out-%d.log", w.link), w.path("tmp")); err != nil {
				t.Fatal(err)
			}
			w.rename("tmp", "current.log")
			w.write(3)
			w.check(way)
			w.open("app.log")
		case "restart":
			w.stop()
			w.write(5)
			w.shift("app.log")
			if w.rand(2) == 0 {
				w.copyTruncate("app.log", "app.log.1")
			} else {
				w.rename("app.log", "app.log.1")
				w.open("app.log")
			}
			w.write(5)
			w.start()
		}
		w.write(w.rand(3))
		w.check(way)
	}
	w.write(1)
	w.check("at the end")
	w.f.Close()
	t.Logf("seed %d: %d rotations %v, %d lines: 0 lost, 0 doubled", seed, rounds, counts, w.lines)
}

// TestLogrotate lets the real program rotate.
func TestLogrotate(t *testing.T) {
	bin, err := exec.LookPath("logrotate")
	if err != nil {
		bin = "/usr/sbin/logrotate"
	}
	_, err = os.Stat(bin)
	receivertest.Need(t, err == nil, "logrotate")
	for _, way := range []string{"create", "copytruncate", "copytruncate\n compress", "create\n compress\n delaycompress", "create\n dateext\n dateformat -%Y%m%d%H-%s"} {
		t.Run(way, func(t *testing.T) {
			w := &writer{rig: newRig(t, "start", "app.log"), seen: map[int]int{}, rng: 2}
			w.start()
			w.open("app.log")
			conf := filepath.Join(w.state, "rotate.conf")
			text := fmt.Sprintf("%s {\n rotate 4\n missingok\n notifempty\n %s\n}\n", w.path("app.log"), way)
			if err := os.WriteFile(conf, []byte(text), 0o600); err != nil {
				t.Fatal(err)
			}
			rounds := 10
			if testing.Short() {
				rounds = 3
			}
			if strings.Contains(way, "dateext") {
				rounds = 1 // it gives two rotations of about a second the same name
			}
			for range rounds {
				w.write(30)
				if strings.HasSuffix(way, "\n compress") { // what is compressed at once can only be read before
					w.check("before logrotate")
				}
				out, err := exec.Command(bin, "-f", "-s", filepath.Join(w.state, "status"), conf).CombinedOutput()
				if err != nil {
					t.Fatalf("logrotate: %v\n%s", err, out)
				}
				w.write(2)
				w.open("app.log")
				w.write(2)
				w.check("after logrotate")
			}
			w.f.Close()
		})
	}
}
