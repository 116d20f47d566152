package rig

import (
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"strconv"
	"strings"
	"time"
)

// Metrics reads the daemon's counters over its control socket: name and labels as the text form
// writes them.
func (d *Daemon) Metrics() map[string]int64 {
	d.T.Helper()
	client := http.Client{Timeout: 10 * time.Second, Transport: &http.Transport{
		DisableKeepAlives: true,
		DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
			return (&net.Dialer{}).DialContext(ctx, "unix", d.Socket)
		},
	}}
	res, err := client.Get("http://stockade/metrics")
	if err != nil {
		d.T.Fatalf("metrics: %v", err)
	}
	defer res.Body.Close()
	text, err := io.ReadAll(res.Body)
	if err != nil || res.StatusCode != http.StatusOK {
		d.T.Fatalf("metrics: %s, %v: %s", res.Status, err, text)
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

// Sum adds up the counters of a name, whatever their labels.
func Sum(all map[string]int64, name string) int64 {
	var n int64
	for k, v := range all {
		if k == name || strings.HasPrefix(k, name+"{") {
			n += v
		}
	}
	return n
}

// Memory is a number of the daemon's /proc/PID/status in bytes: VmRSS, or VmHWM for the highest there
// was.
func (d *Daemon) Memory(name string) int64 {
	d.T.Helper()
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", d.Cmd.Process.Pid))
	if err != nil {
		d.T.Fatal(err)
	}
	for line := range strings.Lines(string(text)) {
		if f := strings.Fields(line); len(f) == 3 && f[0] == name+":" {
			n, err := strconv.ParseInt(f[1], 10, 64)
			if err != nil {
				d.T.Fatal(err)
			}
			return n << 10
		}
	}
	d.T.Fatalf("no %s in /proc/%d/status", name, d.Cmd.Process.Pid)
	return 0
}
