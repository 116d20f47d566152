package trust

import (
	"bufio"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"stockade/cmd/stockade/e2e/rig"
)

func TestMain(m *testing.M) { os.Exit(rig.Main(m)) }

// observe is the head of a configuration of a daemon that records bans and enforces none.
const observe = "firewall: {backend: observe}\n"

// failure is the line of a failed login, as a syslog message without its end.
func failure(addr string, n int) string {
	return fmt.Sprintf("<38>1 %s web1 sshd %d - - Failed password for root from %s port %d ssh2",
		time.Now().UTC().Format("2006-01-02T15:04:05.000000Z"), 1000+n, addr, 1024+n%60000)
}

// sendLines writes lines to a stream, each ended with a newline.
func sendLines(t testing.TB, c net.Conn, lines ...string) {
	t.Helper()
	w := bufio.NewWriterSize(c, 64<<10)
	for _, l := range lines {
		if _, err := w.WriteString(l + "\n"); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Flush(); err != nil {
		t.Fatal(err)
	}
}

// judged waits until the daemon has dealt with so many lines in all.
func judged(t testing.TB, d *rig.Daemon, lines int64) {
	t.Helper()
	rig.Eventually(t, time.Minute, fmt.Sprintf("%d lines are judged", lines), func() bool {
		all := d.Metrics()
		var n int64
		for k, v := range all {
			if strings.HasPrefix(k, "stockade_lines_total{") {
				n += v
			}
		}
		return n >= lines
	})
}

// refusedBy waits until so many lines of a source are refused for a reason: the last of them is counted
// a moment after it is matched.
func refusedBy(t testing.TB, d *rig.Daemon, source, reason string, want int64) {
	t.Helper()
	rig.Soon(10*time.Second, func() bool { return d.Source(source).Refused[reason] >= want })
	if s := d.Source(source); s.Refused[reason] != want {
		t.Errorf("source %s: %d lines are refused for %s, want %d: %v", source, s.Refused[reason], reason, want, s.Refused)
	}
}

// banned are the addresses of a jail's bans, of every jail with "".
func banned(d *rig.Daemon, jail string) map[string]rig.Ban {
	all := make(map[string]rig.Ban)
	for _, b := range d.Bans() {
		if jail == "" || b.Jail == jail {
			all[b.Address] = b
		}
	}
	return all
}

// cpu is how long all threads of the daemon have run so far.
func cpu(t testing.TB, d *rig.Daemon) (ran time.Duration) {
	t.Helper()
	files, err := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/schedstat", d.Cmd.Process.Pid))
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range files {
		text, _ := os.ReadFile(f) // the thread may have ended
		var ns int64
		if n, _ := fmt.Sscan(string(text), &ns); n == 1 {
			ran += time.Duration(ns)
		}
	}
	return ran
}

// descriptors is how many the daemon has open.
func descriptors(t testing.TB, d *rig.Daemon) int {
	t.Helper()
	list, err := os.ReadDir(fmt.Sprintf("/proc/%d/fd", d.Cmd.Process.Pid))
	if err != nil {
		t.Fatal(err)
	}
	return len(list)
}
