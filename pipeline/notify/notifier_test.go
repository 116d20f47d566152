package notify

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"go.uber.org/goleak"
)

// trusted is the CA that this process trusts.
var trusted *authority

func TestMain(m *testing.M) {
	// Roots are read once a process, from the file that this names.
	dir, err := os.MkdirTemp("", "stk-notify")
	if err == nil {
		trusted, err = newAuthority()
	}
	roots := filepath.Join(dir, "roots.pem")
	if err == nil {
		err = os.WriteFile(roots, trusted.pem(), 0o600)
	}
	if err == nil {
		err = os.Setenv("SSL_CERT_FILE", roots)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	goleak.VerifyTestMain(m, goleak.Cleanup(func(code int) { os.RemoveAll(dir); os.Exit(code) }))
}

// hostile are values as an attacker would choose them.
var hostile = []string{
	"x\r\nBcc: victim@example.org\r\n\r\nbody",
	"\"},{\"a\":\"b",
	"$(touch pwned) `touch pwned`; touch pwned | touch pwned && touch pwned\n",
	"-rf /\x00 --help",
	"<!channel> @everyone <https://evil.example|click> [a](https://evil.example) *b*",
	"\x1b[2J\u202egnp.exe\u2028\xff\xfe\\",
	"() { :;}; touch pwned",
	"${token} ${reason} {{.}} %s%n",
	strings.Repeat("A", 10000),
}

func ban(n int) Event {
	start := time.Date(2026, 11, 24, 10, 0, 0, 0, time.UTC)
	text := hostile[n%len(hostile)]
	return Event{
		Kind: KindBan, Time: start, Jail: "sshd", Start: start, End: start.Add(time.Hour), Source: "web1", Trust: "tls",
		Prefix: netip.PrefixFrom(netip.AddrFrom4([4]byte{198, 51, byte(n >> 8), byte(n)}), 32),
		Reason: text, Failures: 5, Name: text, Cause: text, Evidence: []string{text, text},
	}
}

func single(n int) *message {
	e := ban(n)
	return &message{id: "stockade-1-1", host: "gw", events: []Event{e}, counts: map[Kind]int{KindBan: 1}, total: 1}
}

// start runs a notifier until the test ends.
func start(t testing.TB, cfgs ...Config) *Notifier {
	t.Helper()
	n, err := New(cfgs, Options{Log: slog.New(slog.DiscardHandler), Host: "gw", Bans: func(string) []Ban { return nil }})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- n.Run(ctx) }()
	<-n.Ready()
	t.Cleanup(func() {
		cancel()
		began := time.Now()
		if err := <-done; err != nil {
			t.Error(err)
		}
		if took := time.Since(began); took > 15*time.Second {
			t.Errorf("the stop took %s", took)
		}
	})
	return n
}

func eventually(t testing.TB, what string, f func() bool) {
	t.Helper()
	for deadline := time.Now().Add(60 * time.Second); !f(); time.Sleep(5 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("%s: not within a minute", what)
		}
	}
}

// flood posts 1,000 events a second for two seconds, in short tests for one, and returns how long at most
// 99 of 100 Posts took: any one may have to wait for a processor.
func flood(n *Notifier) (events int, most time.Duration) {
	var took []time.Duration
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	rounds := 200
	if testing.Short() {
		rounds = 100
	}
	for range rounds {
		<-tick.C
		for range 10 {
			began := time.Now()
			n.Post(ban(events))
			took = append(took, time.Since(began))
			events++
		}
	}
	slices.Sort(took)
	return events, took[len(took)*99/100]
}

func TestWebhookUnderAThousandBansASecond(t *testing.T) {
	var requests, counted atomic.Int64
	server := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		var d struct {
			Count  int
			Counts map[string]int
			Events []struct{ Reason string }
		}
		if err := json.NewDecoder(r.Body).Decode(&d); err != nil || d.Counts["ban"]+d.Counts["test"] != d.Count || len(d.Events) > maxKept {
			t.Errorf("%d events, counts %v: %v", len(d.Events), d.Counts, err)
		}
		for _, e := range d.Events {
			if strings.ContainsFunc(e.Reason, control) || len(e.Reason) > maxValue {
				t.Errorf("reason %q", e.Reason)
			}
		}
		requests.Add(1)
		counted.Add(int64(d.Count))
	}))
	defer server.Close()
	hang := make(chan struct{})
	slow := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		select {
		case <-hang:
		case <-r.Context().Done():
		}
	}))
	defer slow.Close()
	defer close(hang)
	n := start(t,
		Config{Name: "good", Type: TypeWebhook, URL: server.URL, Rate: 120, Digest: 200 * time.Millisecond},
		Config{Name: "slow", Type: TypeWebhook, URL: slow.URL, Timeout: 30 * time.Second, Digest: 50 * time.Millisecond},
		Config{Name: "dead", Type: TypeWebhook, URL: "http://127.0.0.1:9/", Digest: 50 * time.Millisecond},
	)
	began := time.Now()
	sent, most := flood(n)
	// The server has counted a request before the answer to it is counted here.
	eventually(t, "every event is counted", func() bool { return counted.Load() == int64(sent) && n.Stats()[0].Sent == int64(sent) })
	elapsed := time.Since(began)
	t.Logf("%d events in %d requests, 99 of 100 Posts within %s", sent, requests.Load(), most)
	if limit := 40 + int64(elapsed/time.Second)*2; requests.Load() > limit { // the rate is 2 a second
		t.Errorf("%d requests in %s", requests.Load(), elapsed)
	}
	if most > 500*time.Millisecond {
		t.Errorf("one in a hundred Posts took %s", most)
	}
	for _, c := range n.channels[1:] {
		c.mu.Lock()
		if len(c.queue) > maxKept {
			t.Errorf("channel %s keeps %d events", c.cfg.Name, len(c.queue))
		}
		c.mu.Unlock()
	}
	if s := n.Stats(); s[1].Sent != 0 {
		t.Errorf("stats %+v", s)
	}
	if err := n.Test(t.Context(), "dead"); err == nil {
		t.Error("a test of a dead channel succeeds")
	}
	if err := n.Test(t.Context(), "good"); err != nil {
		t.Error(err)
	}
}

