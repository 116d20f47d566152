package daemon

import (
	"context"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"stockade/cmd/stockade/control"
)

// served is a daemon that runs in this process, with backend observe.
type served struct {
	t      testing.TB
	d      *daemon
	dir    string
	config string
	log    *logText
	*control.Client
	stop func() error
}

// logText is a log that may be read while it is written.
type logText struct {
	mu   sync.Mutex
	text strings.Builder
}

func (l *logText) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.Write(p)
}

func (l *logText) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.String()
}

// eventually waits until ok says true.
func eventually(t testing.TB, what string, ok func() bool) {
	t.Helper()
	for deadline := time.Now().Add(30 * time.Second); !ok(); time.Sleep(5 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("not within 30 s: %s", what)
		}
	}
}

// serve runs a configuration; %DIR% in it is the daemon's folder.
func serve(t testing.TB, text string) *served {
	t.Helper()
	dir, err := os.MkdirTemp("", "stk") // short: a socket path has at most 107 bytes
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	s := &served{t: t, dir: dir, config: filepath.Join(dir, "stockade.yaml")}
	s.write(text)
	s.start()
	return s
}

// write replaces the configuration.
func (s *served) write(text string) {
	s.t.Helper()
	head := "state_dir: %DIR%/state\ncontrol: {socket: %DIR%/control.sock}\nfirewall: {backend: observe}\n"
	if err := os.WriteFile(s.config, []byte(strings.ReplaceAll(head+text, "%DIR%", s.dir)), 0o600); err != nil {
		s.t.Fatal(err)
	}
}

func (s *served) start() {
	s.t.Helper()
	s.log = &logText{}
	s.d = newDaemon(Options{Config: s.config, Stderr: s.log})
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan struct{})
	var err error
	go func() {
		defer close(ended)
		err = s.d.run(ctx)
	}()
	stop := sync.OnceValue(func() error {
		cancel()
		<-ended
		return err
	})
	s.stop = stop
	s.t.Cleanup(func() {
		if err := stop(); err != nil && !s.t.Failed() {
			s.t.Errorf("run: %v", err)
		}
		if s.t.Failed() {
			s.t.Logf("the daemon's log:\n%s", s.log)
		}
	})
	eventually(s.t, "the daemon serves", func() bool {
		select {
		case <-ended:
			s.t.Fatalf("run ended: %v\n%s", err, s.log)
		default:
		}
		return strings.Contains(s.log.String(), `"msg":"serving"`)
	})
	c, err := control.Dial(s.t.Context(), filepath.Join(s.dir, "control.sock"))
	if err != nil {
		s.t.Fatal(err)
	}
	s.t.Cleanup(c.Close)
	s.Client = c
}

// failures sends failed logins of an address and waits until they are counted, and what they lead to is done.
func (s *served) failures(conn net.Conn, address string, n int) {
	s.t.Helper()
	before := s.source().Failures
	for range n {
		if _, err := fmt.Fprintf(conn, "<38>Nov 24 10:00:00 host app: failed login from %s\n", address); err != nil {
			s.t.Fatal(err)
		}
	}
	eventually(s.t, "the failures are counted", func() bool { return s.source().Failures == before+int64(n) })
	// A failure is counted before what it leads to: a worker answers when it is done with the lines.
	if err := s.Ping(s.t.Context()); err != nil {
		s.t.Fatal(err)
	}
}

// source is the first source.
func (s *served) source() control.Source {
	s.t.Helper()
	list, err := s.Sources(s.t.Context())
	if err != nil || len(list) == 0 {
		s.t.Fatalf("sources: %v, %v", list, err)
	}
	return list[0]
}

// banned are the addresses banned in a jail, "" for all.
func (s *served) banned(jail string) string {
	s.t.Helper()
	bans, err := s.Bans(s.t.Context(), jail)
	if err != nil {
		s.t.Fatal(err)
	}
	var list []string
	for _, b := range bans {
		list = append(list, b.Address.Addr().String())
	}
	return strings.Join(list, " ")
}

// connect opens a connection to the stream listener.
func (s *served) connect() net.Conn {
	s.t.Helper()
	conn, err := net.Dial("unix", filepath.Join(s.dir, "in.sock"))
	if err != nil {
		s.t.Fatal(err)
	}
	s.t.Cleanup(func() { _ = conn.Close() })
	return conn
}

// config is a configuration with a stream listener, the jail app and further jails.
func configText(maxretry int, enforce bool, more ...string) string {
	return fmt.Sprintf(`listeners: [{name: in, transport: unix, path: %%DIR%%/in.sock}]
sources: [{name: here, listener: in, jails: ["*"]}]
jails:
  - {name: app, filter: {failregex: ['^failed login from <HOST>$']}, apps: [app], maxretry: %d, enforce: %t, findtime: 1h}
%s`, maxretry, enforce, strings.Join(more, "\n"))
}

// sshd is a jail of the native filter that believes the user who runs the test, as it does root.
func sshd(name, keys string) string {
	return fmt.Sprintf("  - {name: %s, filter: sshd, origin: {uid: [%d]}%s}", name, os.Getuid(), keys)
}
