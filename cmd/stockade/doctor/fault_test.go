package doctor

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strings"
	"sync"
	"testing"
	"time"
)

const (
	// turnLimit is how soon a fault must show, clearLimit how soon it must be forgotten; drift is
	// forgotten by the next audit that finds nothing.
	turnLimit  = 5 * time.Second
	clearLimit = 10 * time.Second
	auditLimit = 40 * time.Second
)

// TestFaultsShow injects faults into a running daemon, one after the other: status, its exit code,
// the metric and systemd's status line say so within 5 s with the cause, and forget it again.
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

	if testing.Short() {
		h.fault("disk", "left", clearLimit, h.fill, h.empty)
		beat()
		return
	}
	h.fault("silent", "source clock sent nothing", clearLimit,
		func() { beat() },
		func() { beat = h.heartbeat(clock) })
	h.fault("certificate", "listener secure", clearLimit,
		func() { h.certificate(time.Now().Add(-30*24*time.Hour), 24*time.Hour); h.must("reload") },
		func() { h.certificate(time.Now().Add(-time.Hour), 365*24*time.Hour); h.must("reload") })
	liar := h.source("127.0.0.2")
	h.fault("quota", "source liar", clearLimit,
		func() {
			for i := range 4 {
				liar.line(fmt.Sprintf("bad from 198.51.100.%d", 20+i))
			}
		},
		func() { h.must("approve", "--source", "liar") })
	h.fault("disk", "left", clearLimit, h.fill, h.empty)
	h.fault("state", "disk", clearLimit,
		func() {
			h.fill()
			for i := range 100 {
				web.line(fmt.Sprintf("bad from 198.51.100.%d", 100+i))
			}
		}, h.empty)
	h.fault("drift", "missing in the kernel", auditLimit,
		func() { h.sh("nft", "delete", "element", "inet", "stockade", "ban4", "{", "198.51.100.1", "}") },
		func() {})
	var other io.Closer
	h.fault("firewall", "another owner", clearLimit,
		func() { other = h.takeTable() },
		func() { other.Close() })
	beat()
	if s := h.systemd.last("READY=1"); s == "" {
		t.Error("systemd was not told that the daemon is ready")
	}
	if s := h.systemd.last("WATCHDOG=1"); s == "" {
		t.Error("systemd was not told that the daemon lives")
	}
}

// shows reports whether status, its exit code, the metric and systemd's line all have a degraded
// state, and whether none of them has it.
func (h *host) shows(name, cause string) (all, none bool) {
	out, code := h.run("status", "--json")
	var st struct {
		State    string
		Degraded []struct{ Name, Cause string }
	}
	if err := json.Unmarshal([]byte(out), &st); err != nil {
		h.t.Fatalf("status: %v: %s", err, out)
	}
	if (code == 1) != (st.State == "degraded") || (code == 0) != (len(st.Degraded) == 0) {
		h.t.Errorf("exit code %d of %s", code, out)
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
	return listed && metric && line && code == 1, !listed && !metric
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
		time.Sleep(50 * time.Millisecond)
	}
}

// fault injects a fault, sees it everywhere, repairs it and sees it go.
func (h *host) fault(name, cause string, limit time.Duration, inject, repair func()) {
	h.t.Helper()
	if _, none := h.shows(name, cause); !none {
		h.t.Fatalf("%s shows before its fault", name)
	}
	begin := time.Now()
	inject()
	for {
		if all, _ := h.shows(name, cause); all {
			break
		}
		if time.Since(begin) > turnLimit {
			out, code := h.run("status", "--json")
			h.t.Fatalf("%s does not show within %s: exit code %d, %s, %q", name, turnLimit, code, out, h.systemd.last("STATUS="))
		}
		time.Sleep(20 * time.Millisecond)
	}
	turned := time.Since(begin)
	begin = time.Now()
	repair()
	if limit == auditLimit && !*long {
		h.t.Logf("%-12s shows after %4d ms; when it is gone is not waited for", name, turned.Milliseconds())
		return
	}
	h.await(name, limit, name)
	h.t.Logf("%-12s shows after %4d ms, is gone after %5d ms", name, turned.Milliseconds(), time.Since(begin).Milliseconds())
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
		if _, code := h.run("explain", addr); code == 0 {
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
