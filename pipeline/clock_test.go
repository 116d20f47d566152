package pipeline

import (
	"strconv"
	"testing"
	"time"

	"stockade/receiver"
	"stockade/receiver/decode"
)

// sender makes lines as a host with its own clock and zone would.
type sender struct {
	clock   senderClock
	source  receiver.Source
	guessed bool
	off     time.Duration // its clock is behind by this
}

// line is one that was written when and arrived at now; it returns when the line counts, as seconds
// before now.
func (s *sender) line(now time.Time, age time.Duration) time.Duration {
	e := &receiver.Entry{Received: now, Source: &s.source, Peer: receiver.Peer{Level: receiver.LevelAddress}}
	e.Form, e.ZoneGuessed, e.Stamp = decode.RFC3164, s.guessed, now.Add(-age-s.off)
	return s.clock.late(e)
}

var noon = time.Date(2026, 11, 24, 12, 0, 0, 0, time.UTC)

func TestAQueueIsToldFromAClock(t *testing.T) {
	for _, tt := range []struct {
		name    string
		guessed bool
		off     time.Duration
	}{
		{"right clock", false, 0},
		{"no zone, right by chance", true, 0},
		{"no zone, India", true, 5*time.Hour + 30*time.Minute},
		{"no zone, west", true, -8 * time.Hour},
		{"clock a year behind", false, 365 * 24 * time.Hour},
		{"clock ten minutes ahead", false, -10 * time.Minute},
	} {
		t.Run(tt.name, func(t *testing.T) {
			s := sender{guessed: tt.guessed, off: tt.off}
			now := noon
			for range 100 {
				now = now.Add(time.Second)
				if late := s.line(now, 0); late != 0 {
					t.Fatalf("a live line counts %s ago", late)
				}
			}
			now = now.Add(2 * time.Hour) // an outage: then the queue is worked off within a second
			for i := range 1000 {
				now = now.Add(time.Millisecond)
				age := 2*time.Hour - time.Duration(i)*7*time.Second
				late := s.line(now, age)
				if age > 2*time.Minute && (late < age-2*time.Minute || late > age+2*time.Minute) {
					t.Fatalf("line %d is %s old and counts %s ago", i, age, late)
				}
			}
			now = now.Add(time.Second)
			if late := s.line(now, 0); late != 0 {
				t.Errorf("a live line after the queue counts %s ago", late)
			}
		})
	}
}

func TestAQueueAtFirstContact(t *testing.T) {
	s := sender{} // with a zone: two hours are a queue, not a clock
	if late := s.line(noon, 2*time.Hour); late != 2*time.Hour {
		t.Errorf("a queued line counts %s ago, want 2h", late)
	}
	s = sender{off: 20 * 365 * 24 * time.Hour} // no queue is that old
	if late := s.line(noon, 0); late != 0 {
		t.Errorf("a line of a host without a clock counts %s ago", late)
	}
}

func TestAForgedStampDoesNotMakeOthersLate(t *testing.T) {
	s := sender{}
	now := noon
	for i := range 1000 {
		now = now.Add(time.Second)
		s.line(now, -24*time.Hour) // a forged line of tomorrow
		if late := s.line(now, 0); late != 0 {
			t.Fatalf("honest line %d counts %s ago", i, late)
		}
	}
}

func TestAStepOfTheSendersClock(t *testing.T) {
	for _, step := range []time.Duration{time.Hour, -time.Hour} {
		s := sender{}
		now := noon
		s.line(now, 0)
		s.off = step
		var late time.Duration
		for range 120 {
			now = now.Add(time.Second)
			late = s.line(now, 0)
		}
		if late != 0 {
			t.Errorf("two minutes after a step of %s a live line counts %s ago", step, late)
		}
	}
}

