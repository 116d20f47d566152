package migrate

import (
	"encoding/binary"
	"fmt"
	"maps"
	"net"
	"net/netip"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"stockade/cmd/stockade/e2e/rig"
)

const (
	hostAddr   = "203.0.113.2"
	routerAddr = "203.0.113.1"
	bystander  = "198.51.100.9" // nobody ever bans it
	probed     = hostAddr + ":9999"
)

// wire is a router whose addresses are everybody's, and the host behind it.
func wire(t testing.TB) (router, host string) {
	t.Helper()
	router, host = rig.NewNS(t), rig.NewNS(t)
	rig.Sh(t, router, "ip", "link", "add", "out", "type", "veth", "peer", "name", "eth0", "netns", host)
	rig.Sh(t, router, "ip", "link", "set", "out", "up")
	rig.Sh(t, host, "ip", "link", "set", "eth0", "up")
	rig.Sh(t, router, "ip", "addr", "add", routerAddr+"/24", "dev", "out")
	rig.Sh(t, host, "ip", "addr", "add", hostAddr+"/24", "dev", "eth0")
	rig.Sh(t, host, "ip", "route", "add", "default", "via", routerAddr)
	return router, host
}

// numbered is the n-th banned address.
func numbered(n int) netip.Addr { return netip.AddrFrom4([4]byte{20, 1, byte(n >> 8), byte(n)}) }

// prober sends datagrams from many addresses all the time, and counts by address what arrives.
type prober struct {
	addrs   []netip.Addr
	arrived []atomic.Int64
	sent    atomic.Int64
	quit    chan struct{}
	done    sync.WaitGroup
}

// probe begins to send. The addresses are put on the router.
func probe(t *testing.T, router, host string, addrs []netip.Addr) *prober {
	t.Helper()
	p := &prober{addrs: addrs, arrived: make([]atomic.Int64, len(addrs)), quit: make(chan struct{})}
	for _, a := range addrs {
		rig.Sh(t, router, "ip", "addr", "add", a.String()+"/32", "dev", "out")
	}
	var sink net.PacketConn
	if err := rig.Inside(host, func() (err error) {
		sink, err = net.ListenPacket("udp4", probed)
		return err
	}); err != nil {
		t.Fatal(err)
	}
	p.done.Go(func() {
		buf := make([]byte, 16)
		for {
			n, _, err := sink.ReadFrom(buf)
			if err != nil {
				return
			}
			if i := binary.BigEndian.Uint32(buf); n == 4 && int(i) < len(p.arrived) {
				p.arrived[i].Add(1)
			}
		}
	})
	conns := make([]net.Conn, len(addrs))
	if err := rig.Inside(router, func() error {
		for i, a := range addrs {
			d := net.Dialer{LocalAddr: net.UDPAddrFromAddrPort(netip.AddrPortFrom(a, 0))}
			c, err := d.Dial("udp4", probed)
			if err != nil {
				return err
			}
			conns[i] = c
		}
		return nil
	}); err != nil {
		t.Fatal(err)
	}
	p.done.Go(func() {
		tick := time.NewTicker(time.Millisecond)
		defer tick.Stop()
		for next := 0; ; {
			select {
			case <-p.quit:
				return
			case <-tick.C:
			}
			for range 4 {
				i := next % len(conns)
				next++
				_, _ = conns[i].Write(binary.BigEndian.AppendUint32(nil, uint32(i))) // a reject is told here
				p.sent.Add(1)
			}
		}
	})
	t.Cleanup(func() {
		p.stop()
		sink.Close()
		for _, c := range conns {
			c.Close()
		}
		p.done.Wait()
	})
	return p
}

func (p *prober) stop() {
	select {
	case <-p.quit:
	default:
		close(p.quit)
	}
}

// round waits until every address has sent some more.
func (p *prober) round(t *testing.T) {
	t.Helper()
	want := p.sent.Load() + int64(5*len(p.addrs))
	rig.Eventually(t, 30*time.Second, "packets were sent", func() bool { return p.sent.Load() >= want })
}

// through is how many packets of the first n addresses arrived, and of the last one.
func (p *prober) through() (banned, free int64) {
	for i := range p.arrived[:len(p.arrived)-1] {
		banned += p.arrived[i].Load()
	}
	return banned, p.arrived[len(p.arrived)-1].Load()
}

// quickSet is an action of fail2ban's kind that needs no program for each ban: 3,000 of them would
// take it minutes. Its set has them all from the start, and ends with fail2ban.
const quickSet = `[Definition]
actionstart = nft -f %RUN%/set.nft
actionstop = nft delete table inet f2b
actionban =
actionunban =
`

// jailOf is the jail that bans the n-th address.
func jailOf(n int) string { return fmt.Sprintf("flood-%d", n/200%5) }

