package bench

import (
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"time"
)

// daemon is stockade serve on a configuration of its own, which blocks nothing.
type daemon struct {
	*server
	dir    string
	client http.Client
	ready  time.Duration // from its start to the answer of its control socket
}

const (
	startWait = 30 * time.Second
	workWait  = 5 * time.Minute
)

// startDaemon starts stockade with a configuration in which %DIR% stands for its folder.
func (r *run) startDaemon(config string) (*daemon, error) {
	dir, err := os.MkdirTemp(r.Dir, "daemon-")
	if err != nil {
		return nil, err
	}
	return r.startIn(dir, config)
}

func (r *run) startIn(dir, config string) (*daemon, error) {
	socket := filepath.Join(dir, "control.sock")
	config = strings.ReplaceAll("state_dir: %DIR%/state\ncontrol: {socket: %DIR%/control.sock}\n"+config, "%DIR%", dir)
	file := filepath.Join(dir, "stockade.yaml")
	if err := os.WriteFile(file, []byte(config), 0o600); err != nil {
		return nil, err
	}
	d := &daemon{dir: dir, client: http.Client{Timeout: 10 * time.Second, Transport: &http.Transport{
		DisableKeepAlives: true,
		DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
			return (&net.Dialer{}).DialContext(ctx, "unix", socket)
		},
	}}}
	began := time.Now()
	var err error
	if d.server, err = serve(exec.CommandContext(r.ctx, r.Stockade, "serve", "--config", file), -1, filepath.Join(dir, "output")); err != nil {
		return nil, err
	}
	log := filepath.Join(dir, "output")
	err = d.until(startWait, "it serves", func() bool {
		text, err := os.ReadFile(log)
		return err == nil && strings.Contains(string(text), `"msg":"serving"`)
	})
	d.ready = time.Since(began)
	if err == nil {
		err = r.profile(d.server)
	}
	if err != nil {
		d.stop()
		return nil, err
	}
	return d, nil
}

// counters reads the daemon's metrics: the sum of each name over its labels, and each by itself.
func (d *daemon) counters() (map[string]float64, error) {
	res, err := d.client.Get("http://stockade/metrics")
	if err != nil {
		return nil, err
	}
	defer res.Body.Close()
	text, err := io.ReadAll(res.Body)
	if err != nil || res.StatusCode != http.StatusOK {
		return nil, fmt.Errorf("metrics: %s: %w", res.Status, err)
	}
	all := map[string]float64{}
	for line := range strings.Lines(string(text)) {
		line = strings.TrimSpace(line)
		i := strings.LastIndexByte(line, ' ')
		if i < 0 || line[0] == '#' {
			continue
		}
		value, err := strconv.ParseFloat(line[i+1:], 64)
		if err != nil {
			continue
		}
		name, _, labelled := strings.Cut(line[:i], "{")
		all[name] += value
		if labelled {
			all[line[:i]] = value
		}
	}
	return all, nil
}

// judged waits until so many lines have an outcome and no queue holds one.
func (d *daemon) judged(lines int) error {
	var fault error
	err := d.until(workWait, fmt.Sprintf("%d lines have an outcome", lines), func() bool {
		all, err := d.counters()
		fault = err
		if err == nil && int(all["stockade_lines_total"]) >= lines && all[`stockade_queue_depth{queue="lines"}`] == 0 {
			return true
		}
		time.Sleep(10 * time.Millisecond) // asking costs the daemon something, too
		return false
	})
	if fault != nil {
		return fault
	}
	return err
}