func TestFilesCountAtTheirOwnTime(t *testing.T) {
	var c senderClock
	e := &receiver.Entry{Received: noon, Peer: receiver.Peer{Level: receiver.LevelKernel}}
	e.Form, e.Stamp = decode.File, noon.Add(-time.Hour)
	if late := c.late(e); late != time.Hour {
		t.Errorf("an old line of a file counts %s before it was read, want 1h", late)
	}
	e.Form = decode.RFC3164
	if late := c.late(e); late != 0 {
		t.Errorf("a line of a local socket counts %s before it was received, want at once", late)
	}
}

func TestRepeatedLinesAfterABreak(t *testing.T) {
	r := newRig(t, 1)
	e := r.line("login", "failed login from 198.51.100.7")
	e.Stamp, e.Peer.Level = e.Received, receiver.LevelAddress
	first := r.Open(false).(*Feed)
	first.Put(e)
	first.Put(e) // no break yet: the same line twice is two attempts
	first.Flush()
	first.Broken()
	second := r.Open(false).(*Feed)
	second.Put(e)
	second.Flush()
	r.settle(t)
	if got := r.Stats().Repeated.Load(); got != 1 {
		t.Errorf("%d lines were taken as repeated, want 1", got)
	}
	second.Left()
	third := r.Open(false).(*Feed) // after a clean end nothing is repeated
	third.Put(e)
	third.Flush()
	eventually(t, "three attempts ban", func() bool { return len(r.enforced(t)) == 1 })
}

func TestHistoriesOutliveARestart(t *testing.T) {
	dir := t.TempDir()
	var a, b histories
	a.of("web").clock = senderClock{known: true, base: 90 * time.Minute}
	if err := a.save(dir); err != nil {
		t.Fatal(err)
	}
	if err := b.load(dir); err != nil {
		t.Fatal(err)
	}
	if c := b.of("web").clock; !c.known || c.base != 90*time.Minute {
		t.Errorf("clock = %+v", c)
	}
	if err := b.load(t.TempDir()); err != nil {
		t.Errorf("a folder without a file: %v", err)
	}
}

// repeats is what a history says of a line.
func repeats(h *history, e *receiver.Entry, c *connection) bool {
	_, repeated := h.late(e, c)
	return repeated
}

func TestWhichLinesAreRepetitions(t *testing.T) {
	fine := noon.Add(123456 * time.Microsecond)
	for _, tt := range []struct {
		name  string
		stamp time.Time
		level receiver.Level
		end   connectionEnd // of the first connection, which brought the line twice
		speak bool          // the first connection goes on meanwhile
		want  []bool        // of the line sent three times on a second connection
	}{
		{"each line that a broken connection brought is repeated once", noon, receiver.LevelAddress, broken, false, []bool{true, true, false}},
		{"a connection that its sender ended", noon, receiver.LevelAddress, left, false, []bool{false, false, false}},
		{"a connection of which nobody knows yet that it is dead", noon, receiver.LevelTLS, stillOpen, false, []bool{true, true, false}},
		{"two connections at work", noon, receiver.LevelAddress, stillOpen, true, []bool{false, false, false}},
		{"two connections at work, the same microsecond", fine, receiver.LevelAddress, stillOpen, true, []bool{true, true, false}},
		{"a line without a stamp", time.Time{}, receiver.LevelAddress, broken, false, []bool{false, false, false}},
		{"a local socket", noon, receiver.LevelKernel, broken, false, []bool{false, false, false}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			var h history
			e := &receiver.Entry{Peer: receiver.Peer{Level: tt.level}}
			e.Stamp, e.Raw = tt.stamp, []byte("login failure for user root from 192.0.2.7 via ssh")
			first := h.connect(&e.Peer)
			for range 2 {
				if repeats(&h, e, first) {
					t.Fatal("a connection does not repeat itself")
				}
			}
			h.ended(first, tt.end)
			second := h.connect(&e.Peer)
			if tt.speak {
				other := *e
				other.Raw, other.Stamp = []byte("another"), noon
				repeats(&h, &other, second)
				repeats(&h, &other, first)
			}
			for i, want := range tt.want {
				if got := repeats(&h, e, second); got != want {
					t.Errorf("time %d: repeated = %v, want %v", i+1, got, want)
				}
			}
			h.ended(second, broken)
			third := h.connect(&e.Peer)
			if got, want := repeats(&h, e, third), tt.stamp != (time.Time{}) && tt.level != receiver.LevelKernel; got != want {
				t.Errorf("on a third connection: repeated = %v, want %v", got, want)
			}
		})
	}
}

