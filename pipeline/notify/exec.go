package notify

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"os/exec"
	"os/user"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"
)

const (
	nobody    = "nobody"
	maxOutput = 512 // bytes of a program's output that an error tells
)

// program runs a program once an event, without a shell. What the event says is in its environment.
type program struct {
	cfg  *Config
	args []*template
}

func newProgram(c *Config) (*program, error) {
	p := &program{cfg: c}
	for _, arg := range c.Command[1:] {
		t, err := parseArgument(arg)
		if err != nil {
			return nil, err
		}
		p.args = append(p.args, t)
	}
	return p, nil
}

func (*program) close() {}

func (p *program) send(ctx context.Context, m *message) error {
	args := make([]string, len(p.args))
	for i, t := range p.args {
		args[i] = t.fill(m)
	}
	cmd := exec.CommandContext(ctx, p.cfg.Command[0], args...)
	cmd.Dir = "/"
	cmd.Env = environment(m)
	var out limited
	cmd.Stdout, cmd.Stderr = &out, &out
	credential, err := p.credential()
	if err != nil {
		return permanent(err)
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
		return permanent(err)
	}
	switch err := cmd.Wait(); {
	case err == nil:
		return nil
	case ctx.Err() != nil:
		return fmt.Errorf("%s: still running when its time was over", p.cfg.Command[0])
	case out.Len() > 0:
		return fmt.Errorf("%s: %w: %s", p.cfg.Command[0], err, clean(out.String(), maxOutput))
	default:
		return fmt.Errorf("%s: %w", p.cfg.Command[0], err)
	}
}

// credential is the user that runs the program; nil: the one that runs us.
func (p *program) credential() (*syscall.Credential, error) {
	name := p.cfg.User
	if name == "" && os.Geteuid() == 0 {
		name = nobody
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

// environment is all that a program gets: a path, a locale and the event.
func environment(m *message) []string {
	env := []string{"PATH=/usr/sbin:/usr/bin:/sbin:/bin", "LANG=C.UTF-8"}
	for _, f := range m.fields() {
		env = append(env, "STOCKADE_EVENT_"+strings.ToUpper(f.name)+"="+strings.ReplaceAll(f.value, "\x00", ""))
	}
	slices.Sort(env[2:])
	return env
}

// limited keeps the beginning of what is written to it.
type limited struct{ bytes.Buffer }

// Write takes all and keeps what there is room for.
func (l *limited) Write(b []byte) (int, error) {
	if room := maxOutput - l.Len(); room > 0 {
		_, _ = l.Buffer.Write(b[:min(len(b), room)]) // a bytes.Buffer takes all
	}
	return len(b), nil
}
