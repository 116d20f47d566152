package e2e

import (
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"
)

// metrics reads the daemon's counters over its control socket: name and labels as the text form
// writes them.
func (d *daemon) metrics() map[string]int64 {
	d.t.Helper()
	client := http.Client{Timeout: 10 * time.Second, Transport: &http.Transport{
		DisableKeepAlives: true,
		DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
			return (&net.Dialer{}).DialContext(ctx, "unix", filepath.Join(d.dir, "control.sock"))
		},
	}}
	res, err := client.Get("http://stockade/metrics")
	if err != nil {
		d.t.Fatalf("metrics: %v", err)
	}
	defer res.Body.Close()
	text, err := io.ReadAll(res.Body)
	if err != nil || res.StatusCode != http.StatusOK {
		d.t.Fatalf("metrics: %s, %v: %s", res.Status, err, text)
	}
	all := make(map[string]int64)
	for line := range strings.Lines(string(text)) {
		name, value, ok := strings.Cut(strings.TrimSpace(line), "} ")
		if ok {
			name += "}"
		} else {
			name, value, _ = strings.Cut(name, " ")
		}
		if n, err := strconv.ParseFloat(value, 64); err == nil {
			all[name] = int64(n)
		}
	}
	return all
}

// sum adds up the counters of a name, whatever their labels.
func sum(all map[string]int64, name string) int64 {
	var n int64
	for k, v := range all {
		if k == name || strings.HasPrefix(k, name+"{") {
			n += v
		}
	}
	return n
}

// outcome is the number of lines of one outcome.
func outcome(all map[string]int64, name string) int64 {
	return all[fmt.Sprintf("stockade_lines_total{outcome=%q}", name)]
}

// memory is a number of /proc/PID/status in bytes: VmRSS, or VmHWM for the highest there was.
func (d *daemon) memory(name string) int64 {
	d.t.Helper()
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", d.cmd.Process.Pid))
	if err != nil {
		d.t.Fatal(err)
	}
	for line := range strings.Lines(string(text)) {
		if f := strings.Fields(line); len(f) == 3 && f[0] == name+":" {
			n, err := strconv.ParseInt(f[1], 10, 64)
			if err != nil {
				d.t.Fatal(err)
			}
			return n << 10
		}
	}
	d.t.Fatalf("no %s in /proc/%d/status", name, d.cmd.Process.Pid)
	return 0
}
