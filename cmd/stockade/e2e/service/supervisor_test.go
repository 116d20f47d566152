package service

import (
	"context"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"stockade/cmd/stockade/e2e/rig"
)

// unit is what the supervisor heeds of a unit file.
type unit struct {
	watchdog, abort, restart time.Duration
	never                    []int // exit codes after which nothing is started again
}

// readUnit reads the shipped unit.
func readUnit(t *testing.T) (u unit) {
	t.Helper()
	text, err := os.ReadFile(units + "stockade.service")
	if err != nil {
		t.Fatal(err)
	}
	span := func(s string) time.Duration {
		if _, err := strconv.Atoi(s); err == nil {
			s += "s"
		}
		d, err := time.ParseDuration(s)
		if err != nil {
			t.Fatal(err)
		}
		return d
	}
	seen := 0
	for line := range strings.Lines(string(text)) {
		key, value, _ := strings.Cut(strings.TrimSpace(line), "=")
		seen++
		switch key {
		case "WatchdogSec":
			u.watchdog = span(value)
		case "TimeoutAbortSec":
			u.abort = span(value)
		case "RestartSec":
			u.restart = span(value)
		case "RestartPreventExitStatus":
			for _, f := range strings.Fields(value) {
				code, err := strconv.Atoi(f)
				if err != nil {
					t.Fatal(err)
				}
				u.never = append(u.never, code)
			}
		case "Restart":
			if value != "on-failure" {
				t.Fatalf("Restart=%s: the supervisor of the test only knows on-failure", value)
			}
		default:
			seen--
		}
	}
	if seen != 5 {
		t.Fatalf("the unit has %d of the five keys that restart a daemon: %+v", seen, u)
	}
	return u
}

// life is one run of the daemon under a supervisor.
type life struct {
	pid    int
	ready  time.Time // zero: never
	silent time.Time // when the watchdog's time was over; zero: it never was
	ended  time.Time // zero: it runs
	state  string    // how it ended
}

// supervisor is as much of systemd as restarts take, by systemd.service(5) and sd_notify(3). It
// starts a command, wants WATCHDOG=1 from it after READY=1, sends SIGABRT when that stays out and
// SIGKILL when it lives on, and starts it again.
type supervisor struct {
	unit
	command func() *exec.Cmd
	log     rig.Output
	said    chan string // what a life tells the notify socket

	mu    sync.Mutex
	lives []life
	err   error
}

// supervise keeps a command running until the test ends.
func supervise(t *testing.T, u unit, command func() *exec.Cmd) *supervisor {
	t.Helper()
	path := filepath.Join(rig.OpenDir(t), "notify")
	socket, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: path, Net: "unixgram"})
	if err != nil {
		t.Fatal(err)
	}
	s := &supervisor{unit: u, said: make(chan string)}
	s.command = func() *exec.Cmd {
		cmd := command()
		cmd.Env = append(cmd.Environ(), "NOTIFY_SOCKET="+path, "WATCHDOG_USEC="+strconv.FormatInt(u.watchdog.Microseconds(), 10))
		cmd.Stdout, cmd.Stderr = &s.log, &s.log
		return cmd
	}
	ctx, cancel := context.WithCancel(context.Background())
	var running sync.WaitGroup
	running.Go(func() { s.listen(ctx, socket) })
	running.Go(func() { s.run(ctx) })
	t.Cleanup(func() {
		cancel()
		socket.Close()
		running.Wait()
		if t.Failed() {
			t.Logf("lives %+v, error %v, log:\n%s", s.all(), s.err, rig.Last(s.log.String(), 40))
		}
	})
	return s
}

func (s *supervisor) listen(ctx context.Context, socket *net.UnixConn) {
	buf := make([]byte, 4096)
	for {
		n, err := socket.Read(buf)
		if err != nil {
			return
		}
		for line := range strings.Lines(string(buf[:n])) {
			select {
			case s.said <- strings.TrimSpace(line):
			case <-ctx.Done():
				return
			}
		}
	}
}

// run starts one life after the other, until ctx is done or one ended for good.
func (s *supervisor) run(ctx context.Context) {
	for {
		code, err := s.live(ctx)
		if ctx.Err() != nil || code == 0 || slices.Contains(s.never, code) || err != nil {
			s.mu.Lock()
			s.err = err
			s.mu.Unlock()
			return
		}
		select {
		case <-time.After(s.restart):
		case <-ctx.Done():
			return
		}
	}
}

// live runs the command once and returns its exit code, -1 when a signal ended it.
func (s *supervisor) live(ctx context.Context) (code int, err error) {
	cmd := s.command()
	if err := cmd.Start(); err != nil {
		return 0, err
	}
	s.mu.Lock()
	s.lives = append(s.lives, life{pid: cmd.Process.Pid})
	s.mu.Unlock()
	done := make(chan struct{})
	go func() { _ = cmd.Wait(); close(done) }()
	watchdog := time.NewTimer(time.Hour) // it runs from READY=1 on
	defer watchdog.Stop()
	stop := ctx.Done()
	for {
		select {
		case word := <-s.said:
			switch word {
			case "READY=1":
				s.note(func(l *life) { l.ready = time.Now() })
				watchdog.Reset(s.watchdog)
			case "WATCHDOG=1":
				watchdog.Reset(s.watchdog)
			}
		case <-watchdog.C:
			s.note(func(l *life) { l.silent = time.Now() })
			_ = cmd.Process.Signal(syscall.SIGABRT)
			time.AfterFunc(s.abort, func() { _ = cmd.Process.Kill() })
		case <-stop:
			_ = cmd.Process.Kill()
			stop = nil
		case <-done:
			s.note(func(l *life) { l.ended, l.state = time.Now(), cmd.ProcessState.String() })
			return cmd.ProcessState.ExitCode(), nil
		}
	}
}

// note changes the newest life.
func (s *supervisor) note(f func(*life)) {
	s.mu.Lock()
	defer s.mu.Unlock()
	f(&s.lives[len(s.lives)-1])
}

// all returns the lives so far.
func (s *supervisor) all() []life {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.lives)
}
