package kernel

import (
	"bytes"
	"net"
	"net/netip"
	"os/exec"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"stockade/cmd/stockade/e2e/rig"
)

// watchdog is the WatchdogSec of the unit.
const watchdog = 6 * time.Second

// heartbeat listens for what a daemon tells systemd. silence is the longest time between two signs of
// life, the one that lasts included; 0 before the first.
func heartbeat(t *testing.T, path string) (silence func() time.Duration) {
	t.Helper()
	conn, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: path, Net: "unixgram"})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close() })
	var last, longest atomic.Int64 // nanoseconds
	go func() {
		b := make([]byte, 4096)
		for {
			n, err := conn.Read(b)
			if err != nil {
				return
			}
			if !bytes.Contains(b[:n], []byte("WATCHDOG=1")) {
				continue
			}
			now := time.Now().UnixNano()
			if before := last.Swap(now); before != 0 {
				longest.Store(max(longest.Load(), now-before))
			}
		}
	}()
	return func() time.Duration {
		if last.Load() == 0 {
			return 0
		}
		return time.Duration(max(longest.Load(), time.Now().UnixNano()-last.Load()))
	}
}

// TestFlushOfManyBans: somebody flushes a table with many bans. While they are set again the daemon
// gives signs of life, as systemd's watchdog wants them, and bans who comes anew.
func TestFlushOfManyBans(t *testing.T) {
	bans := rig.Size(2_000, 10_000, 1_000_000)
	d := newDaemon(t, strings.ReplaceAll(strings.ReplaceAll(flushConfig, "OWNER", "off"), "bantime: 1h", "bantime: 1h, increment: {enabled: false}"))
	fillState(t, filepath.Join(d.Dir, "state"), bans)
	notify := filepath.Join(d.Dir, "notify")
	silence := heartbeat(t, notify)
	d.Start(func(cmd *exec.Cmd) { cmd.Env = append(cmd.Environ(), "NOTIFY_SOCKET="+notify) })
	rig.Eventually(t, 30*time.Second, "a sign of life", func() bool { return silence() > 0 })

	start := time.Now()
	if err := d.nft("flush", "ruleset"); err != nil {
		t.Fatal(err)
	}
	fresh := netip.MustParseAddr("198.51.100.77")
	if _, err := d.dial().Write(appendFailure(nil, start.Format(time.Stamp), fresh)); err != nil {
		t.Fatal(err)
	}
	held := func(a netip.Addr) func() bool {
		return func() bool { return d.nft("get element inet stockade ban4 { "+a.String()+" }") == nil }
	}
	rig.Eventually(t, 2*time.Minute, "who comes anew is banned", held(fresh))
	anew := time.Since(start)
	rig.Eventually(t, 5*time.Minute, "the last ban is back", held(numbered(bans-1))) // they go in order
	all := time.Since(start)
	var some []string // at once: with many bans nft takes seconds for each question
	for i := 0; i < bans; i += bans / 50 {
		some = append(some, numbered(i).String())
	}
	rig.Eventually(t, 5*time.Minute, "the others are back", func() bool {
		return d.nft("get element inet stockade ban4 { "+strings.Join(some, ", ")+" }") == nil
	})
	longest := silence()
	t.Logf("%d bans flushed: all are back after %s, a new one was banned after %s; at most %s without a sign of life",
		bans, all.Round(time.Millisecond), anew.Round(time.Millisecond), longest.Round(time.Millisecond))
	if longest > watchdog {
		t.Errorf("no sign of life for %s, the watchdog waits for %s", longest, watchdog)
	}
}
