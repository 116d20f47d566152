package trust

import (
	"fmt"
	"net"
	"slices"
	"testing"
	"time"

	"stockade/cmd/stockade/e2e/rig"
)

const quotas = `
listeners: [{name: plain, transport: tcp, address: "127.0.0.1:601"}]
jails:
  - {name: web, apps: [web], maxretry: %[1]d, filter: {failregex: ['^refused <HOST> \d+$']}}
  - {name: sshd, filter: sshd, maxretry: 3}
sources:
  - {name: honest, listener: plain, addresses: [127.0.1.1], jails: [web], quota: {bans_per_minute: 1800, burst: 50}}
  - {name: liar, listener: plain, addresses: [127.0.1.2], jails: [web], quota: {bans_per_minute: 1800, burst: 50}}
  - {name: half, listener: plain, addresses: [127.0.1.3], jails: [web], quota: {over: quarantine}}
  - {name: free, listener: plain, addresses: [127.0.1.4], jails: [web], quota: none}
  - {name: other, listener: plain, addresses: [127.0.1.5], jails: [sshd]}
`

// from connects to the listener of a host from an address of its loopback.
func from(t testing.TB, ns, address string) net.Conn {
	t.Helper()
	var c net.Conn
	if err := rig.Inside(ns, func() (err error) {
		c, err = (&net.Dialer{LocalAddr: &net.TCPAddr{IP: net.ParseIP(address)}}).Dial("tcp", "127.0.0.1:601")
		return err
	}); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	return c
}

// refused are lines of a web server that refused a client so often; n tells them apart.
func refused(victim string, times, n int) (list []string) {
	for i := range times {
		list = append(list, fmt.Sprintf("<38>1 %s web1 web %d - - refused %s %d", time.Now().UTC().Format("2006-01-02T15:04:05.000000Z"), n, victim, i))
	}
	return list
}

// victim is the address of that number in a range.
func victim(octet, n int) string { return fmt.Sprintf("%d.%d.%d.%d", octet, 18+n>>16, n>>8&255, n&255) }

// inKernel asks the kernel for one element.
func inKernel(d *rig.Daemon, addr string) bool {
	return rig.InNS(d.NS, "nft", "get", "element", "inet", "stockade", "ban4", "{ "+addr+" }").Run() == nil
}

// bansOf are the bans of a source, the earliest first.
func bansOf(d *rig.Daemon, source string) (list []rig.Ban) {
	for _, b := range d.Bans() {
		if b.Source == source {
			list = append(list, b)
		}
	}
	slices.SortFunc(list, func(a, b rig.Ban) int { return a.Start.Compare(b.Start) })
	return list
}

// TestBotnet: 5,000 addresses of a real botnet, behind one honest source, are banned as its quota
// allows, the worst first; another source's ban comes as always, and the operator may approve all. As
// many invented ones of a liar are as many bans as its quota allows, and one command undoes them.
func TestBotnet(t *testing.T) {
	d := rig.NewDaemon(t, rig.NewNS(t), fmt.Sprintf(quotas, 3)).Start()
	const bots, worst, burst, perSecond = 5000, 20, 50, 30
	send := func(octet int, address string) (began time.Time) {
		c := from(t, d.NS, address)
		var lines []string
		for n := range bots {
			lines = append(lines, refused(victim(octet, n), 3, n)...)
		}
		for n := range worst { // the last ones go on
			lines = append(lines, refused(victim(octet, bots-1-n), 30, bots-1-n)...)
		}
		began = time.Now()
		sendLines(t, c, lines...)
		return began
	}
	began := send(100, "127.0.1.1")
	other := time.Now()
	sendLines(t, from(t, d.NS, "127.0.1.5"), failure("198.51.100.8", 1), failure("198.51.100.8", 2), failure("198.51.100.8", 3))
	rig.Eventually(t, 20*time.Second, "the other source's ban", func() bool { return inKernel(d, "198.51.100.8") })
	took := time.Since(other)
	const lines = 3*bots + 30*worst
	judged(t, d, lines+3)
	sent := time.Now()
	rig.Eventually(t, 60*time.Second, "the quota lets more in", func() bool { return len(bansOf(d, "honest")) >= burst+3*worst })
	list := bansOf(d, "honest")
	if limit := burst + int(time.Since(began).Seconds()*perSecond) + perSecond; len(list) > limit {
		t.Errorf("%d bans, the quota allows %d", len(list), limit)
	}
	isWorst := make(map[string]bool)
	for n := range worst {
		isWorst[victim(100, bots-1-n)+"/32"] = true
	}
	found, before := 0, 0
	var last time.Time // the start of the last of the worst; bans that begin together have one
	for _, b := range list {
		if isWorst[b.Address] {
			found, last = found+1, b.Start
		}
	}
	for _, b := range list {
		if !isWorst[b.Address] && b.Start.After(sent.Add(time.Second)) && b.Start.Before(last) {
			before++
		}
	}
	if found < worst || before > 0 {
		t.Errorf("%d of the %d worst are banned, and %d others before them", found, worst, before)
	}
	if now := d.Source("honest"); now.State != "throttled" {
		t.Errorf("source honest is %s, want throttled", now.State)
	}
	d.Must("approve", "--source", "honest")
	if n := len(rig.SetOf(t, d.NS, "ban4", bots+1)); n != bots+1 {
		t.Errorf("%d elements in the kernel after the approval, want %d", n, bots+1)
	}
	t.Logf("a botnet of %d: %d bans in the first %s, the %d worst of them first; another source's ban in %s; all after the approval",
		bots, len(list), sent.Sub(began).Round(time.Millisecond), worst, took.Round(time.Millisecond))

	began = send(101, "127.0.1.2")
	judged(t, d, 2*lines+3)
	invented := len(bansOf(d, "liar"))
	if limit := burst + int(time.Since(began).Seconds()*perSecond) + perSecond; invented > limit {
		t.Errorf("%d invented addresses are banned, the quota allows %d", invented, limit)
	}
	d.Must("unban", "--source", "liar")
	if left := len(bansOf(d, "liar")); left > 0 {
		t.Errorf("%d bans left after the undo", left)
	}
	if n := len(rig.SetOf(t, d.NS, "ban4", bots+1)); n != bots+1 {
		t.Errorf("%d elements in the kernel after the undo, want %d", n, bots+1)
	}
	t.Logf("%d invented: %d enforced, 0 after one command", bots, invented)
}

