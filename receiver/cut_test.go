package receiver

import (
	"bytes"
	"testing"
	"time"

	"stockade/receiver/decode"
)

func TestTheRestOfARecordThatJournaldCut(t *testing.T) {
	full, short := bytes.Repeat([]byte("a"), journaldCut), []byte("Failed password for root from 192.0.2.7 port 22 ssh2")
	web, other := &Peer{Level: LevelKernel, PID: 7}, &Peer{Level: LevelKernel, PID: 8}
	remote := &Peer{Level: LevelAddress, PID: -1}
	now := time.Unix(1, 0)
	var c cuts
	for i, step := range []struct {
		peer *Peer
		text []byte
		wait time.Duration
		want bool
	}{
		{web, short, 0, false},
		{web, full, 0, false},
		{other, short, 0, false}, // another writer's message between
		{web, full, 0, true},     // a rest that was cut again
		{web, short, 0, true},
		{web, short, 0, false}, // the record is over
		{web, full, 0, false},
		{web, short, cutMemory + time.Second, false}, // too late to be the rest
		{remote, full, 0, false},
		{remote, short, 0, false}, // nobody proves that both are of one writer
	} {
		now = now.Add(step.wait)
		if got := c.continued(step.peer, &decode.Message{Text: step.text}, now); got != step.want {
			t.Errorf("step %d: continued = %t, want %t", i, got, step.want)
		}
	}
	m := &decode.Message{Text: short, ProcID: []byte("4711")}
	if got := testing.AllocsPerRun(100, func() { c.continued(web, m, now) }); got != 0 {
		t.Errorf("%v allocations a message", got)
	}
}

// TestARestOfAProcessThatHasEnded: the kernel then names journald as its writer, with the user of the
// process.
func TestARestOfAProcessThatHasEnded(t *testing.T) {
	full := &decode.Message{Text: bytes.Repeat([]byte("a"), journaldCut), ProcID: []byte("7")}
	rest := &decode.Message{Text: []byte("Failed password"), ProcID: []byte("7")}
	web, journald := &Peer{Level: LevelKernel, UID: 33, PID: 7}, &Peer{Level: LevelKernel, UID: 33, PID: 2}
	liar := &Peer{Level: LevelKernel, UID: 1000, PID: 9}
	now := time.Unix(1, 0)
	var c cuts
	for i, step := range []struct {
		peer *Peer
		m    *decode.Message
		want bool
	}{{web, full, false}, {liar, rest, false}, {journald, rest, true}, {journald, rest, false}, {liar, full, false}, {web, rest, false}} {
		if got := c.continued(step.peer, step.m, now); got != step.want {
			t.Errorf("step %d: continued = %t, want %t", i, got, step.want)
		}
	}
}

// TestARestWhoseBeginningWasDropped: behind a full queue any message may be a rest, when records were
// cut lately.
func TestARestWhoseBeginningWasDropped(t *testing.T) {
	full, short := bytes.Repeat([]byte("a"), journaldCut), []byte("Failed password for root from 192.0.2.7 port 22 ssh2")
	web, other := &Peer{Level: LevelKernel, PID: 7}, &Peer{Level: LevelKernel, PID: 8}
	now := time.Unix(1, 0)
	c := cuts{queue: 10}
	send := func(p *Peer, text []byte, want bool) {
		t.Helper()
		c.queued(len(text))
		if got := c.continued(p, &decode.Message{Text: text}, now); got != want {
			t.Errorf("%d datagrams, %d bytes: continued = %t, want %t", c.ahead, c.bytes, got, want)
		}
	}
	for range 20 { // long, but nothing was cut
		send(other, short, false)
	}
	c.drained()
	send(web, full, false)
	send(web, short, true)
	send(other, short, false)
	for range 7 {
		send(other, short, false)
	}
	send(other, short, true) // the eleventh: the queue was full, its beginning may be gone
	c.drained()
	send(other, short, false)
	send(web, full, false)
	send(other, full, false)
	send(&Peer{Level: LevelKernel, PID: 9}, full, true) // the memory of the sender was full
	send(&Peer{Level: LevelKernel, PID: 10}, short, true)
	c.drained()
	now = now.Add(cutAlarm + time.Second)
	for range 20 {
		send(other, short, false)
	}
	stream := cuts{}
	for range 100 {
		stream.queued(len(full))
		if stream.continued(other, &decode.Message{Text: short}, now) || stream.continued(web, &decode.Message{Text: full}, now) {
			t.Fatal("a stream drops nothing")
		}
		delete(stream.open, process{0, 7})
	}
}
