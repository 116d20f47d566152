package senders

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"log/slog"
	"net"
	"os"
	"runtime"
	"testing"
	"time"

	"stockade/firewall"
	"stockade/jails"
	"stockade/jails/filter"
	"stockade/jails/filter/catalogue"
	"stockade/jails/state"
	"stockade/pipeline"
	"stockade/receiver"
)

// servePipeline runs a pipeline with the sshd jail of the catalogue until the test ends.
func servePipeline(t *testing.T, sources *receiver.Sources) *pipeline.Pipeline {
	t.Helper()
	spec, err := catalogue.Get("sshd", nil)
	if err != nil {
		t.Fatal(err)
	}
	f, err := filter.Compile(spec)
	if err != nil {
		t.Fatal(err)
	}
	jail, err := jails.New(jails.DefaultsConfig{}, jails.Config{Name: "sshd", Filter: jails.FilterConfig{Name: "sshd"}}, os.ReadFile)
	if err != nil {
		t.Fatal(err)
	}
	admission := pipeline.Admission{Quotas: pipeline.NewQuotas(), Successes: pipeline.NewSuccesses()}
	store, err := state.Open(state.Options{Dir: t.TempDir(), Admit: admission.Admit, Log: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	p := pipeline.New(pipeline.Options{
		Plan:  pipeline.NewPlan([]pipeline.Bound{{Jail: jail, Filter: f}}, sources.All()),
		Guard: pipeline.NewGuard(), Store: store, Admission: admission,
		Enforcer: firewall.NewObserve(), Log: slog.New(slog.DiscardHandler),
	})
	runUntilEnd(t, p.Run, p.Ready())
	return p
}

func runUntilEnd(t *testing.T, f func(context.Context) error, ready <-chan struct{}) {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- f(ctx) }()
	<-ready
	t.Cleanup(func() {
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
}

// TestUnmatchedLineAllocatesNothing sends lines that a jail looks at and does not match, and counts
// what the whole process allocates from socket to verdict.
func TestUnmatchedLineAllocatesNothing(t *testing.T) {
	certs := newCertificates(t, t.TempDir())
	for _, name := range []string{"server", "web1.lan"} {
		certs.issue(name)
	}
	texts := []string{
		"<38>Nov 24 06:00:00 web1 sshd[7]: Server listening on 0.0.0.0 port 22.\n",
		"<38>1 2026-11-24T06:00:00.123456+05:30 web1 sshd 7 - - Disconnected from user git 192.0.2.8 port 5022\n",
		"<86>Nov 24 06:00:00 web1 sshd[7]: pam_unix(sshd:session): session opened for user git(uid=1000) by (uid=0)\n",
		"<30>Nov 24 06:00:00 web1 systemd[1]: Started Session 7 of user git.\n",
	}
	for _, transport := range []string{"udp", "tcp", "tls"} {
		t.Run(transport, func(t *testing.T) {
			cfg := receiver.ListenerConfig{Name: "l", Transport: transport, Address: "127.0.0.1:0"}
			source := receiver.SourceConfig{Name: "web1", Listener: "l", Jails: []string{"*"}, Addresses: []string{"127.0.0.1"}}
			if transport == "tls" {
				cfg.Cert, cfg.Key, cfg.ClientCA = certs.path("server.pem"), certs.path("server.key"), certs.path("ca.pem")
				source.Addresses, source.Certificate.SAN = nil, "web1.lan"
			}
			sources, err := receiver.NewSources([]receiver.SourceConfig{source}, nil)
			if err != nil {
				t.Fatal(err)
			}
			p := servePipeline(t, sources)
			l, err := receiver.Listen(receiver.Options{Config: cfg, Registry: receiver.NewRegistry(sources), Open: p.Open, Log: slog.New(slog.DiscardHandler)})
			if err != nil {
				t.Fatal(err)
			}
			runUntilEnd(t, l.Run, l.Ready())
			c := certs.dial(transport, l.Addr().String())
			defer c.Close()

			const batch = 128
			lines := make([][]byte, batch)
			for i := range lines {
				lines[i] = []byte(texts[i%len(texts)])
			}
			together := bytes.Join(lines, nil)
			var sent int64
			seen := func() int64 { s := p.Stats(); return s.Unmatched.Load() + s.Ignored.Load() + s.Matched.Load() }
			round := func() {
				if transport == "udp" {
					for _, line := range lines {
						if _, err := c.Write(line); err != nil {
							t.Fatal(err)
						}
					}
				} else if _, err := c.Write(together); err != nil {
					t.Fatal(err)
				}
				sent += batch
				for end := time.Now().Add(10 * time.Second); seen() < sent && time.Now().Before(end); {
					time.Sleep(20 * time.Microsecond)
				}
			}
			total := 100_000
			if testing.Short() {
				total = 20_000
			}
			for range 50 { // pools, caches and maps of the first lines
				round()
			}
			var before, after runtime.MemStats
			runtime.GC()
			runtime.ReadMemStats(&before)
			for range total / batch {
				round()
			}
			runtime.ReadMemStats(&after)
			if seen() != sent {
				t.Fatalf("%d of %d lines got a verdict", seen(), sent)
			}
			s := p.Stats()
			per := float64(after.Mallocs-before.Mallocs) / float64(total)
			t.Logf("%s: %.5f allocations a line over %d lines, socket to verdict", transport, per, total)
			if per > 0.02 && !raceDetector {
				t.Errorf("%.4f allocations a line, want 0", per)
			}
			if s.Ignored.Load() == 0 || s.Unmatched.Load() == 0 || s.Failures.Load() != 0 {
				t.Errorf("ignored %d, unmatched %d, failures %d", s.Ignored.Load(), s.Unmatched.Load(), s.Failures.Load())
			}
		})
	}
}

// dial connects as web1.lan.
func (c *certificates) dial(transport, address string) net.Conn {
	c.t.Helper()
	if transport != "tls" {
		conn, err := net.Dial(transport, address)
		if err != nil {
			c.t.Fatal(err)
		}
		return conn
	}
	pair, err := tls.LoadX509KeyPair(c.path("web1.lan.pem"), c.path("web1.lan.key"))
	if err != nil {
		c.t.Fatal(err)
	}
	roots := x509.NewCertPool()
	roots.AddCert(c.ca)
	conn, err := tls.Dial("tcp", address, &tls.Config{Certificates: []tls.Certificate{pair}, RootCAs: roots, MinVersion: tls.VersionTLS12})
	if err != nil {
		c.t.Fatal(fmt.Errorf("dial %s: %w", address, err))
	}
	return conn
}
