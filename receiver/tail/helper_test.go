package tail

import (
	"context"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"

	"stockade/receiver"
	"stockade/receiver/receivertest"
	"stockade/receiver/receivertest/record"
)

var long = flag.Bool("long", false, "run the bars at their full length")

func TestMain(m *testing.M) {
	flag.Parse()
	goleak.VerifyTestMain(m)
}

// rig is a tail of a test, which can be stopped and started again.
type rig struct {
	t      testing.TB
	dir    string // of the logs
	state  string
	rec    *record.Recorder
	log    *receivertest.Log
	cfg    Config
	tune   func(*Tail)
	tail   *Tail
	cut    func([]byte, time.Time) ([]byte, time.Time, bool)
	source *receiver.Source
	reg    *receiver.Registry
	cancel context.CancelFunc
	done   chan error
}

// newRig prepares a tail of patterns in a folder of its own; start starts it.
func newRig(t testing.TB, from string, patterns ...string) *rig {
	t.Helper()
	r := &rig{t: t, dir: folder(t), state: folder(t), rec: new(record.Recorder), log: new(receivertest.Log)}
	r.cfg = Config{Name: "web", App: "nginx", From: from}
	for _, p := range patterns {
		r.cfg.Paths = append(r.cfg.Paths, filepath.Join(r.dir, p))
	}
	ss, err := receiver.NewSources([]receiver.SourceConfig{{Name: "web", Tail: "web", Jails: []string{"*"}}}, nil)
	if err != nil {
		t.Fatal(err)
	}
	r.reg = receiver.NewRegistry(ss)
	r.source = ss.All()[0]
	t.Cleanup(func() { r.stop() })
	return r
}

func folder(t testing.TB) string {
	t.Helper()
	dir, err := filepath.EvalSymlinks(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	return dir
}

func (r *rig) start() *rig {
	r.t.Helper()
	var err error
	r.tail, err = New(Options{
		Config: r.cfg, Registry: r.reg, Open: r.rec.Open, StateDir: r.state, Cut: r.cut,
		Log: r.log.Logger(),
	})
	if err != nil {
		r.t.Fatal(err)
	}
	if r.tune != nil {
		r.tune(r.tail)
	}
	ctx, cancel := context.WithCancel(context.Background())
	r.cancel, r.done = cancel, make(chan error, 1)
	go func(t *Tail) { r.done <- t.Run(ctx) }(r.tail)
	select {
	case <-r.tail.Ready():
	case err := <-r.done:
		r.t.Fatalf("run: %v", err)
	}
	return r
}

func (r *rig) stop() {
	r.t.Helper()
	if r.cancel == nil {
		return
	}
	r.cancel()
	r.cancel = nil
	select {
	case err := <-r.done:
		if err != nil {
			r.t.Errorf("run: %v", err)
		}
	case <-time.After(30 * time.Second):
		r.t.Fatal("the tail does not stop")
	}
}

func (r *rig) path(name string) string { return filepath.Join(r.dir, name) }

// add appends text to a file.
func (r *rig) add(name, text string) {
	r.t.Helper()
	f, err := os.OpenFile(r.path(name), os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o600)
	if err != nil {
		r.t.Fatal(err)
	}
	if _, err := f.WriteString(text); err != nil {
		r.t.Fatal(err)
	}
	if err := f.Close(); err != nil {
		r.t.Fatal(err)
	}
}

func (r *rig) rename(from, to string) {
	r.t.Helper()
	if err := os.Rename(r.path(from), r.path(to)); err != nil {
		r.t.Fatal(err)
	}
}

// copyTruncate rotates as logrotate's copytruncate does.
func (r *rig) copyTruncate(from, to string) {
	r.t.Helper()
	b, err := os.ReadFile(r.path(from))
	if err != nil {
		r.t.Fatal(err)
	}
	if err := os.WriteFile(r.path(to), b, 0o600); err != nil {
		r.t.Fatal(err)
	}
	if err := os.Truncate(r.path(from), 0); err != nil {
		r.t.Fatal(err)
	}
}

// want waits until exactly these texts have come, in this order.
func (r *rig) want(texts ...string) {
	r.t.Helper()
	r.wait(fmt.Sprintf("%q", texts), func() bool { return len(r.rec.All()) >= len(texts) })
	if have := r.rec.Texts(); strings.Join(have, "\n") != strings.Join(texts, "\n") {
		r.t.Fatalf("have %q\nwant %q\nlog:\n%s", have, texts, r.log)
	}
}

func (r *rig) wait(what string, ok func() bool) {
	r.t.Helper()
	if !receivertest.Eventually(30*time.Second, ok) {
		r.t.Fatalf("no %s: have %d lines %.2000q, refused %v, log:\n%s", what, len(r.rec.All()), r.rec.Texts(), r.tail.Stats().Refused, r.log)
	}
}