func TestHistoryForgetsTheOldest(t *testing.T) {
	var h history
	e := &receiver.Entry{Peer: receiver.Peer{Level: receiver.LevelTLS}}
	line := func(i int) *receiver.Entry {
		e.Stamp, e.Raw = noon, []byte("line "+strconv.Itoa(i))
		return e
	}
	c := h.connect(&e.Peer)
	for i := range 3 * remembered {
		repeats(&h, line(i), c)
	}
	if len(h.sent.ring) != remembered {
		t.Errorf("%d lines are known, want %d", len(h.sent.ring), remembered)
	}
	h.ended(c, broken)
	c = h.connect(&e.Peer)
	if repeats(&h, line(0), c) {
		t.Error("the oldest line is still known")
	}
	if !repeats(&h, line(3*remembered-1), c) {
		t.Error("the newest line is not known")
	}
}

func TestFarClockIsUnsaved(t *testing.T) {
	dir := t.TempDir()
	var hs histories
	h := hs.of("web")
	step := func(base time.Duration, want bool) {
		t.Helper()
		h.clock = senderClock{known: true, base: base}
		if got := hs.unsaved(); got != want {
			t.Errorf("base %s: unsaved = %v, want %v", base, got, want)
		}
		if err := hs.save(dir); err != nil {
			t.Fatal(err)
		}
		if hs.unsaved() {
			t.Error("unsaved right after save")
		}
	}
	if hs.unsaved() {
		t.Error("an unknown clock has nothing to save")
	}
	step(0, true)
	step(time.Second, false)
	step(5*time.Hour+30*time.Minute, true)
}

func TestConnectionThatBeginsAnew(t *testing.T) {
	var h history
	e := &receiver.Entry{Peer: receiver.Peer{Level: receiver.LevelAddress}}
	e.Stamp = noon
	counts := func(c *connection, lines string) (counted string) {
		for i := range lines {
			e.Raw = []byte(lines[i : i+1])
			if !repeats(&h, e, c) {
				counted += lines[i : i+1]
			}
		}
		return counted
	}
	first := h.connect(&e.Peer)
	if got := counts(first, "abcabcxx"); got != "abcabcxx" {
		t.Errorf("a connection after none that broke: %q counted", got)
	}
	h.ended(first, broken)
	second := h.connect(&e.Peer)
	if got := counts(second, "ddefgddefghijjh"); got != "ddefghijjh" {
		t.Errorf("after a break: %q counted", got)
	}
}

// TestStructuredDataMakesNoOtherLine: a sender numbers what it sends anew, and the line is the same.
func TestStructuredDataMakesNoOtherLine(t *testing.T) {
	var h history
	d := decode.New(time.UTC)
	e := &receiver.Entry{Peer: receiver.Peer{Level: receiver.LevelAddress}, Received: noon}
	send := func(c *connection, raw string) bool {
		e.Raw = []byte(raw)
		d.Decode(e.Raw, noon, &e.Message)
		return repeats(&h, e, c)
	}
	first := h.connect(&e.Peer)
	send(first, `<38>1 2026-11-24T12:00:00Z web1 sshd 7 - [meta sequenceId="41"] a failure`)
	h.ended(first, broken)
	second := h.connect(&e.Peer)
	if !send(second, `<38>1 2026-11-24T12:00:00Z web1 sshd 7 - [meta sequenceId="1"] a failure`) {
		t.Error("the same line with another number counts twice")
	}
	if send(second, `<38>1 2026-11-24T12:00:00Z web1 sshd 7 - [meta sequenceId="41"] another`) {
		t.Error("another line does not count")
	}
}