// TestLiveBansMove hands 3,000 live bans of a running fail2ban to a running Stockade, then stops
// fail2ban, while the banned send packets all the time.
func TestLiveBansMove(t *testing.T) {
	t.Parallel()
	bans := rig.Size(400, 3000, 3000)
	router, host := wire(t)
	jails := "[DEFAULT]\nenabled = true\nfindtime = 10m\nmaxretry = 5\nbackend = polling\nfilter = flood\nlogpath = %RUN%/flood.log\naction =\nignoreself = false\n"
	lengths := []string{"10m", "30m", "1h", "1d", "-1"}
	for i, length := range lengths {
		jails += fmt.Sprintf("[flood-%d]\nbantime = %s\n", i, length)
		if i == 0 {
			jails += "action = quick-set\n"
		}
	}
	f := newFail2ban(t, host, map[string]string{
		"jail.conf": jails, "filter.d/flood.conf": "[Definition]\nfailregex = ^flood from <HOST>$\n",
		"action.d/quick-set.conf": quickSet,
	})
	var set strings.Builder
	set.WriteString("table inet f2b {\n set banned { type ipv4_addr; elements = { 192.0.2.255")
	for n := range bans {
		set.WriteString(", " + numbered(n).String())
	}
	set.WriteString(" } }\n chain in { type filter hook input priority 0; ip saddr @banned drop; }\n}\n")
	f.writeRun("set.nft", set.String())
	f.writeRun("flood.log", "")
	f.start()
	for n, args := 0, []string(nil); n < bans; n++ {
		if len(args) == 0 {
			args = []string{"set", jailOf(n), "banip"}
		}
		if args = append(args, numbered(n).String()); (n+1)%200 == 0 || n == bans-1 {
			f.client(args...)
			args = nil
		}
	}
	ends := map[string]time.Time{}
	rig.Eventually(t, 2*time.Minute, "fail2ban has banned them all", func() bool {
		for n := 0; n < bans; n += 200 {
			maps.Copy(ends, f.ends(jailOf(n)))
		}
		return len(ends) == bans
	})

	var probes []netip.Addr
	for n := 0; n < bans; n += bans / 40 {
		probes = append(probes, numbered(n))
	}
	p := probe(t, router, host, append(probes, netip.MustParseAddr(bystander)))
	p.round(t)
	if banned, free := p.through(); banned > 0 || free == 0 {
		t.Fatalf("under fail2ban %d packets of the banned arrive, and %d of the bystander", banned, free)
	}

	d := rig.NewDaemon(t, host, "firewall: {backend: nftables}\nlisteners: [{name: local, transport: unixgram, path: \"%DIR%/l.sock\"}]\nlog: {level: warn}\n")
	// The action is none that Stockade knows: it would be a compat action, which is not what moves here.
	f.write("jail.local", "[DEFAULT]\naction = nftables-allports\n[flood-0]\naction = nftables-allports\n")
	if out, code := d.Run("import", "fail2ban", f.dir); code != 0 {
		t.Fatalf("import exits with %d: %s", code, out)
	}
	d.Ready = func() bool { _, code := d.Run("ping"); return code == 0 }
	d.Start()
	p.round(t)
	begin := time.Now()
	out := d.Must("import", "fail2ban", f.dir, "--bans")
	took := time.Since(begin)
	if want := fmt.Sprintf("%d bans of fail2ban hold: %d adopted, 0 were here already; 0 offenders remembered, 0 left\n", bans, bans); out != want {
		t.Errorf("--bans prints %q, want %q", out, want)
	}
	p.round(t)
	f.stop()
	p.round(t)
	p.round(t)
	p.stop()
	banned, free := p.through()
	if banned > 0 {
		t.Errorf("%d packets of banned addresses arrived", banned)
	}
	if rig.InNS(host, "nft", "list", "table", "inet", "f2b").Run() == nil {
		t.Error("fail2ban's table is still there")
	}
	if out := d.Must("import", "fail2ban", f.dir, "--bans"); !strings.Contains(out, fmt.Sprintf(" 0 adopted, %d were here already", bans)) {
		t.Errorf("a second --bans prints %q", out)
	}

	worst := compareEnds(t, d, ends)
	kernel := rig.SetOf(t, host, "ban4", bans)
	if len(kernel) != bans {
		t.Errorf("the kernel holds %d addresses, want %d", len(kernel), bans)
	}
	t.Logf("%d bans moved in %s, ends differ by at most %s; %d packets sent from %d banned addresses, %d arrived; %d of the bystander did",
		bans, took.Round(time.Millisecond), worst, p.sent.Load(), len(probes), banned, free)
}

// compareEnds compares when the bans end here and there, and returns the largest difference.
func compareEnds(t *testing.T, d *rig.Daemon, ends map[string]time.Time) (worst time.Duration) {
	t.Helper()
	seen := 0
	for _, b := range d.Bans() {
		addr, _, _ := strings.Cut(b.Address, "/")
		want, ok := ends[addr]
		if !ok {
			t.Errorf("%s was not banned by fail2ban", addr)
			continue
		}
		seen++
		if b.End == nil || want.IsZero() {
			if b.End != nil || !want.IsZero() {
				t.Errorf("%s ends %v, in fail2ban %v", addr, b.End, want)
			}
			continue
		}
		off := b.End.Sub(want).Abs()
		if worst = max(worst, off); off > 2*time.Second {
			t.Errorf("%s ends %v, in fail2ban %v", addr, b.End, want)
		}
	}
	if seen != len(ends) {
		t.Errorf("%d bans moved, want %d", seen, len(ends))
	}
	return worst
}

// ends is when each ban of a jail ends, as fail2ban-client tells it; zero: never.
func (f *fail2ban) ends(jail string) map[string]time.Time {
	f.t.Helper()
	ends := map[string]time.Time{}
	for line := range strings.Lines(f.client("get", jail, "banip", "--with-time")) {
		addr, rest, ok := strings.Cut(strings.TrimSpace(line), " \t")
		if !ok {
			continue
		}
		_, end, _ := strings.Cut(rest, "= ")
		at, err := time.ParseInLocation(time.DateTime, strings.TrimSpace(end), time.Local)
		if err != nil || at.Year() > 2200 {
			at = time.Time{}
		}
		ends[addr] = at
	}
	return ends
}
