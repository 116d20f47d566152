package journald

import (
	"bytes"
	"fmt"
	"os/exec"
	"strings"
	"testing"
	"time"

	"stockade/receiver"
	"stockade/receiver/receivertest"
	"stockade/receiver/receivertest/record"
)

// delays returns the median and the largest delay between the writing and the reading of lines.
func delays(lines []record.Line, wrote []time.Time) (median, most time.Duration) {
	var all []time.Duration
	for i := range min(len(lines), len(wrote)) {
		all = append(all, lines[i].Received.Sub(wrote[i]))
	}
	for i := range all {
		for j := range i {
			if all[i] < all[j] {
				all[i], all[j] = all[j], all[i]
			}
		}
	}
	if len(all) == 0 {
		return 0, 0
	}
	return all[len(all)/2], all[len(all)-1]
}

// TestForwardingSocket: an ordinary unixgram listener on the forwarding socket of a real journald
// gets each line at once, with the writer's own uid.
func TestForwardingSocket(t *testing.T) {
	receivertest.Inside(t, func(t *testing.T) {
		j := receivertest.StartJournal(t, "ForwardToSyslog=yes\nRateLimitIntervalSec=0")
		if w := Feed(); w.Socket != SocketPath {
			t.Fatalf("feed: %+v", w)
		}
		rec := new(record.Recorder)
		l, err := receiver.Listen(receiver.Options{
			Config:   receiver.ListenerConfig{Name: "journal", Transport: "unixgram", Path: SocketPath},
			Registry: record.Registry(t, receiver.SourceConfig{Name: "host", Listener: "journal"}),
			Open:     rec.Open, Log: new(receivertest.Log).Logger(),
		})
		if err != nil {
			t.Fatal(err)
		}
		run(t, l)
		if w := Feed(); w.Socket != "" || w.Journalctl == "" {
			t.Fatalf("a socket in use is free: %+v", w)
		}
		var wrote []time.Time
		for i := range 5 {
			if !receivertest.Eventually(60*time.Second, func() bool { return len(rec.Of("sshd")) >= i }) {
				t.Fatalf("line %d has not come", i-1)
			}
			wrote = append(wrote, time.Now())
			j.Logger(0, "-p", "auth.info", "-t", "sshd", "-i", fmt.Sprintf("Failed password for root from 192.0.2.7 port 4242%d ssh2", i))
		}
		j.Logger(65534, "-p", "auth.info", "-t", "sshd", "Failed password for root from 192.0.2.8 port 42420 ssh2")
		if !receivertest.Eventually(60*time.Second, func() bool { return len(rec.Of("sshd")) == 6 }) {
			t.Fatalf("%d lines: %+v refused %+v", len(rec.Of("sshd")), rec.All()[0], l.Stats())
		}
		lines := rec.Of("sshd")
		for _, x := range lines[:5] {
			if !x.Origin.Known || x.Origin.UID != 0 || x.Peer.Level != receiver.LevelKernel || !strings.HasPrefix(x.Text, "Failed password") {
				t.Errorf("%+v", x)
			}
		}
		if x := lines[5]; !x.Origin.Known || x.Origin.UID != 65534 {
			t.Errorf("a line of an unprivileged user: %+v", x.Origin)
		}
		median, most := delays(lines, wrote)
		t.Logf("forwarding socket: median %s, at most %s behind the start of logger", median.Round(time.Microsecond), most.Round(time.Microsecond))
	})
}

// TestJournalctl: the same by journalctl, and the position survives a restart.
func TestJournalctl(t *testing.T) {
	receivertest.Inside(t, func(t *testing.T) {
		j := receivertest.StartJournal(t, "ForwardToSyslog=no\nRateLimitIntervalSec=0")
		if w := Feed(); w.Socket != "" || w.Journalctl == "" {
			t.Fatalf("feed: %+v", w)
		}
		rec, log, state := new(record.Recorder), new(receivertest.Log), t.TempDir()
		reg := record.Registry(t, hostSource)
		start := func() (*Input, func()) {
			in, err := New(Options{Config: Config{Name: "local"}, Registry: reg, Open: rec.Open, StateDir: state, Log: log.Logger()})
			if err != nil {
				t.Fatal(err)
			}
			return in, run(t, in)
		}
		j.Logger(0, "-t", "sshd", "before we came")
		if !receivertest.Eventually(60*time.Second, func() bool {
			out, _ := exec.Command("journalctl", "--quiet", "--identifier=sshd").Output() // nothing yet is an error
			return len(out) > 0
		}) {
			t.Fatal("the first line is not in the journal")
		}
		_, stop := start()
		var wrote []time.Time
		for i := range 5 {
			if !receivertest.Eventually(60*time.Second, func() bool { return len(rec.Of("sshd")) >= i }) {
				t.Fatalf("line %d has not come", i-1)
			}
			wrote = append(wrote, time.Now())
			j.Logger(0, "-p", "auth.info", "-t", "sshd", "-i", fmt.Sprintf("Failed password for root from 192.0.2.7 port 4242%d ssh2", i))
		}
		j.Logger(65534, "-p", "auth.info", "-t", "sshd", "Failed password for root from 192.0.2.8 port 42420 ssh2")
		if !receivertest.Eventually(60*time.Second, func() bool { return len(rec.Of("sshd")) >= 6 }) {
			t.Fatalf("lines: %+v\n%s", rec.All(), log)
		}
		lines := rec.Of("sshd")
		for _, x := range lines[:5] {
			if !x.Origin.Known || x.Origin.UID != 0 || x.Peer.Level != receiver.LevelKernel || x.Facility != 4 || x.Severity != 6 ||
				!strings.HasPrefix(x.Text, "Failed password") || x.ProcID == "" || x.Host == "" || x.Stamp.IsZero() {
				t.Errorf("%+v", x)
			}
		}
		if x := lines[5]; !x.Origin.Known || x.Origin.UID != 65534 || x.Peer.UID != 65534 {
			t.Errorf("a line of an unprivileged user: %+v", x)
		}
		median, most := delays(lines, wrote)
		t.Logf("journalctl: median %s, at most %s behind the start of logger", median.Round(time.Microsecond), most.Round(time.Microsecond))

		stop()
		for i := range 20 {
			j.Logger(0, "-t", "later", fmt.Sprint(i))
		}
		in, _ := start()
		j.Logger(0, "-t", "later", "20")
		if !receivertest.Eventually(60*time.Second, func() bool { return len(rec.Of("later")) >= 21 }) {
			t.Fatalf("lines: %+v\n%s", rec.All(), log)
		}
		for i, x := range rec.Of("later") {
			if x.Text != fmt.Sprint(i) {
				t.Fatalf("record %d is %q", i, x.Text)
			}
		}
		if n := len(rec.Of("sshd")); n != 6 {
			t.Errorf("%d old lines", n)
		}
		if s := in.Stats(); s.Lost != 0 || !s.Running {
			t.Errorf("stats: %+v", s)
		}
	})
}

