package rig

import (
	"bytes"
	"os/exec"
	"sync"
	"syscall"
	"testing"
	"time"
)

// Output is what a process wrote. It may be read while it is written.
type Output struct {
	mu  sync.Mutex
	buf bytes.Buffer
}

// Write appends p; it never fails.
func (o *Output) Write(p []byte) (int, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.buf.Write(p)
}

// String returns all that was written so far.
func (o *Output) String() string {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.buf.String()
}

// endWait is how long a process may take to end.
const endWait = 30 * time.Second

// Process is a running program.
type Process struct {
	Cmd  *exec.Cmd
	Log  *Output       // both of its outputs, unless the command had its own
	Done chan struct{} // closed at its end; Cmd.ProcessState is set then
	t    testing.TB
}

// Start starts a command. It is killed when the test ends, if it still runs.
func Start(t testing.TB, cmd *exec.Cmd) *Process {
	t.Helper()
	p := &Process{Cmd: cmd, Log: new(Output), Done: make(chan struct{}), t: t}
	if cmd.Stdout == nil && cmd.Stderr == nil {
		cmd.Stdout, cmd.Stderr = p.Log, p.Log
	}
	cmd.WaitDelay = 2 * time.Second // a grandchild may keep the pipes open
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	go func() { _ = cmd.Wait(); close(p.Done) }()
	t.Cleanup(p.Kill)
	return p
}

// Ended reports whether the process has ended.
func (p *Process) Ended() bool {
	select {
	case <-p.Done:
		return true
	default:
		return false
	}
}

// Signal sends a signal that is not to end the process.
func (p *Process) Signal(s syscall.Signal) {
	p.t.Helper()
	if err := p.Cmd.Process.Signal(s); err != nil {
		p.t.Fatalf("%s: %v", s, err)
	}
}

// End sends a signal and waits for the end; a process that has ended already is left alone.
func (p *Process) End(s syscall.Signal) {
	p.t.Helper()
	if p.Ended() {
		return
	}
	_ = p.Cmd.Process.Signal(s) // it may have ended meanwhile
	select {
	case <-p.Done:
	case <-time.After(endWait):
		_ = p.Cmd.Process.Kill()
		p.t.Errorf("%s still runs %s after %v", p.Cmd.Path, endWait, s)
	}
}

// Kill ends the process by SIGKILL.
func (p *Process) Kill() { p.End(syscall.SIGKILL) }
