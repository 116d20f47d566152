package receiver

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"log/slog"
	"net"
	"os"
	"os/exec"
	"os/signal"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// child is this test program again, as a process of its own: for tests that stop it, starve
// it of descriptors or hand it sockets.
type child struct {
	cmd *exec.Cmd
	out *bufio.Reader
	in  io.WriteCloser
}

func startChild(t testing.TB, what string, args ...string) *child {
	t.Helper()
	return startChildWith(t, nil, what, args...)
}

func startChildWith(t testing.TB, tune func(*exec.Cmd), what string, args ...string) *child {
	t.Helper()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(self) //nolint:gosec // ourselves
	cmd.Env = append(os.Environ(), "STOCKADE_TEST_RECEIVER_CHILD="+what, "STOCKADE_TEST_RECEIVER_ARGS="+strings.Join(args, " "))
	cmd.Stderr = os.Stderr
	if tune != nil {
		tune(cmd)
	}
	c := &child{cmd: cmd}
	if c.in, err = cmd.StdinPipe(); err != nil {
		t.Fatal(err)
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	c.out = bufio.NewReader(out)
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = c.in.Close()
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
	})
	return c
}

// read returns the next line that the child prints.
func (c *child) read(t testing.TB) string {
	t.Helper()
	s, err := c.out.ReadString('\n')
	if err != nil {
		t.Fatalf("the child ended: %v", err)
	}
	return strings.TrimSpace(s)
}

// printer is a sink that prints each text.
type printer struct{}

func (printer) Put(e *Entry) { fmt.Printf("%s %s %s\n", e.Listener, e.Source.Name, e.Text) }
func (printer) Flush()       {}

