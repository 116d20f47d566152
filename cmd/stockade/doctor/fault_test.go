package doctor

import (
	"context"
	"fmt"
	"io"
	"os"
	"os/exec"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"stockade/cmd/stockade/control"
)

const (
	// turnLimit is how soon a fault must show, clearLimit how soon it must be forgotten: five times what it
	// takes at most on a quiet machine. Drift is forgotten by an audit that finds nothing, 10 s after the
	// last repair.
	turnLimit  = 25 * time.Second
	clearLimit = 50 * time.Second
)

// TestFaultsShow (F8) injects faults into a running daemon, one after the other: status, its exit code,
// the metric and systemd's status line say so in time with the cause, and forget it again.
func TestFaultsShow(t *testing.T) {
	if os.Getenv(inNamespace) == "" {
		t.Setenv(binaryOf, build(t))
		runInNamespace(t)
		return
	}
	h := startHost(t)
	clock := h.source("127.0.0.3")
	beat := h.heartbeat(clock)
	h.await("nothing", turnLimit, "")
	web := h.source("127.0.0.1")
	web.line("bad from 198.51.100.1")
	h.banned("198.51.100.1")

	disk := fault{"disk", "left", clearLimit, h.fill, h.empty}
	if testing.Short() {
		h.faults(disk)
		beat()
		return
	}
	liar := h.source("127.0.0.2")
	h.faults(
		fault{"silent", "source clock sent nothing", clearLimit,
			func() { beat() },
			func() { beat = h.heartbeat(clock) }},
		fault{"certificate", "listener secure", clearLimit,
			func() { h.certificate(time.Now().Add(-30*24*time.Hour), 24*time.Hour); h.must("reload") },
			func() { h.certificate(time.Now().Add(-time.Hour), 365*24*time.Hour); h.must("reload") }},
		fault{"quota", "source liar", clearLimit,
			func() {
				for i := range 4 {
					liar.line(fmt.Sprintf("bad from 198.51.100.%d", 20+i))
				}
			},
			func() { h.must("approve", "--source", "liar") }},
		disk)
	h.faults(
		fault{"state", "disk", clearLimit,
			func() {
				h.fill()
				for i := range 100 {
					web.line(fmt.Sprintf("bad from 198.51.100.%d", 100+i))
				}
			}, h.empty},
		fault{"drift", "missing in the kernel", clearLimit,
			func() { h.sh("nft", "delete", "element", "inet", "stockade", "ban4", "{", "198.51.100.1", "}") },
			func() {}})
	h.await("what is left", clearLimit, "")
	if out, code := h.run("status"); code != 0 || strings.Contains(out, "DEGRADED") {
		t.Errorf("status after the repairs: exit code %d\n%s", code, out)
	}
	var other io.Closer
	h.faults(fault{"firewall", "another owner", clearLimit,
		func() { other = h.takeTable() },
		func() { other.Close() }})
	beat()
	if s := h.systemd.last("READY=1"); s == "" {
		t.Error("systemd was not told that the daemon is ready")
	}
	if s := h.systemd.last("WATCHDOG=1"); s == "" {
		t.Error("systemd was not told that the daemon lives")
	}
}

// fault is one thing that goes wrong, and how it is repaired.
type fault struct {
	name, cause    string
	limit          time.Duration // until it is forgotten after the repair
	inject, repair func()
}

// shows reports whether status, the metric and systemd's line all have a degraded state, and whether
// none of them has it; the name "" is any.
func (h *host) shows(name, cause string) (all, none bool) {
	st, err := h.client().Status(h.t.Context())
	if err != nil {
		h.t.Fatal(err)
	}
	listed := false
	for _, d := range st.Degraded {
		listed = listed || d.Name == name && strings.Contains(d.Cause, cause)
	}
	metric := !strings.Contains(h.metrics(), fmt.Sprintf("stockade_degraded_reasons{name=%q} 0\n", name))
	line := strings.HasPrefix(h.systemd.last("STATUS="), "STATUS=DEGRADED")
	if name == "" {
		return false, len(st.Degraded) == 0 && !line
	}
	return listed && metric && line, !listed && !metric
}

