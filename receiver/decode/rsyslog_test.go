package decode

import (
	"errors"
	"flag"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"stockade/receiver/frame"
)

var long = flag.Bool("long", false, "run the long forms of the bars")

// rsyslogTemplates are rsyslog's own forwarding templates.
var rsyslogTemplates = []string{
	"RSYSLOG_TraditionalForwardFormat", "RSYSLOG_ForwardFormat", "RSYSLOG_SyslogProtocol23Format", "RSYSLOG_SyslogRFC5424Format",
}

// TestB7RealRsyslog sends numbered lines through a real rsyslogd, by each of its templates and both
// framings over TCP, and wants every text back as it was.
func TestB7RealRsyslog(t *testing.T) {
	program, err := exec.LookPath("rsyslogd")
	if err != nil {
		if program = "/usr/sbin/rsyslogd"; !exists(program) {
			missing(t, "rsyslogd is not installed")
		}
	}
	lines := 500
	if *long {
		lines = 10_000
	}
	texts := make([]string, lines)
	for i := range texts {
		texts[i] = fmt.Sprintf("%d %s", i, generator{testRand(uint64(i))}.text())
	}

	dir, err := os.MkdirTemp("", "rsyslog") // short: a socket's path has 107 bytes
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	socket := filepath.Join(dir, "log")
	var conf strings.Builder
	fmt.Fprintf(&conf, "global(workDirectory=%q)\nmodule(load=\"imuxsock\" SysSock.Use=\"off\" SysSock.RateLimit.Interval=\"0\")\n", dir)
	fmt.Fprintf(&conf, "input(type=\"imuxsock\" Socket=%q RateLimit.Interval=\"0\")\n", socket)
	var sinks []*sink
	for _, template := range rsyslogTemplates {
		for _, framing := range []string{"traditional", "octet-counted"} {
			s := newSink(t, template+", "+framing, lines)
			sinks = append(sinks, s)
			host, port, _ := net.SplitHostPort(s.listener.Addr().String())
			fmt.Fprintf(&conf, "action(type=\"omfwd\" target=%q port=%q protocol=\"tcp\" TCP_Framing=%q template=%q)\n", host, port, framing, template)
		}
	}
	confFile := filepath.Join(dir, "conf")
	if err := os.WriteFile(confFile, []byte(conf.String()), 0o600); err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(program, "-n", "-i", filepath.Join(dir, "pid"), "-f", confFile)
	var output strings.Builder
	cmd.Stdout, cmd.Stderr = &output, &output
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	stop := sync.OnceFunc(func() {
		_ = cmd.Process.Signal(syscall.SIGTERM)
		force := time.AfterFunc(5*time.Second, func() { _ = cmd.Process.Kill() })
		defer force.Stop()
		_ = cmd.Wait()
	})
	t.Cleanup(stop)

	conn := dial(t, socket)
	defer conn.Close()
	_ = conn.SetDeadline(time.Now().Add(time.Minute))
	for i, text := range texts {
		if _, err := fmt.Fprintf(conn, "<38>Nov 24 06:00:00 sshd[%d]: %s", i+1, text); err != nil {
			t.Fatal(err)
		}
	}
	for _, s := range sinks {
		select {
		case <-s.done:
		case <-time.After(30 * time.Second):
			stop()
			t.Fatalf("%s: %d of %d lines; rsyslogd said: %s", s.name, s.count(), lines, output.String())
		}
		s.check(t, texts)
	}
}

// sink takes one connection and decodes what comes.
type sink struct {
	name     string
	listener net.Listener
	done     chan struct{} // closed when all lines have come

	mu  sync.Mutex // guards got
	got []fixture
}

func newSink(t *testing.T, name string, lines int) *sink {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	s := &sink{name: name, listener: l, done: make(chan struct{})}
	var wg sync.WaitGroup
	wg.Go(func() { s.serve(lines) })
	t.Cleanup(func() {
		_ = l.Close()
		wg.Wait()
	})
	return s
}

func (s *sink) serve(lines int) {
	conn, err := s.listener.Accept()
	if err != nil {
		return
	}
	defer conn.Close()
	_ = conn.SetDeadline(time.Now().Add(time.Minute))
	r, d := frame.NewReader(conn, frame.Options{}), New(nil)
	var m Message
	for {
		f, err := r.Next()
		if err != nil {
			if !errors.Is(err, io.EOF) {
				s.add(fixture{Text: err.Error()})
			}
			return
		}
		d.Decode(f.Bytes, time.Now(), &m)
		if s.add(fixtureOf(&m)) == lines {
			close(s.done)
		}
	}
}

func (s *sink) add(f fixture) int {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.got = append(s.got, f)
	return len(s.got)
}

func (s *sink) count() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.got)
}

// check wants one message for each text, whatever the order. rsyslog escapes control characters
// and bytes that are no text, so texts are compared after its escapes.
func (s *sink) check(t *testing.T, texts []string) {
	t.Helper()
	s.mu.Lock()
	defer s.mu.Unlock()
	byPID := map[string]fixture{}
	for _, f := range s.got {
		if f.App != "sshd" || f.Host == "" || f.Stamp == "" || *f.PRI != 38 || f.Malformed {
			t.Fatalf("%s: %+v", s.name, f)
		}
		byPID[f.PID] = f
	}
	for i, text := range texts {
		want := strings.ReplaceAll(text, "\t", "#011")
		if got := byPID[fmt.Sprint(i+1)].Text; got != want {
			t.Errorf("%s: line %d is %q, want %q", s.name, i, got, want)
		}
	}
}

// dial connects to a socket that is about to appear.
func dial(t *testing.T, socket string) net.Conn {
	t.Helper()
	var err error
	for range 300 {
		var conn net.Conn
		if conn, err = net.Dial("unixgram", socket); err == nil {
			return conn
		}
		time.Sleep(100 * time.Millisecond) // bounded polling: nothing tells when the socket is there
	}
	t.Fatal(err)
	return nil
}

// missing skips the test with a reason, or fails it where everything must be there.
func missing(t *testing.T, reason string) {
	t.Helper()
	if os.Getenv("STOCKADE_REQUIRE") == "all" {
		t.Fatal(reason)
	}
	t.Skip(reason)
}

func exists(path string) bool {
	_, err := os.Stat(path)
	return err == nil
}