// TestQuarantine is bar C9 and T3: a half-trusted source that accuses very many is not believed any
// more as soon as its quota is used up.
func TestQuarantine(t *testing.T) {
	d := rig.NewDaemon(t, rig.NewNS(t), fmt.Sprintf(quotas, 1)).Start()
	total := rig.Size(20_000, 100_000, 1_000_000)
	c := from(t, d.NS, "127.0.1.3")
	began := time.Now()
	sendLines(t, c, refused(victim(100, 0), 1, 0)...)
	for n := 1; n <= 200; n++ {
		sendLines(t, c, refused(victim(100, n), 1, n)...)
	}
	over := time.Now()
	rig.Eventually(t, 10*time.Second, "the quarantine", func() bool { return d.Source("half").State == "quarantined" })
	quarantined := time.Since(over)
	for n := 201; n < total; n += 1000 {
		var lines []string
		for i := n; i < n+1000; i++ {
			lines = append(lines, refused(victim(100+i>>20, i), 1, i)...)
		}
		sendLines(t, c, lines...)
	}
	judged(t, d, int64(total))
	n := len(bansOf(d, "half"))
	if limit := 120 + int(time.Since(began).Seconds()) + 1; n > limit || n < 120 {
		t.Errorf("%d bans, want the burst of 120 and at most %d", n, limit)
	}
	if quarantined > 5*time.Second {
		t.Errorf("quarantined after %s, want 1 s", quarantined)
	}
	status := d.Status()
	if !slices.ContainsFunc(status.Degraded, func(x rig.Degraded) bool { return x.Name == "quarantine" }) {
		t.Errorf("degraded: %+v, want the quarantine", status.Degraded)
	}
	sendLines(t, from(t, d.NS, "127.0.1.5"), failure("198.51.100.8", 1), failure("198.51.100.8", 2), failure("198.51.100.8", 3))
	rig.Eventually(t, 20*time.Second, "another source's ban", func() bool { return inKernel(d, "198.51.100.8") })
	d.Must("sources", "release", "half")
	t.Logf("C9: %d victims in %s: %d bans, quarantine within %s", total, time.Since(began).Round(time.Millisecond), n, quarantined.Round(time.Millisecond))
}

// TestCompromisedSource: a source that may feed web alone sends perfect lines of sshd. None counts;
// another source's bans come meanwhile in their time, and one command takes back all that it did.
func TestCompromisedSource(t *testing.T) {
	d := rig.NewDaemon(t, rig.NewNS(t), fmt.Sprintf(quotas, 1)).Start()
	const bans = 5000
	c := from(t, d.NS, "127.0.1.4")
	other := from(t, d.NS, "127.0.1.5")
	// What an idle daemon takes for a ban is the measure.
	latency := func(addr string) time.Duration {
		began := time.Now()
		sendLines(t, other, failure(addr, 1), failure(addr, 2), failure(addr, 3))
		rig.Eventually(t, 60*time.Second, "the other source's ban of "+addr, func() bool { return inKernel(d, addr) })
		return time.Since(began)
	}
	idle := latency("198.51.100.8")
	var mine []string
	for n := range bans {
		mine = append(mine, refused(victim(100, n), 1, n)...)
	}
	sendLines(t, c, mine...)
	rig.Eventually(t, 60*time.Second, "its bans in web", func() bool { return d.Jail("web").BannedCurrent == bans })

	total := rig.Size(20_000, 100_000, 1_000_000)
	done := make(chan error, 1)
	go func() {
		var err error
		for n := 0; n < total && err == nil; n += 1000 {
			var text []byte
			for i := n; i < n+1000; i++ {
				text = append(append(text, failure(victim(101, i%100_000), i)...), '\n')
			}
			_, err = c.Write(text)
		}
		done <- err
	}()
	busy := latency("198.51.100.9")
	if err := <-done; err != nil {
		t.Fatal(err)
	}
	judged(t, d, int64(total+bans+6))
	if b := banned(d, "sshd"); len(b) != 2 {
		t.Errorf("%d bans in sshd, want the other source's two", len(b))
	}
	refusedBy(t, d, "free", "jail_not_granted", int64(total))
	if busy > idle+10*time.Second {
		t.Errorf("the other source's ban took %s, %s without the flood", busy, idle)
	}
	undo := time.Now()
	d.Must("unban", "--source", "free", "--since", "1h")
	took := time.Since(undo)
	if left := len(rig.SetOf(t, d.NS, "ban4", 2)); left != 2 {
		t.Errorf("%d elements left in the kernel, want 2", left)
	}
	if took > 25*time.Second {
		t.Errorf("the undo of %d bans took %s, want 5 s", bans, took)
	}
	t.Logf("%d perfect lines of sshd: 0 bans in sshd; another source's ban in %s, idle %s; %d bans undone in %s",
		total, busy.Round(time.Millisecond), idle.Round(time.Millisecond), bans, took.Round(time.Millisecond))
}