func TestWebhookTriesAgainAndGivesUp(t *testing.T) {
	var mu sync.Mutex
	seen := make(map[string]int)
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		mu.Lock()
		defer mu.Unlock()
		seen[r.URL.Path]++
		switch {
		case r.URL.Path == "/refuses":
			w.WriteHeader(http.StatusForbidden)
		case r.URL.Path == "/redirects":
			http.Redirect(w, r, "/elsewhere", http.StatusTemporaryRedirect)
		case seen[r.URL.Path] < 3:
			w.WriteHeader(http.StatusBadGateway)
		}
	}))
	defer server.Close()
	var cfgs []Config
	for _, name := range []string{"recovers", "refuses", "redirects"} {
		cfgs = append(cfgs, Config{Name: name, Type: TypeWebhook, URL: server.URL + "/" + name})
	}
	n, err := New(cfgs, Options{Log: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range n.channels {
		c.pause = time.Millisecond
		c.deliver(t.Context(), single(0))
		c.sink.close()
	}
	want := map[string]int{"/recovers": 3, "/refuses": 1, "/redirects": 1}
	if fmt.Sprint(seen) != fmt.Sprint(want) {
		t.Errorf("requests %v, want %v", seen, want)
	}
	if s := n.Stats(); s[0].Sent != 1 || s[1].Failed != 1 || s[2].Failed != 1 || !s[1].Broken {
		t.Errorf("stats %+v", s)
	}
}

// TestHostileValuesStayInBodies sends every hostile value by every preset and a template, and compares
// the headers with those of a harmless event.
func TestHostileValuesStayInBodies(t *testing.T) {
	var mu sync.Mutex
	var heads, bodies []string
	server := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		r.Header.Del("Content-Length")
		mu.Lock()
		defer mu.Unlock()
		heads = append(heads, fmt.Sprint(r.Method, r.URL, r.Host, r.Header))
		bodies = append(bodies, string(body))
	}))
	defer server.Close()
	cfgs := []Config{{}, {Template: `{"a":"${reason}","b":["${text}","${evidence}"],"n":${count}}`}, {Template: "${reason} ${cause}"}}
	for _, p := range Presets {
		cfgs = append(cfgs, Config{Preset: p, Chat: "1"})
	}
	for _, cfg := range cfgs {
		cfg.URL = server.URL
		w, err := newWebhook(&cfg)
		if err != nil {
			t.Fatal(err)
		}
		heads, bodies = nil, nil
		for i := range hostile {
			if err := w.send(t.Context(), single(i)); err != nil {
				t.Fatal(err)
			}
		}
		w.close()
		for i := range heads {
			if heads[i] != heads[0] {
				t.Errorf("%s: headers differ: %s\n%s", cfg.Preset, heads[0], heads[i])
			}
			if strings.ContainsAny(bodies[i], "\x00\x1b\r\u202e") {
				t.Errorf("%s: body %q", cfg.Preset, bodies[i])
			}
			if cfg.Preset != "ntfy" && !strings.HasPrefix(cfg.Template, "$") && !json.Valid([]byte(bodies[i])) {
				t.Errorf("%s: not JSON: %s", cfg.Preset, bodies[i])
			}
			if cfg.Preset == "slack" && strings.Contains(bodies[i], "<!channel>") {
				t.Errorf("slack: %s", bodies[i])
			}
		}
	}
}

func TestSwapKeepsWhatDidNotChange(t *testing.T) {
	a, b := Config{Name: "a", Type: TypeWebhook, URL: "http://127.0.0.1:9/"}, Config{Name: "b", Type: TypeWebhook, URL: "http://127.0.0.1:9/"}
	n := start(t, a, b)
	first := n.channels[0]
	if err := n.Swap([]Config{{Name: "c", Type: "pigeon"}}); err == nil {
		t.Error("an unknown type is taken")
	}
	b.Rate = 7
	if err := n.Swap([]Config{b, a}); err != nil {
		t.Fatal(err)
	}
	if n.channels[1] != first {
		t.Error("a channel that did not change is a new one")
	}
	n.Post(Event{Kind: KindBan, Channels: []string{"a"}})
	if s := n.Stats(); s[0].Waiting != 0 {
		t.Errorf("stats %+v", s)
	}
}
