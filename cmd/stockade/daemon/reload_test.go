package daemon

import (
	"errors"
	"flag"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"time"

	"stockade/cmd/stockade/control"
)

var long = flag.Bool("long", false, "run the long forms of the tests")

// TestReloadsUnderLoad reloads again and again, each time with other jails, thresholds, sources and a
// further listener, while lines come in over TCP. Each line is counted, windows and bans live on, and
// nothing is left behind.
func TestReloadsUnderLoad(t *testing.T) {
	reloads := 50
	switch {
	case *long:
		reloads = 1000
	case testing.Short():
		reloads = 15
	}
	variant := func(i int) string {
		more, listener, source := "", "", ""
		if i%2 == 1 {
			more = fmt.Sprintf("  - {name: other, filter: {failregex: ['^nothing %d <HOST>$']}, apps: [other]}", i)
			listener = ", {name: extra, transport: unix, path: %DIR%/extra.sock}"
			source = ", {name: there, listener: extra, jails: [app]}"
		}
		return fmt.Sprintf(`listeners: [{name: in, transport: tcp, address: "127.0.0.1:%%PORT%%"}%s]
sources: [{name: here, listener: in, addresses: [127.0.0.1], jails: ["*"], quota: none}%s]
never_ban: [203.0.113.%d]
jails:
  - {name: app, filter: {failregex: ['^failed login from <HOST>$']}, apps: [app], maxretry: %d, findtime: 1h, bantime: 2h}
%s`, listener, source, i%200+1, 3+i%2*2, more)
	}
	free, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	port := fmt.Sprint(free.Addr().(*net.TCPAddr).Port)
	free.Close()
	s := serve(t, strings.ReplaceAll(variant(0), "%PORT%", port))
	conn, err := net.Dial("tcp", "127.0.0.1:"+port)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	s.failures(conn, "198.18.0.1", 3) // a ban before
	s.failures(conn, "198.18.0.2", 2) // and a window
	end := s.d.store.Bans("app")[0].End

	stop, sent := make(chan struct{}), make(chan int64, 1)
	go func() {
		var n int64
		defer func() { sent <- n }()
		pace := time.NewTicker(2 * time.Millisecond)
		defer pace.Stop()
		for {
			select {
			case <-stop:
				return
			case <-pace.C:
			}
			for range 10 { // an address each: none is banned
				if _, err := fmt.Fprintf(conn, "<38>Nov 24 10:00:00 host app: failed login from 10.%d.%d.%d\n", n>>16&255, n>>8&255, n&255); err != nil {
					t.Errorf("the connection did not outlive a reload: %v", err)
					return
				}
				n++
			}
		}
	}()
	reload := func(i int) {
		s.write(strings.ReplaceAll(variant(i), "%PORT%", port))
		if _, err := s.Reload(t.Context(), control.ReloadRequest{}); err != nil {
			t.Fatalf("reload %d: %v", i, err)
		}
	}
	warm := reloads / 5
	var before usage
	for i := range reloads {
		reload(i + 1)
		if i == warm {
			before = measure(t)
		}
	}
	reload(0)
	after := measure(t)
	close(stop)
	n := <-sent
	eventually(t, "each line is counted", func() bool { return s.source().Failures == n+5 })
	if x := s.source(); x.Lines != n+5 || len(x.Refused) != 0 {
		t.Errorf("source = %+v, want %d lines", x, n+5)
	}
	if b := s.d.store.Bans("app"); len(b) == 0 || b[0].Prefix.Addr().String() != "198.18.0.1" || !b[0].End.Equal(end) {
		t.Errorf("the ban of before: %+v", b)
	}
	s.failures(conn, "198.18.0.2", 1)
	if !strings.Contains(s.banned("app"), "198.18.0.2") {
		t.Error("the window of before did not live on")
	}
	t.Logf("%d reloads, %d lines; before %+v, after %+v", reloads, n, before, after)
	if after.goroutines > before.goroutines+5 || after.files > before.files+3 {
		t.Errorf("left behind: before %+v, after %+v", before, after)
	}
	if grown := after.heap - before.heap - 2048*n; grown > 16<<20 { // what is counted takes memory by itself
		t.Errorf("the heap grew by %d MiB", grown>>20)
	}
}

// usage is what a process holds.
type usage struct {
	goroutines, files int
	heap              int64 // bytes
}

func measure(t *testing.T) usage {
	t.Helper()
	runtime.GC()
	runtime.GC() // what the first made free
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	files, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		t.Fatal(err)
	}
	return usage{runtime.NumGoroutine(), len(files), int64(m.HeapAlloc)}
}

// TestReloadThatFailsLate: what can fail after the configuration was found good goes back.
func TestReloadThatFailsLate(t *testing.T) {
	s := serve(t, configText(3, true))
	for name, text := range map[string]string{
		"a listener that cannot open": strings.Replace(configText(1, true), "path: %DIR%/in.sock", "path: %DIR%/none/in.sock", 1),
		"a log that cannot open":      configText(1, true) + "\nlog: {target: %DIR%/none/log}",
	} {
		s.write(text)
		var refused *control.Error
		if _, err := s.Reload(t.Context(), control.ReloadRequest{}); !errors.As(err, &refused) || refused.Code != control.CodeBadConfig {
			t.Errorf("%s: %v", name, err)
		}
		if s.maxRetry() != 3 {
			t.Errorf("%s changed the jails", name)
		}
	}
	conn := s.connect() // the listener was closed and opened again
	s.failures(conn, "198.18.0.1", 3)
	if s.banned("app") != "198.18.0.1" {
		t.Error("the configuration in force does not work")
	}
	if err := os.WriteFile(s.config, []byte(strings.ReplaceAll("state_dir: %DIR%/other\ncontrol: {socket: %DIR%/control.sock}\nfirewall: {backend: observe}\n"+configText(3, true), "%DIR%", s.dir)), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := s.Reload(t.Context(), control.ReloadRequest{}); err == nil || !strings.Contains(err.Error(), "needs a restart") {
		t.Errorf("another state_dir: %v", err)
	}
	if _, err := os.Stat(filepath.Join(s.dir, "other")); err == nil {
		t.Error("the refused configuration made its state folder")
	}
}

// TestReloadWhileStopping starts nothing that would outlive the daemon.
func TestReloadWhileStopping(t *testing.T) {
	s := serve(t, configText(3, true))
	if err := s.stop(); err != nil {
		t.Fatal(err)
	}
	s.write(strings.Replace(configText(3, true), "path: %DIR%/in.sock", "path: %DIR%/other.sock", 1))
	if _, err := s.d.Reload(t.Context(), control.ReloadRequest{}); err == nil {
		t.Error("a reload after the stop is in force")
	}
	if _, err := net.Dial("unix", filepath.Join(s.dir, "other.sock")); err == nil {
		t.Error("a listener was opened after the stop")
	}
}