// await waits until a state is gone, "" for any.
func (h *host) await(what string, limit time.Duration, name string) {
	h.t.Helper()
	begin := time.Now()
	for {
		if _, none := h.shows(name, ""); none {
			return
		}
		if time.Since(begin) > limit {
			out, _ := h.run("status", "--json")
			h.t.Fatalf("%s does not clear within %s: %s %s", what, limit, out, h.systemd.last("STATUS="))
		}
		time.Sleep(20 * time.Millisecond)
	}
}

// faults injects faults at once, sees each everywhere, repairs them and sees each go.
func (h *host) faults(list ...fault) {
	h.t.Helper()
	for _, f := range list {
		if _, none := h.shows(f.name, f.cause); !none {
			h.t.Fatalf("%s shows before its fault", f.name)
		}
	}
	began := make([]time.Time, len(list))
	for i, f := range list {
		began[i] = time.Now()
		f.inject()
	}
	for i, f := range list {
		for {
			if all, _ := h.shows(f.name, f.cause); all {
				break
			}
			if time.Since(began[i]) > turnLimit {
				out, code := h.run("status", "--json")
				h.t.Fatalf("%s does not show within %s: exit code %d, %s, %q", f.name, turnLimit, code, out, h.systemd.last("STATUS="))
			}
			time.Sleep(20 * time.Millisecond)
		}
		h.t.Logf("%-12s shows after %5d ms", f.name, time.Since(began[i]).Milliseconds())
	}
	if out, code := h.run("status"); code != 1 || !strings.Contains(out, "DEGRADED "+list[0].name) {
		h.t.Errorf("status of a degraded daemon: exit code %d\n%s", code, out)
	}
	for i, f := range list {
		began[i] = time.Now()
		f.repair()
	}
	for i, f := range list {
		h.await(f.name, f.limit, f.name)
		h.t.Logf("%-12s is gone after %5d ms", f.name, time.Since(began[i]).Milliseconds())
	}
}

// takeTable puts a table of another owner in the place of ours, until it is closed.
func (h *host) takeTable() io.Closer {
	h.t.Helper()
	cmd := exec.Command("nft", "-i")
	in, err := cmd.StdinPipe()
	if err != nil {
		h.t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		h.t.Fatal(err)
	}
	if _, err := io.WriteString(in, "delete table inet stockade; add table inet stockade { flags owner; }\n"); err != nil {
		h.t.Fatal(err)
	}
	for begin := time.Now(); ; time.Sleep(20 * time.Millisecond) { // nft takes its time to read that
		out, _ := exec.Command("nft", "list", "table", "inet", "stockade").Output()
		if strings.Contains(string(out), "flags owner") {
			break
		}
		if time.Since(begin) > turnLimit {
			h.t.Fatalf("the table is not taken: %s", out)
		}
	}
	return closer(func() error {
		_ = in.Close()
		return cmd.Wait()
	})
}

type closer func() error

// Close calls the function.
func (c closer) Close() error { return c() }

func (h *host) banned(addr string) {
	h.t.Helper()
	for begin := time.Now(); ; time.Sleep(20 * time.Millisecond) {
		if bans, err := h.client().Bans(h.t.Context(), "trial"); err == nil && slices.ContainsFunc(bans, func(b control.Ban) bool {
			return b.Enforced && b.Address.Addr().String() == addr
		}) {
			return
		}
		if time.Since(begin) > turnLimit {
			h.t.Fatalf("%s is not banned", addr)
		}
	}
}

func (h *host) fill() {
	f, err := os.Create(h.dir + "/state/ballast")
	if err != nil {
		h.t.Fatal(err)
	}
	defer f.Close()
	_, _ = f.Write(make([]byte, 2<<20)) // until there is no room
}

func (h *host) empty() { _ = os.Remove(h.dir + "/state/ballast") }

// heartbeat sends lines until it is stopped.
func (h *host) heartbeat(s *sender) (stop func()) {
	ctx, cancel := context.WithCancel(h.t.Context())
	var running sync.WaitGroup
	running.Go(func() {
		tick := time.NewTicker(200 * time.Millisecond)
		defer tick.Stop()
		for {
			s.line("tick")
			select {
			case <-ctx.Done():
				return
			case <-tick.C:
			}
		}
	})
	return func() { cancel(); running.Wait() }
}
