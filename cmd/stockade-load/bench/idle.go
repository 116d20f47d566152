package bench

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"time"
)

const idleConfig = `
listeners: [{name: local, transport: unixgram, path: "%DIR%/syslog.sock"}]
sources: [{name: this-host, listener: local, uid: [0], jails: ["*"]}]
jails: [{name: sshd, filter: sshd}]
firewall: {backend: observe}
`

const (
	settleTime = 5 * time.Second
	idleTime   = 20 * time.Second
)

// idle measures a daemon to which nobody sends.
func (r *run) idle() error {
	ready := r.result("idle", "stockade", "ms to ready, empty state")
	memory := r.result("idle", "stockade", "MB resident")
	cpu := r.result("idle", "stockade", "% CPU")
	for range r.Repeat {
		r.step("idle")
		d, err := r.startDaemon(idleConfig)
		if err != nil {
			return err
		}
		err = r.rest(d, ready, memory, cpu)
		d.stop()
		if err != nil {
			return err
		}
		r.took()
	}
	for _, res := range []*Result{ready, memory, cpu} {
		res.settle()
	}
	ready.atMost(20)
	memory.atMost(25)
	cpu.atMost(0.1)
	return nil
}

func (r *run) rest(d *daemon, ready, memory, cpu *Result) error {
	ready.Samples = append(ready.Samples, float64(d.ready.Microseconds())/1000)
	if err := pause(r.ctx, settleTime); err != nil {
		return err
	}
	before, err := d.threadTime()
	if err != nil {
		return err
	}
	if err := pause(r.ctx, idleTime); err != nil {
		return err
	}
	after, err := d.threadTime()
	if err != nil {
		return err
	}
	rss, err := d.memory("VmRSS")
	if err != nil {
		return err
	}
	memory.Samples = append(memory.Samples, float64(rss)/1e6)
	cpu.Samples = append(cpu.Samples, 100*float64(after-before)/float64(idleTime))
	return nil
}

func pause(ctx context.Context, d time.Duration) error {
	select {
	case <-time.After(d):
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// threadTime is the time on a processor of all threads that live, to the nanosecond: an idle
// process needs less than the steps of /proc/PID/stat.
func (s *server) threadTime() (time.Duration, error) {
	files, err := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/schedstat", s.cmd.Process.Pid))
	if err != nil {
		return 0, err
	}
	sum := time.Duration(0)
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			continue // the thread ended
		}
		var ns int64
		if _, err := fmt.Sscan(string(text), &ns); err != nil {
			return 0, fmt.Errorf("%s: %w", file, err)
		}
		sum += time.Duration(ns)
	}
	return sum, nil
}

// trackedAddresses is how many addresses the memory is measured with.
const trackedAddresses = 1_000_000

const addressConfig = `
listeners: [{name: plain, transport: tcp, address: "127.0.0.1:%d"}]
sources: [{name: plain, listener: plain, addresses: [127.0.0.1], jails: ["*"], quota: none}]
jails: [{name: sshd, filter: sshd, findtime: 1d}]
firewall: {backend: observe}
`

// addresses measures what a million offenders take, each with one failure.
func (r *run) addresses() error {
	res := r.result("1,000,000 addresses", "stockade", "GB resident")
	r.step("memory: 1,000,000 addresses")
	ports, err := freePorts(1)
	if err != nil {
		return err
	}
	d, err := r.startDaemon(fmt.Sprintf(addressConfig, ports[0]))
	if err != nil {
		return err
	}
	defer d.stop()
	if err := d.feed(ports[0], Distinct(r.Seed, trackedAddresses)); err != nil {
		return err
	}
	if err := pause(r.ctx, settleTime); err != nil {
		return err
	}
	all, err := d.counters()
	if err != nil {
		return err
	}
	if n := all["stockade_failures_total"]; n != trackedAddresses {
		return fmt.Errorf("%.0f failures were counted, want %d", n, trackedAddresses)
	}
	rss, err := d.memory("VmRSS")
	if err != nil {
		return err
	}
	res.Samples = append(res.Samples, float64(rss)/1e9)
	res.settle()
	res.atMost(1)
	return nil
}
