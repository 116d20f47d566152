package migrate

import (
	"testing"
	"time"
)

func TestReadBans(t *testing.T) {
	now := time.Unix(1700000000+600+20, 0)
	bans, err := ReadBans("sqlite/testdata/small.sqlite3", now)
	if err != nil {
		t.Fatal(err)
	}
	if len(bans.All) != 40 || len(bans.Skipped) != 0 {
		t.Fatalf("%d bans, %d skipped", len(bans.All), len(bans.Skipped))
	}
	live, permanent := 0, 0
	for i, b := range bans.All {
		if b.Jail != "sshd" || b.Count != int64(i+1) || b.Start.Unix() != int64(1700000000+i) {
			t.Errorf("ban %d: %+v", i, b)
		}
		if b.End.IsZero() {
			permanent++
		}
		if b.Live(now) {
			live++
		}
	}
	if permanent != 20 || live != 20+10 {
		t.Errorf("%d permanent, %d live; want 20 and 30", permanent, live)
	}
	if _, err := ReadBans("testdata/none", now); err == nil {
		t.Error("a missing database is read")
	}
}
