package receiver

import (
	"context"
	"flag"
	"fmt"
	"io"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"go.uber.org/goleak"

	"stockade/receiver/decode"
	"stockade/receiver/receivertest"
)

var long = flag.Bool("long", false, "run the bars at their full length")

func TestMain(m *testing.M) {
	if child := os.Getenv("STOCKADE_TEST_RECEIVER_CHILD"); child != "" {
		os.Exit(runChild(child))
	}
	flag.Parse()
	goleak.VerifyTestMain(m)
}

// line is a copy of what a sink was given.
type line struct {
	text, raw, app, host, source string
	peer                         Peer
	origin                       Origin
	truncated                    bool
}

// recorder is the sink of a whole test: Opener gives every reader a sink of its own.
type recorder struct {
	mu      sync.Mutex
	lines   []line
	total   int
	flushes int
	opened  int
	quiet   atomic.Bool // count only
	hold    chan struct{}
}

func (r *recorder) open(bool) Sink {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.opened++
	return &recorderSink{r: r}
}

type recorderSink struct {
	r     *recorder
	lines []line
	n     int
}

func (s *recorderSink) Put(e *Entry) {
	if s.r.hold != nil {
		<-s.r.hold
	}
	s.n++
	if s.r.quiet.Load() {
		return
	}
	s.lines = append(s.lines, line{
		text: string(e.Text), raw: string(e.Raw), app: string(e.App), host: string(e.Hostname),
		source: e.Source.Name, peer: e.Peer, origin: e.Origin, truncated: e.Truncated,
	})
}

func (s *recorderSink) Flush() {
	if s.n == 0 {
		return
	}
	s.r.mu.Lock()
	defer s.r.mu.Unlock()
	s.r.flushes++
	s.r.lines = append(s.r.lines, s.lines...)
	s.r.total += s.n
	s.lines, s.n = s.lines[:0], 0
}

func (r *recorder) count() int {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.total
}

func (r *recorder) all() []line {
	r.mu.Lock()
	defer r.mu.Unlock()
	return append([]line(nil), r.lines...)
}

// rig is a running listener with its recorder and log.
type rig struct {
	*Listener
	t        testing.TB
	rec      *recorder
	log      *receivertest.Log
	registry *Registry
	cancel   context.CancelFunc
	done     chan error
	stopped  bool
}

// start runs a listener until the test ends. tune may shorten its limits.
func start(t testing.TB, cfg ListenerConfig, sources []SourceConfig, tune func(*Listener)) *rig {
	t.Helper()
	r := prepare(t, cfg, sources, tune)
	ctx, cancel := context.WithCancel(context.Background())
	r.cancel = cancel
	go func() { r.done <- r.Run(ctx) }()
	<-r.Ready()
	t.Cleanup(func() {
		if err := r.stop(); err != nil {
			t.Errorf("run: %v", err)
		}
	})
	return r
}

func prepare(t testing.TB, cfg ListenerConfig, sources []SourceConfig, tune func(*Listener)) *rig {
	t.Helper()
	if cfg.Name == "" {
		cfg.Name = "l"
	}
	for i := range sources {
		sources[i].Listener = cfg.Name
		sources[i].Jails = []string{"*"}
	}
	ss, err := NewSources(sources, nil)
	if err != nil {
		t.Fatal(err)
	}
	r := &rig{t: t, rec: new(recorder), log: new(receivertest.Log), registry: NewRegistry(ss), done: make(chan error, 1)}
	l, err := Listen(Options{
		Config: cfg, Registry: r.registry, Open: r.rec.open,
		Log: r.log.Logger(),
	})
	if err != nil {
		t.Fatal(err)
	}
	if tune != nil {
		tune(l)
	}
	r.Listener = l
	return r
}

// stop ends the listener and returns what Run returned.
func (r *rig) stop() error {
	if r.stopped {
		return nil
	}
	r.stopped = true
	r.cancel()
	select {
	case err := <-r.done:
		return err
	case <-time.After(20 * time.Second):
		return fmt.Errorf("%s does not stop", r)
	}
}

// dial connects to the listener.
func (r *rig) dial() net.Conn {
	r.t.Helper()
	a := r.Addr()
	c, err := net.Dial(a.Network(), a.String())
	if err != nil {
		r.t.Fatal(err)
	}
	r.t.Cleanup(func() { _ = c.Close() })
	return c
}

func (r *rig) send(c io.Writer, text string) {
	r.t.Helper()
	if _, err := io.WriteString(c, text); err != nil {
		r.t.Fatal(err)
	}
}

// lines waits for n lines and returns all.
func (r *rig) lines(n int) []line {
	r.t.Helper()
	r.wait(fmt.Sprintf("%d lines", n), func() bool { return r.rec.count() >= n })
	return r.rec.all()
}

func (r *rig) refusals(reason string) int64 {
	for _, x := range r.Stats().Refused {
		if x.Reason == reason {
			return x.Count
		}
	}
	return 0
}

func (r *rig) wait(what string, ok func() bool) {
	r.t.Helper()
	if !receivertest.Eventually(30*time.Second, ok) {
		r.t.Fatalf("no %s: have %d lines, refused %v, log:\n%s", what, r.rec.count(), r.Stats().Refused, r.log)
	}
}

// closedSoon reports whether the other side closes c.
func closedSoon(c net.Conn, limit time.Duration) bool {
	_ = c.SetReadDeadline(time.Now().Add(limit))
	_, err := io.Copy(io.Discard, c)
	return err == nil || !os.IsTimeout(err)
}

var local = []SourceConfig{{Name: "local", Addresses: []string{"127.0.0.0/8", "::1"}}}

func loopback(transport string) ListenerConfig {
	return ListenerConfig{Name: "l", Transport: transport, Address: "127.0.0.1:0"}
}

// socketPath returns a path short enough for a unix socket.
func socketPath(t testing.TB) string {
	t.Helper()
	dir, err := os.MkdirTemp("", "rcv")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	return filepath.Join(dir, "s")
}

func entries(s ListenerStats) (n int64) {
	for i := range decode.Forms {
		n += s.Entries[i]
	}
	return n
}

func discardLog() *slog.Logger { return slog.New(slog.DiscardHandler) }
