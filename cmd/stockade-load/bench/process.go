package bench

import (
	"bytes"
	"cmp"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"runtime"
	"strconv"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// stopWait is how long a process may take to end when it is told to.
const stopWait = 20 * time.Second

// startOn starts a command, on one processor when cpu is not negative.
func startOn(cmd *exec.Cmd, cpu int) error {
	if cpu < 0 {
		return cmd.Start()
	}
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	var before, one unix.CPUSet
	if err := unix.SchedGetaffinity(0, &before); err != nil {
		return fmt.Errorf("read the processors of this thread: %w", err)
	}
	one.Set(cpu)
	if err := unix.SchedSetaffinity(0, &one); err != nil {
		return fmt.Errorf("run on processor %d: %w", cpu, err)
	}
	err := cmd.Start()
	return errors.Join(err, unix.SchedSetaffinity(0, &before))
}

// finish runs a command to its end and returns its user and system time.
func finish(cmd *exec.Cmd, cpu int) (time.Duration, error) {
	var stderr bytes.Buffer
	if cmd.Stderr == nil {
		cmd.Stderr = &stderr
	}
	if err := startOn(cmd, cpu); err != nil {
		return 0, err
	}
	if err := cmd.Wait(); err != nil {
		return 0, fmt.Errorf("%s: %w: %s", cmd.Args[0], err, last(stderr.String()))
	}
	return cmd.ProcessState.UserTime() + cmd.ProcessState.SystemTime(), nil
}

// last is the end of a text, for an error.
func last(text string) string {
	text = strings.TrimSpace(text)
	return text[max(0, len(text)-500):]
}

// server is a process that works until it is stopped.
type server struct {
	cmd    *exec.Cmd
	output *os.File // of both streams
	done   chan struct{}
	err    error
}

// serve starts a server whose output goes to a file.
func serve(cmd *exec.Cmd, cpu int, output string) (*server, error) {
	f, err := os.Create(output)
	if err != nil {
		return nil, err
	}
	if cmd.Stdout == nil {
		cmd.Stdout = f
	}
	cmd.Stderr = f
	if err := startOn(cmd, cpu); err != nil {
		f.Close()
		return nil, err
	}
	s := &server{cmd: cmd, output: f, done: make(chan struct{})}
	go func() {
		s.err = cmd.Wait()
		close(s.done)
	}()
	return s, nil
}

// said is what the server wrote, for an error.
func (s *server) said() string {
	text, err := os.ReadFile(s.output.Name())
	if err != nil {
		return err.Error()
	}
	return last(string(text))
}

// stop ends the server and waits for it.
func (s *server) stop() {
	defer s.output.Close()
	_ = s.cmd.Process.Signal(syscall.SIGTERM)
	select {
	case <-s.done:
	case <-time.After(stopWait):
		_ = s.cmd.Process.Kill()
		<-s.done
	}
}

// until waits for a condition as long as the server lives.
func (s *server) until(limit time.Duration, what string, ok func() bool) error {
	deadline := time.Now().Add(limit)
	for !ok() {
		select {
		case <-s.done:
			return fmt.Errorf("%s ended before %s: %w: %s", s.cmd.Args[0], what, cmp.Or(s.err, errors.New("exit status 0")), s.said())
		default:
		}
		if time.Now().After(deadline) {
			return fmt.Errorf("not within %s: %s: %s", limit, what, s.said())
		}
		time.Sleep(2 * time.Millisecond)
	}
	return nil
}

// cpu is the user and system time of the server so far, of all its threads, in steps of 10 ms.
func (s *server) cpu() (time.Duration, error) {
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", s.cmd.Process.Pid))
	if err != nil {
		return 0, err
	}
	f := strings.Fields(string(text[bytes.LastIndexByte(text, ')')+1:]))
	if len(f) < 13 {
		return 0, fmt.Errorf("/proc/%d/stat has %d fields", s.cmd.Process.Pid, len(f))
	}
	var ticks int64
	for _, field := range f[11:13] { // utime, stime: fields 14 and 15
		n, err := strconv.ParseInt(field, 10, 64)
		if err != nil {
			return 0, err
		}
		ticks += n
	}
	return time.Duration(ticks) * 10 * time.Millisecond, nil // USER_HZ is 100 on every port of Go
}

// memory is a number of /proc/PID/status in bytes: VmRSS, VmHWM.
func (s *server) memory(name string) (int64, error) {
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", s.cmd.Process.Pid))
	if err != nil {
		return 0, err
	}
	for line := range strings.Lines(string(text)) {
		if f := strings.Fields(line); len(f) == 3 && f[0] == name+":" {
			n, err := strconv.ParseInt(f[1], 10, 64)
			return n << 10, err
		}
	}
	return 0, fmt.Errorf("/proc/%d/status has no %s", s.cmd.Process.Pid, name)
}
