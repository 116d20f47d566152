package replay_test

import (
	"bufio"
	"bytes"
	"context"
	"flag"
	"fmt"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"stockade/cmd/stockade/control"
	"stockade/cmd/stockade/daemon"
	"stockade/cmd/stockade/replay"
	"stockade/receiver/receivertest"
)

var long = flag.Bool("long", false, "run the long forms of tests")

// decided is a ban and what began it.
type decided struct {
	jail    string
	address netip.Prefix
	long    time.Duration
	line    string
}

// TestReplayDoesWhatServeDoes feeds the same lines to a running daemon, over TCP, and to a replay.
// Both must ban the same addresses, at the same line, for the same time.
func TestReplayDoesWhatServeDoes(t *testing.T) {
	n := 200_000
	switch {
	case *long:
		n = 2_000_000
	case testing.Short() || raced:
		n = 20_000
	}
	dir, err := os.MkdirTemp("", "stk") // short: a socket path has at most 107 bytes
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	logFile := filepath.Join(dir, "all.log")
	writeLog(t, logFile, n)

	want := map[decided]bool{}
	sums, err := replay.Run(t.Context(), replay.Options{
		Policy: policyOf(t, policyText), Logs: []string{logFile},
		OnBan: func(_ int, b *replay.Ban) {
			want[decided{b.Jail, b.Address, b.End.Sub(b.Start).Round(time.Second), b.Raw}] = true
		},
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Logf("%d lines, %d bans, %.0f lines a second", sums[0].Lines, sums[0].Bans, float64(sums[0].Lines)/sums[0].Took.Seconds())
	if sums[0].Lines != int64(n) || len(want) < 100 {
		t.Fatalf("%d lines and %d bans: the test needs %d lines and some hundred bans", sums[0].Lines, len(want), n)
	}

	client, port := serve(t, dir)
	feed(t, port, logFile)
	var got map[decided]bool
	eventually(t, 2*time.Minute, "all lines are judged", func() bool {
		sources, err := client.Sources(t.Context())
		if err != nil || sources[0].Lines < int64(n) {
			return false
		}
		bans, err := client.Bans(t.Context(), "")
		return err == nil && len(bans) >= len(want)
	})
	got = bansOf(t, client)
	for d := range want {
		if !got[d] {
			t.Errorf("replay alone bans %v", d)
		}
	}
	for d := range got {
		if !want[d] {
			t.Errorf("serve alone bans %v", d)
		}
	}
}

// TestReplayStartsBansWhenServeDoes sends lines to a running daemon at the times that stand in them.
// Each ban begins where a replay has it begin: at its deciding line, which the daemon cannot have had
// earlier and must have judged soon after.
func TestReplayStartsBansWhenServeDoes(t *testing.T) {
	n, span := 2000, 3*time.Second
	if testing.Short() {
		n, span = 2000, time.Second
	}
	dir, err := os.MkdirTemp("", "stk") // short: a socket path has at most 107 bytes
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	client, port := serve(t, dir)
	conn, err := net.Dial("tcp", fmt.Sprintf("127.0.0.1:%d", port))
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = conn.Close() }()

	var lines bytes.Buffer
	var late time.Duration // the longest that a line was sent after its stamp
	begin, i := time.Now(), 0
	newTraffic().write(n, begin, span, func(line string) {
		at := stampOf(t, line)
		time.Sleep(time.Until(at)) // the time in the line is its own
		if _, err := fmt.Fprintln(conn, line); err != nil {
			t.Fatal(err)
		}
		late = max(late, time.Since(at))
		lines.WriteString(line + "\n")
		i++
	})
	logFile := write(t, "all.log", lines.String())
	type banned struct {
		jail    string
		address netip.Prefix
	}
	want := map[banned]time.Time{}
	if _, err := replay.Run(t.Context(), replay.Options{
		Policy: policyOf(t, policyText), Logs: []string{logFile},
		OnBan: func(_ int, b *replay.Ban) { want[banned{b.Jail, b.Address}] = b.Start },
	}); err != nil {
		t.Fatal(err)
	}
	var got control.List[control.Ban]
	eventually(t, time.Minute, "all bans begin", func() bool {
		got, err = client.Bans(t.Context(), "")
		return err == nil && len(got) >= len(want)
	})
	if len(want) < 10 || len(got) != len(want) {
		t.Fatalf("%d bans of replay, %d of serve, want the same and at least 10", len(want), len(got))
	}
	var most time.Duration
	for _, b := range got {
		start, ok := want[banned{b.Jail, b.Address}]
		if !ok {
			t.Errorf("serve alone bans %s", b.Address)
			continue
		}
		off := b.Start.Sub(start)
		most = max(most, off)
		if off < -time.Millisecond || off > late+10*time.Second {
			t.Errorf("%s: serve begins the ban %s after replay; lines were sent at most %s late", b.Address, off, late)
		}
	}
	t.Logf("%d lines, %d bans; lines sent at most %s late, bans begun at most %s after replay's", i, len(got), late, most)
}

// stampOf is the time in a line of the traffic.
func stampOf(t *testing.T, line string) time.Time {
	t.Helper()
	at, err := time.Parse("2006-01-02T15:04:05.000000Z07:00", line[len("<86>"):len("<86>")+len("2006-01-02T15:04:05.000000Z")])
	if err != nil {
		t.Fatal(err)
	}
	return at
}

func writeLog(t *testing.T, path string, n int) {
	t.Helper()
	f, err := os.Create(path)
	if err != nil {
		t.Fatal(err)
	}
	out := bufio.NewWriter(f)
	newTraffic().write(n, time.Now().Add(-50*time.Second), 50*time.Second, func(line string) {
		_, _ = out.WriteString(line + "\n") // Flush tells the error
	})
	if err := out.Flush(); err != nil {
		t.Fatal(err)
	}
	if err := f.Close(); err != nil {
		t.Fatal(err)
	}
}

// serve runs a daemon that observes.
func serve(t *testing.T, dir string) (*control.Client, int) {
	t.Helper()
	port := receivertest.FreePort(t)
	socket := filepath.Join(dir, "control.sock")
	file := filepath.Join(dir, "stockade.yaml")
	text := fmt.Sprintf(`
state_dir: %s
control: {socket: %s}
log: {level: error}
firewall: {backend: observe}
listeners: [{name: in, transport: tcp, address: "127.0.0.1:%d"}]
sources: [{name: relay, listener: in, addresses: [127.0.0.1], jails: ["*"], quota: none}]
`, filepath.Join(dir, "state"), socket, port) + jailsText
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	var log bytes.Buffer
	go func() { ended <- daemon.Run(ctx, daemon.Options{Config: file, Stderr: &log}) }()
	t.Cleanup(func() {
		cancel()
		if err := <-ended; err != nil {
			t.Errorf("serve: %v\n%s", err, log.String())
		}
	})
	var client *control.Client
	eventually(t, 30*time.Second, "the daemon serves", func() bool {
		select {
		case err := <-ended:
			ended <- err
			t.Fatalf("serve: %v\n%s", err, log.String())
		default:
		}
		var err error
		if client, err = control.Dial(t.Context(), socket); err != nil {
			return false
		}
		conn, err := net.Dial("tcp", fmt.Sprintf("127.0.0.1:%d", port))
		if err != nil {
			return false
		}
		return conn.Close() == nil
	})
	t.Cleanup(client.Close)
	return client, port
}

func feed(t *testing.T, port int, path string) {
	t.Helper()
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	conn, err := net.Dial("tcp", fmt.Sprintf("127.0.0.1:%d", port))
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = conn.Close() }()
	if _, err := conn.Write(text); err != nil {
		t.Fatal(err)
	}
}

// bansOf reads the bans of a daemon with the lines that decided.
func bansOf(t *testing.T, client *control.Client) map[decided]bool {
	t.Helper()
	bans, err := client.Bans(t.Context(), "")
	if err != nil {
		t.Fatal(err)
	}
	got := make(map[decided]bool, len(bans))
	for _, b := range bans {
		target, err := control.ParseTarget(b.Address.Addr().String())
		if err != nil {
			t.Fatal(err)
		}
		e, err := client.Explain(t.Context(), target)
		if err != nil {
			t.Fatal(err)
		}
		line := ""
		for _, ev := range slices.Backward(e.Evidence) {
			// What came after the ban's start belongs to a later window.
			if ev.Jail == b.Jail && !ev.Received.After(b.Start) {
				line = ev.Raw
				break
			}
		}
		got[decided{b.Jail, b.Address, b.End.Sub(b.Start).Round(time.Second), line}] = true
	}
	return got
}

func eventually(t *testing.T, limit time.Duration, what string, ok func() bool) {
	t.Helper()
	for begin := time.Now(); !ok(); time.Sleep(20 * time.Millisecond) {
		if time.Since(begin) > limit {
			t.Fatalf("not within %s: %s", limit, what)
		}
	}
}
