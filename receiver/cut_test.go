package receiver

import (
	"bytes"
	"testing"
	"time"
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
		if got := c.continued(step.peer, step.text, now); got != step.want {
			t.Errorf("step %d: continued = %t, want %t", i, got, step.want)
		}
	}
	if got := testing.AllocsPerRun(100, func() { c.continued(web, short, now) }); got != 0 {
		t.Errorf("%v allocations a message", got)
	}
}
