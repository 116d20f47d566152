package e2e

import (
	"bytes"
	"encoding/json"
	"mime"
	"net"
	"net/http"
	"net/mail"
	"net/netip"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"sync/atomic"
	"testing"
	"time"

	"stockade/cmd/stockade/e2e/rig"
)

const notifyConfig = `
listeners:
  - {name: plain, transport: tcp, address: "127.0.0.1:601"}
sources:
  - {name: neighbour, listener: plain, addresses: [127.0.0.1], jails: [sshd], quota: none}
jails:
  - {name: sshd, filter: sshd, maxretry: 3}
firewall: {backend: nftables}
notify:
  - {name: good, type: webhook, url: "http://127.0.0.1:8080/", rate: 120, digest: 1s}
  - {name: slow, type: webhook, url: "http://127.0.0.1:8081/", timeout: 1m, digest: 1s}
  - {name: dead, type: webhook, url: "http://127.0.0.1:8082/", digest: 1s}
  - {name: failing, type: exec, command: [/bin/false], user: root}
  - {name: mail, type: mail, server: "127.0.0.1:8025", tls: none, from: a@example.net, to: [b@example.net], rate: 120, digest: 1s}
  - {name: whois, type: mail, server: "127.0.0.1:8081", tls: none, from: a@example.net, to: [b@example.net], whois: {enabled: true, server: "127.0.0.1:8081"}}
`

// mailSink runs the server that Postfix brings for tests, on 127.0.0.1:8025, and returns what counts
// the bans in the mails that it took.
func mailSink(t *testing.T, ns string) func() (bans, mails int) {
	t.Helper()
	const program = "/usr/sbin/smtp-sink"
	rig.RequirePrograms(t, program)
	dir := rig.OpenDir(t)
	sink := rig.Start(t, rig.InNS(ns, program, "-u", "root", "-d", dir+"/%s.", "127.0.0.1:8025", "16"))
	rig.Eventually(t, 20*time.Second, "smtp-sink listens", func() bool {
		if sink.Ended() {
			t.Fatalf("smtp-sink: %s", sink.Log)
		}
		var conn net.Conn
		err := rig.Inside(ns, func() (err error) { conn, err = net.Dial("tcp", "127.0.0.1:8025"); return err })
		if err == nil {
			conn.Close()
		}
		return err == nil
	})
	tally := regexp.MustCompile(`(\d+) × ban`)
	return func() (bans, mails int) {
		files, err := filepath.Glob(dir + "/*")
		if err != nil {
			t.Fatal(err)
		}
		for _, f := range files {
			text, err := os.ReadFile(f)
			if err != nil {
				t.Fatal(err)
			}
			m, err := mail.ReadMessage(bytes.NewReader(bytes.TrimLeft(text, "\n")))
			if err != nil {
				continue // of the connection that looked whether it listens
			}
			subject, err := new(mime.WordDecoder).DecodeHeader(m.Header.Get("Subject"))
			if err != nil {
				t.Fatal(err)
			}
			n := 1
			if found := tally.FindStringSubmatch(subject); found != nil {
				if n, err = strconv.Atoi(found[1]); err != nil {
					t.Fatal(err)
				}
			}
			bans, mails = bans+n, mails+1
		}
		return bans, mails
	}
}

// TestNoticesDelayNoBan sends 1,000 bans a second past channels that are slow, dead and failing, and
// measures single bans meanwhile. The channel that works is told of every ban.
func TestNoticesDelayNoBan(t *testing.T) {
	ns := rig.NewNS(t)
	var told atomic.Int64
	listen := func(address string) (l net.Listener) {
		if err := rig.Inside(ns, func() (err error) { l, err = net.Listen("tcp", address); return err }); err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { l.Close() })
		return l
	}
	server := &http.Server{ReadHeaderTimeout: time.Minute, Handler: http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		var d struct{ Counts map[string]int64 }
		if err := json.NewDecoder(r.Body).Decode(&d); err != nil {
			t.Error(err)
		}
		told.Add(d.Counts["ban"])
	})}
	t.Cleanup(func() { server.Close() })
	good := listen("127.0.0.1:8080")
	go func() { _ = server.Serve(good) }()
	listen("127.0.0.1:8081") // takes connections and never answers

	mailed := mailSink(t, ns)
	d := rig.NewDaemon(t, ns, notifyConfig).Start()
	conn := rig.Connect(t, ns, "tcp", "127.0.0.1:601")
	const flood = 2000
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	next := 0
	for next < flood {
		<-tick.C
		for range 10 {
			next++
			addr := netip.AddrFrom4([4]byte{198, 18, byte(next >> 8), byte(next)})
			for i := range 3 {
				if _, err := conn.Write([]byte(failedLogin(3*next+i, addr) + "\n")); err != nil {
					t.Fatal(err)
				}
			}
		}
	}
	rig.Eventually(t, 60*time.Second, "all bans are in the kernel", func() bool { return len(rig.Set(t, ns, "ban4")) == next })
	m := watch(t, ns)
	for attempt := 1; ; attempt++ {
		took := make([]time.Duration, 100)
		for i := range took {
			next++
			took[i] = banTime(t, conn, m, next, "\n")
		}
		slices.Sort(took)
		t.Logf("line to kernel beside dead channels: p50 %s, p99 %s", took[50], took[99])
		if took[50] <= allowance*median && took[99] <= allowance*nearlyAll {
			break
		}
		if attempt == attempts {
			t.Fatalf("p50 %s, p99 %s; want at most %s and %s", took[50], took[99], allowance*median, allowance*nearlyAll)
		}
	}
	rig.Eventually(t, 60*time.Second, "every ban is told", func() bool { return told.Load() == int64(next) })
	rig.Eventually(t, 30*time.Second, "the channel counts every event, once it has the answers", func() bool {
		return d.Metrics()[`stockade_notify_events_total{channel="good",outcome="sent"}`] >= int64(next)
	})
	rig.Eventually(t, 30*time.Second, "the mail channel counts every event, once it has the answers", func() bool {
		return d.Metrics()[`stockade_notify_events_total{channel="mail",outcome="sent"}`] >= int64(next)
	})
	bans, mails := 0, 0
	rig.Soon(30*time.Second, func() bool { bans, mails = mailed(); return bans == next })
	t.Logf("%d bans in %d mails", bans, mails)
	if bans != next || 10*mails > bans {
		t.Errorf("%d bans in %d mails, want %d in a tenth as many", bans, mails, next)
	}
	if _, code := d.Run("notify", "test", "good"); code != 0 {
		t.Errorf("notify test good: exit %d", code)
	}
	if _, code := d.Run("notify", "test", "dead"); code != 1 {
		t.Errorf("notify test dead: exit %d", code)
	}
}