// runChild is the child's main.
func runChild(what string) int {
	args := strings.Fields(os.Getenv("STOCKADE_TEST_RECEIVER_ARGS"))
	ctx, cancel := signal.NotifyContext(context.Background(), syscall.SIGTERM)
	defer cancel()
	var err error
	switch what {
	case "serve-unixgram":
		err = childServe(ctx, ListenerConfig{Name: "l", Transport: "unixgram", Path: args[0]}, nil, nil)
	case "inherit":
		err = childServe(ctx, ListenerConfig{Name: args[0], Transport: args[1], Path: "/inherited"}, Inherited()[args[0]], nil)
	case "few-descriptors":
		err = childStarved(ctx, args[0])
	default:
		err = fmt.Errorf("unknown child %q", what)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	return 0
}

func childServe(ctx context.Context, cfg ListenerConfig, inherited []*os.File, open Opener) error {
	source := SourceConfig{Name: "any", Listener: cfg.Name}
	if !cfg.isUnix() {
		source.Addresses = []string{"127.0.0.0/8"}
	}
	ss, err := NewSources([]SourceConfig{source}, nil)
	if err != nil {
		return err
	}
	if open == nil {
		open = func(bool) Sink { return printer{} }
	}
	l, err := Listen(Options{
		Config: cfg, Registry: NewRegistry(ss), Open: open, Inherited: inherited,
		Log: slog.New(slog.DiscardHandler),
	})
	if err != nil {
		return err
	}
	fmt.Println(l.Addr())
	return l.Run(ctx)
}

// childStarved serves tcp with 64 descriptors, beside a control socket that answers.
func childStarved(ctx context.Context, controlPath string) error {
	limit := unix.Rlimit{Cur: 64, Max: 64}
	if err := unix.Setrlimit(unix.RLIMIT_NOFILE, &limit); err != nil {
		return err
	}
	ln, err := net.Listen("unix", controlPath)
	if err != nil {
		return err
	}
	go func() {
		for {
			c, err := ln.Accept()
			if err != nil {
				fmt.Fprintln(os.Stderr, "control:", err)
				time.Sleep(time.Millisecond)
				continue
			}
			var u unix.Rusage
			_ = unix.Getrusage(unix.RUSAGE_SELF, &u)
			fmt.Fprintln(c, time.Duration(u.Utime.Nano()+u.Stime.Nano()).Microseconds())
			_ = c.Close()
		}
	}()
	return childServe(ctx, ListenerConfig{Name: "l", Transport: "tcp", Address: "127.0.0.1:0"}, nil, nil)
}

// TestDescriptorsRunOut is bar A6: with 64 descriptors and 1,000 clients the program stays
// calm, its control socket answers, and it accepts again once there is room.
func TestDescriptorsRunOut(t *testing.T) {
	clients, span := 1000, time.Second
	if *long {
		span = time.Minute
	}
	control := socketPath(t)
	c := startChild(t, "few-descriptors", control)
	address := c.read(t)
	ask := func() (cpu, took time.Duration) {
		t.Helper()
		began := time.Now()
		k, err := net.Dial("unix", control)
		if err != nil {
			t.Fatal(err)
		}
		defer k.Close()
		_ = k.SetDeadline(time.Now().Add(10 * time.Second))
		var us int64
		if _, err := fmt.Fscan(k, &us); err != nil {
			t.Fatalf("control: %v", err)
		}
		return time.Duration(us) * time.Microsecond, time.Since(began)
	}
	before, _ := ask()
	began := time.Now()
	conns := make([]net.Conn, 0, clients)
	for range clients {
		k, err := net.DialTimeout("tcp", address, 5*time.Second)
		if err != nil {
			continue // the kernel's queue is full
		}
		conns = append(conns, k)
	}
	var slowest time.Duration
	var after time.Duration
	for time.Since(began) < span {
		var took time.Duration
		after, took = ask()
		slowest = max(slowest, took)
		time.Sleep(20 * time.Millisecond)
	}
	cpu := 100 * float64(after-before) / float64(time.Since(began))
	for _, k := range conns {
		_ = k.Close()
	}
	began = time.Now()
	good, err := net.Dial("tcp", address)
	if err != nil {
		t.Fatal(err)
	}
	defer good.Close()
	done := make(chan string, 1) // one line
	go func() {
		s, _ := c.out.ReadString('\n')
		done <- strings.TrimSpace(s)
	}()
	again := time.Duration(0)
	for again == 0 { // a client in the queue may be sent away once more
		_, _ = good.Write([]byte("<38>a: again\n"))
		select {
		case s := <-done:
			if s != "l any again" {
				t.Fatalf("got %q", s)
			}
			again = time.Since(began)
		case <-time.After(100 * time.Millisecond):
			if time.Since(began) > 30*time.Second {
				t.Fatal("does not accept again")
			}
			_ = good.Close()
			if good, err = net.Dial("tcp", address); err != nil {
				t.Fatal(err)
			}
		}
	}
	t.Logf("A6: 64 descriptors, %d clients for %s: %.1f %% of a core, control answered within %s, accepted again after %s",
		len(conns), span, cpu, slowest.Round(time.Microsecond), again.Round(time.Millisecond))
	if cpu > 50 || slowest > 5*time.Second || again > 10*time.Second {
		t.Errorf("cpu %.1f %%, control %s, again %s", cpu, slowest, again)
	}
}

// TestSocketActivation hands sockets to a process as systemd does (sd_listen_fds(3)).
func TestSocketActivation(t *testing.T) {
	for _, transport := range []string{"udp", "tcp", "unix", "unixgram"} {
		t.Run(transport, func(t *testing.T) {
			var f *os.File
			var addr net.Addr
			var err error
			path := socketPath(t)
			switch transport {
			case "udp":
				var c net.PacketConn
				if c, err = net.ListenPacket("udp", "127.0.0.1:0"); err == nil {
					t.Cleanup(func() { _ = c.Close() })
					addr = c.LocalAddr()
					f, err = c.(*net.UDPConn).File()
				}
			case "unixgram":
				var c *net.UnixConn
				if c, err = net.ListenUnixgram("unixgram", &net.UnixAddr{Name: path, Net: "unixgram"}); err == nil {
					t.Cleanup(func() { _ = c.Close() })
					addr = c.LocalAddr()
					f, err = c.File()
				}
			case "tcp":
				var l net.Listener
				if l, err = net.Listen("tcp", "127.0.0.1:0"); err == nil {
					defer l.Close()
					addr = l.Addr()
					f, err = l.(*net.TCPListener).File()
				}
			case "unix":
				var l net.Listener
				if l, err = net.Listen("unix", path); err == nil {
					defer l.Close()
					addr = l.Addr()
					f, err = l.(*net.UnixListener).File()
				}
			}
			if err != nil {
				t.Fatal(err)
			}
			defer f.Close()
			// The shell stands in for systemd: it sets LISTEN_PID to the process that it becomes.
			c := startChildWith(t, func(cmd *exec.Cmd) {
				cmd.Args = []string{"sh", "-c", `LISTEN_PID=$$ LISTEN_FDS=1 LISTEN_FDNAMES=lan exec "$0"`, cmd.Path}
				cmd.Path = "/bin/sh"
				cmd.ExtraFiles = []*os.File{f}
			}, "inherit", "lan", transport)
			c.read(t)
			k, err := net.Dial(addr.Network(), addr.String())
			if err != nil {
				t.Fatal(err)
			}
			defer k.Close()
			got := make(chan string, 1) // one line
			go func() {
				s, _ := c.out.ReadString('\n')
				got <- strings.TrimSpace(s)
			}()
			for range 600 { // a datagram sent before SO_PASSCRED is set carries no credentials
				if _, err := k.Write([]byte("<38>a: handed over\n")); err != nil {
					t.Fatal(err)
				}
				select {
				case s := <-got:
					if s != "lan any handed over" {
						t.Fatalf("got %q", s)
					}
					return
				case <-time.After(50 * time.Millisecond):
				}
			}
			t.Fatal("nothing arrived")
		})
	}
}

func TestInheritedSocketMustFit(t *testing.T) {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer ln.Close()
	f, err := ln.(*net.TCPListener).File()
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	for _, transport := range []string{"udp", "unix", "unixgram"} {
		_, err := Listen(Options{
			Config:    ListenerConfig{Name: "l", Transport: transport},
			Registry:  NewRegistry(nil),
			Open:      new(recorder).open,
			Log:       discardLog(),
			Inherited: []*os.File{f},
		})
		if err == nil || !strings.Contains(err.Error(), "does not fit transport "+transport) {
			t.Errorf("%s: error %v", transport, err)
		}
	}
}
