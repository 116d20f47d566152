package journald

import (
	"context"
	"flag"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"

	"stockade/receiver"
)

func TestMain(m *testing.M) {
	flag.Bool("long", false, "taken as everywhere; no test of this package has a long form")
	flag.Parse()
	goleak.VerifyTestMain(m)
}

// task is what runs in the daemon.
type task interface {
	Run(ctx context.Context) error
	Ready() <-chan struct{}
	String() string
}

// run runs a task until the returned function is called, at the latest when the test ends.
func run(t testing.TB, x task) (stop func()) {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- x.Run(ctx) }()
	select {
	case <-x.Ready():
	case err := <-done:
		t.Fatalf("%s: %v", x, err)
	case <-time.After(60 * time.Second):
		t.Fatalf("%s does not become ready", x)
	}
	var once sync.Once
	stop = func() {
		once.Do(func() {
			cancel()
			select {
			case err := <-done:
				if err != nil {
					t.Errorf("%s: %v", x, err)
				}
			case <-time.After(60 * time.Second):
				t.Errorf("%s does not stop", x)
			}
		})
	}
	t.Cleanup(stop)
	return stop
}

const (
	remotePath = "/lib/systemd/systemd-journal-remote"
	uploadPath = "/lib/systemd/systemd-journal-upload"
)

var hostSource = receiver.SourceConfig{Name: "host", Journal: "local"}
