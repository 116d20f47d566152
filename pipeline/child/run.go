package child

import (
	"context"
	"errors"
	"os"
	"os/exec"
	"os/user"
	"runtime"
	"strconv"
	"syscall"
	"time"
)

const (
	// Nobody is the user that runs programs of a daemon that runs as root, unless another one is named.
	Nobody    = "nobody"
	maxOutput = 512 // bytes of a program's output that are kept
)

// Command says what to run.
type Command struct {
	Path string   // absolute
	Args []string // without the program's name
	Env  []string // all that the program gets, besides PATH and LANG
	User string   // by name; "": Nobody, or the daemon's own user when that is not root
}

// StartError is why a program could not be started: trying again does not help.
type StartError struct{ Err error }

// Error returns the cause.
func (e *StartError) Error() string { return e.Err.Error() }

// Unwrap returns the cause.
func (e *StartError) Unwrap() error { return e.Err }

// Run runs a program until it ends or ctx is done, and returns the beginning of what it wrote, which is
// not clean. A program that runs out of time goes with all its children. The error is a *StartError, or
// says how the program ended.
func Run(ctx context.Context, c Command) (output string, err error) {
	cmd := exec.CommandContext(ctx, c.Path, c.Args...)
	cmd.Dir = "/"
	cmd.Env = append([]string{"PATH=/usr/sbin:/usr/bin:/sbin:/bin", "LANG=C.UTF-8"}, c.Env...)
	var out limited
	cmd.Stdout, cmd.Stderr = &out, &out
	credential, err := credentialOf(c.User)
	if err != nil {
		return "", &StartError{err}
	}
	// A group of its own: a program that runs out of time goes with all its children.
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true, Credential: credential}
	cmd.Cancel = func() error { return syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL) }
	cmd.WaitDelay = time.Second
	done := make(chan error, 1)
	go func() {
		runtime.LockOSThread() // never unlocked: the thread, without its ambient capabilities, ends here
		if err := dropAmbient(); err != nil {
			done <- err
			return
		}
		done <- cmd.Start()
	}()
	if err := <-done; err != nil {
		return "", &StartError{err}
	}
	err = cmd.Wait()
	if err != nil && ctx.Err() != nil {
		err = errors.New("still running when its time was over")
	}
	return string(out.kept), err
}

// credentialOf is the user that runs a program; nil: the one that runs us.
func credentialOf(name string) (*syscall.Credential, error) {
	if name == "" && os.Geteuid() == 0 {
		name = Nobody
	}
	if name == "" {
		return nil, nil
	}
	u, err := user.Lookup(name)
	if err != nil {
		return nil, err
	}
	uid, err := strconv.ParseUint(u.Uid, 10, 32)
	if err != nil {
		return nil, err
	}
	gid, err := strconv.ParseUint(u.Gid, 10, 32)
	if err != nil {
		return nil, err
	}
	if int(uid) == os.Geteuid() {
		return nil, nil
	}
	return &syscall.Credential{Uid: uint32(uid), Gid: uint32(gid), Groups: []uint32{}}, nil
}

// limited keeps the beginning of what is written to it. The buffer is no embedded one: io.Copy would
// fill it past the limit by its ReadFrom.
type limited struct{ kept []byte }

// Write takes all and keeps what there is room for.
func (l *limited) Write(b []byte) (int, error) {
	l.kept = append(l.kept, b[:min(len(b), maxOutput-len(l.kept))]...)
	return len(b), nil
}
