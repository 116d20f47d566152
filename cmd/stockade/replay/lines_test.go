package replay_test

import (
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"testing"
	"time"

	"stockade/cmd/stockade/config"
	"stockade/cmd/stockade/replay"
)

// policyOf loads a configuration that is written down in the test.
func policyOf(t testing.TB, text string) *replay.Policy {
	t.Helper()
	p, err := replay.Load(config.Options{File: write(t, "stockade.yaml", text), Root: true})
	if err != nil {
		t.Fatal(err)
	}
	return p
}

func write(t testing.TB, name, text string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), name)
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

const jailsText = `
jails:
  - {name: sshd, filter: sshd}
  - {name: web, filter: {failregex: ['^<HOST> - .+ 401 .*$']}, apps: [nginx], maxretry: 3}
`

const policyText = "firewall: {backend: observe}\n" + jailsText

// traffic writes what sshd and nginx on four hosts log while they are attacked: n lines in all,
// as a relay sends them, spread evenly over a time.
type traffic struct {
	rnd *rand.Rand
	pid int
}

func newTraffic() *traffic { return &traffic{rnd: rand.New(rand.NewPCG(1, 2)), pid: 1000} }

func (g *traffic) write(n int, from time.Time, span time.Duration, line func(string)) {
	for i := 0; i < n; {
		at := from.Add(span * time.Duration(i) / time.Duration(n))
		i += g.event(at, n-i, line)
	}
}

// event writes the lines of one event, at most room, and returns their number.
func (g *traffic) event(at time.Time, room int, line func(string)) int {
	g.pid++
	who := g.rnd.IntN(4000)
	if g.rnd.IntN(3) > 0 {
		who = g.rnd.IntN(300) // a few try hard
	}
	addr := fmt.Sprintf("198.18.%d.%d", who/250, who%250+1)
	host := fmt.Sprintf("host%d", who%4) // an address attacks one host: its lines stay in order
	n := 0
	put := func(app, text string, args ...any) {
		if n < room {
			line(fmt.Sprintf("<86>%s %s %s: ", at.UTC().Format("2006-01-02T15:04:05.000000Z07:00"), host, app) + fmt.Sprintf(text, args...))
			n++
		}
	}
	sshd := fmt.Sprintf("sshd[%d]", g.pid)
	switch kind := g.rnd.IntN(20); {
	case kind < 4:
		put(sshd, "Invalid user admin from %s port 40022", addr)
		put(sshd, "Failed password for invalid user admin from %s port 40022 ssh2", addr)
	case kind < 8:
		put(sshd, "Failed password for root from %s port 40022 ssh2", addr)
		put(sshd, "Connection closed by authenticating user root %s port 40022 [preauth]", addr)
	case kind < 9 && who < 40:
		put(sshd, "Accepted password for root from %s port 40022 ssh2", addr)
	case kind < 12 && who >= 40: // two daemons' lines of one address are in no order between workers
		put("nginx", `%s - bob [x] "GET /login HTTP/1.1" 401 17`, addr)
	case kind < 14:
		put("nginx", `%s - - [x] "GET / HTTP/1.1" 200 612`, addr)
	default:
		put(fmt.Sprintf("CRON[%d]", g.pid), "(root) CMD (run-parts /etc/cron.hourly)")
	}
	return n
}