// TestMatches: journalctl chooses.
func TestMatches(t *testing.T) {
	receivertest.Inside(t, func(t *testing.T) {
		j := receivertest.StartJournal(t, "RateLimitIntervalSec=0")
		rec := new(record.Recorder)
		in, err := New(Options{
			Config:   Config{Name: "local", Matches: []string{"SYSLOG_IDENTIFIER=sshd", "+", "SYSLOG_IDENTIFIER=su"}},
			Registry: record.Registry(t, hostSource),
			Open:     rec.Open, Log: new(receivertest.Log).Logger(),
		})
		if err != nil {
			t.Fatal(err)
		}
		run(t, in)
		for _, tag := range []string{"sshd", "other", "su"} {
			j.Logger(0, "-t", tag, "hello")
		}
		if !receivertest.Eventually(60*time.Second, func() bool { return len(rec.All()) == 2 }) {
			t.Fatalf("%+v %+v", rec.All(), in.Stats())
		}
	})
}

// TestRecordsThatJournaldCuts: the rest of a line longer than 48 KiB is marked.
func TestRecordsThatJournaldCuts(t *testing.T) {
	receivertest.Inside(t, func(t *testing.T) {
		receivertest.NeedProgram(t, "systemd-cat", "systemd")
		receivertest.StartJournal(t, "RateLimitIntervalSec=0")
		rec := new(record.Recorder)
		in, err := New(Options{
			Config: Config{Name: "local"}, Registry: record.Registry(t, hostSource),
			Open: rec.Open, Log: new(receivertest.Log).Logger(),
		})
		if err != nil {
			t.Fatal(err)
		}
		run(t, in)
		const attack = "Failed password for root from 192.0.2.66 port 1 ssh2"
		cmd := exec.Command("systemd-cat", "-t", "web", "cat")
		cmd.Stdin = strings.NewReader(strings.Repeat("A", 48<<10) + attack + "\nan honest line\n")
		if out, err := cmd.CombinedOutput(); err != nil {
			t.Fatalf("%v %s", err, out)
		}
		if !receivertest.Eventually(60*time.Second, func() bool { return len(rec.Of("web")) == 3 }) {
			t.Fatalf("%d lines", len(rec.Of("web")))
		}
		lines := rec.Of("web")
		if len(lines[0].Text) != 48<<10 || lines[0].Continued {
			t.Errorf("first: %d bytes, continued %v", len(lines[0].Text), lines[0].Continued)
		}
		if lines[1].Text != attack || !lines[1].Continued {
			t.Errorf("the rest is not marked: %+v", lines[1])
		}
		if lines[2].Text != "an honest line" || lines[2].Continued {
			t.Errorf("the next line: %+v", lines[2])
		}
	})
}

// TestSuppressedMessages: what journald says it dropped is counted as the source's loss, and what
// only claims to be journald is not. The journal is made by systemd-journal-remote; journald
// limits the rate of units alone, which need a whole systemd.
func TestSuppressedMessages(t *testing.T) {
	soon := time.Now().Add(time.Hour) // the input reads what is later than its start
	file := makeJournal(t, func(b *bytes.Buffer) {
		for i, transport := range []string{"driver", "syslog"} {
			entry(b, soon, i+1, "systemd-journald", "Suppressed 1234 messages from web.service", "_TRANSPORT="+transport, "MESSAGE_ID="+suppressedID)
		}
		entry(b, soon, 3, "end", "end", "_TRANSPORT=syslog")
	})
	rec, log := new(record.Recorder), new(receivertest.Log)
	reg := record.Registry(t, hostSource)
	in, err := New(Options{Config: Config{Name: "local"}, Registry: reg, Open: rec.Open, Log: log.Logger(), Args: []string{"--file=" + file}})
	if err != nil {
		t.Fatal(err)
	}
	run(t, in)
	if !receivertest.Eventually(60*time.Second, func() bool { return len(rec.Of("end")) == 1 }) {
		t.Fatalf("%+v %s", rec.All(), log)
	}
	if lost := in.Stats().Lost; lost != 1234 {
		t.Fatalf("%d lost", lost)
	}
	for _, x := range reg.Load().All()[0].Refused.All() {
		if x.Reason != ReasonSuppressed || x.Count != 1234 {
			t.Errorf("the source counts %+v", x)
		}
	}
}
