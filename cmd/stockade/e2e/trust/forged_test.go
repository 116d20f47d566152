package trust

import (
	"encoding/binary"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"stockade/cmd/stockade/e2e/rig"
)

// rawUDP sends datagrams whose sender is forged, from a host.
type rawUDP struct {
	t  testing.TB
	fd int
}

func newRawUDP(t testing.TB, ns string) *rawUDP {
	t.Helper()
	r := &rawUDP{t: t}
	if err := rig.Inside(ns, func() (err error) {
		r.fd, err = unix.Socket(unix.AF_INET, unix.SOCK_RAW|unix.SOCK_CLOEXEC, unix.IPPROTO_RAW)
		return err
	}); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = unix.Close(r.fd) })
	return r
}

// send sends one datagram to port 514; the kernel fills in the checksum of the IP header.
func (r *rawUDP) send(from, to, text string) {
	r.t.Helper()
	source, target := net.ParseIP(from).To4(), net.ParseIP(to).To4()
	p := make([]byte, 28, 28+len(text))
	p[0], p[8], p[9] = 0x45, 64, unix.IPPROTO_UDP
	copy(p[12:], source)
	copy(p[16:], target)
	binary.BigEndian.PutUint16(p[20:], 514)
	binary.BigEndian.PutUint16(p[22:], 514)
	binary.BigEndian.PutUint16(p[24:], uint16(8+len(text))) //nolint:gosec // short
	p = append(p, text...)
	err := unix.Sendto(r.fd, p, 0, &unix.SockaddrInet4{Addr: [4]byte(target)})
	for ; err == unix.ENOBUFS; err = unix.Sendto(r.fd, p, 0, &unix.SockaddrInet4{Addr: [4]byte(target)}) {
	}
	if err != nil {
		r.t.Fatal(err)
	}
}

// TestForgedDatagrams is T2: who forges the senders of datagrams, on the way or on the network itself,
// bans nobody: not by default, and not where two sources must agree and both are forged.
func TestForgedDatagrams(t *testing.T) {
	rig.RequireRoot(t)
	gateway, lan, internet := rig.NewNS(t), rig.NewNS(t), rig.NewNS(t)
	for _, c := range [][6]string{{gateway, "lan0", "192.0.2.1/24", lan, "eth0", "192.0.2.66/24"}, {gateway, "wan0", "203.0.113.2/24", internet, "gw0", "203.0.113.1/24"}} {
		rig.Sh(t, c[0], "ip", "link", "add", c[1], "type", "veth", "peer", "name", c[4], "netns", c[3])
		for _, end := range [][3]string{{c[0], c[1], c[2]}, {c[3], c[4], c[5]}} {
			rig.Sh(t, end[0], "ip", "addr", "add", end[2], "dev", end[1])
			rig.Sh(t, end[0], "ip", "link", "set", end[1], "up")
		}
	}
	rig.Sh(t, gateway, "sysctl", "-qw", "net.ipv4.conf.all.rp_filter=0", "net.ipv4.conf.wan0.rp_filter=0", "net.ipv4.conf.lan0.rp_filter=0")
	rig.Sh(t, gateway, "ip", "route", "add", "default", "via", "203.0.113.1")
	rig.Sh(t, internet, "ip", "route", "add", "192.0.2.0/24", "via", "203.0.113.2")
	d := rig.NewDaemon(t, gateway, observe+`
listeners:
  - {name: lan, transport: udp, address: "192.0.2.1:514"}
  - {name: plain, transport: tcp, address: "127.0.0.1:601"}
jails:
  - {name: sshd, filter: sshd, maxretry: 3}
  - {name: agreed, filter: sshd, maxretry: 3, corroborate: 2}
sources:
  - {name: one, listener: lan, addresses: [192.0.2.11], jails: [sshd, agreed]}
  - {name: two, listener: lan, addresses: [192.0.2.12], jails: [sshd, agreed]}
  - {name: far, listener: lan, addresses: [198.51.100.0/24], jails: [sshd, agreed], interface: wan0}
  - {name: farther, listener: lan, addresses: [100.64.0.0/24], jails: [sshd, agreed], interface: wan0}
  - {name: firm, listener: plain, addresses: [127.0.0.1], jails: [agreed], quota: none}
`).Start()
	total := rig.Size(5_000, 20_000, 1_000_000)
	onLAN, outside := newRawUDP(t, lan), newRawUDP(t, internet)
	for n := range total {
		addr := fmt.Sprintf("9.9.%d.%d", n%4, n/4%8)
		switch n % 3 {
		case 0: // a host of the network forges its neighbours
			onLAN.send([]string{"192.0.2.11", "192.0.2.12"}[n%2], "192.0.2.1", failure(addr, n))
		case 1: // somebody outside forges hosts of the network
			outside.send([]string{"192.0.2.11", "192.0.2.12"}[n%2], "192.0.2.1", failure(addr, n))
		default: // and hosts beyond it
			outside.send([]string{"198.51.100.11", "100.64.0.12"}[n%2], "192.0.2.1", failure(addr, n))
		}
	}
	var lines int64
	rig.Eventually(t, 20*time.Second, "lines came and are judged", func() bool {
		all := d.Metrics()
		was := lines
		lines = rig.Sum(all, "stockade_lines_total")
		return lines > 0 && lines == was
	})
	if all := banned(d, ""); len(all) > 0 {
		t.Errorf("forged datagrams banned %v", all)
	}
	if !rig.Soon(20*time.Second, func() bool { return refusals(d)["wrong_interface"] > 0 }) {
		t.Errorf("nothing was refused for its interface: %v", refusals(d))
	}
	if !rig.Soon(20*time.Second, func() bool { return d.Source("one").Refused["below_min_trust"] > 0 }) {
		t.Errorf("source one: %v, want below_min_trust", d.Source("one").Refused)
	}
	firm, n := rig.Connect(t, gateway, "tcp", "127.0.0.1:601"), 0
	rig.Eventually(t, 60*time.Second, "a forgeable and a firm source agree", func() bool {
		for range 3 { // datagrams may find the socket full of what is not read yet: then once more
			onLAN.send("192.0.2.11", "192.0.2.1", failure("9.9.9.8", n))
			sendLines(t, firm, failure("9.9.9.8", n+1)) // a firm source makes it two
			n += 2
		}
		return rig.Soon(2*time.Second, func() bool { return len(banned(d, "agreed")) == 1 })
	})
	t.Logf("T2: %d forged datagrams, %d reached the pipeline: 0 bans; refused %v", total, lines, refusals(d))
}

// TestUnprivilegedWriters is T5: lines of a user without rights, of writers that are gone at once, and
// of a root relay that names the writer after he is gone, ban nobody; root's own do.
func TestUnprivilegedWriters(t *testing.T) {
	rig.RequireRoot(t)
	rig.RequirePrograms(t, "logger")
	d := rig.NewDaemon(t, "", observe+`
listeners: [{name: local, transport: unixgram, path: %DIR%/log, mode: "0666"}]
jails: [{name: sshd, filter: sshd, maxretry: 3}]
sources: [{name: this-host, listener: local, jails: [sshd]}]
`).Start()
	socket := filepath.Join(d.Dir, "log")
	gone := rig.Size(30, 100, 10_000)
	for n := range gone { // logger writes one line and exits
		cmd := stranger("logger", "-u", socket, "-p", "authpriv.info", "-t", "sshd", "--id=1", fmt.Sprintf("Failed password for root from 198.51.100.66 port %d ssh2", n+1))
		if out, err := cmd.CombinedOutput(); err != nil {
			t.Fatalf("logger: %v\n%s", err, out)
		}
	}
	const relayed = 10_000
	fd, err := unix.Socket(unix.AF_UNIX, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = unix.Close(fd) }()
	send := func(uid uint32, addr string, n int) {
		t.Helper()
		as := unix.UnixCredentials(&unix.Ucred{Pid: int32(os.Getpid()), Uid: uid, Gid: uid}) //nolint:gosec // a pid
		if err := unix.Sendmsg(fd, []byte(failure(addr, n)), as, &unix.SockaddrUnix{Name: socket}, 0); err != nil {
			t.Fatal(err)
		}
	}
	for n := range relayed { // as journald does on ESRCH: its own pid, the writer's uid
		send(1000, "198.51.100.67", n)
	}
	judged(t, d, int64(gone+relayed))
	refusedBy(t, d, "this-host", "forged", int64(gone+relayed))
	if s := d.Source("this-host"); s.Failures != 0 || len(banned(d, "")) != 0 {
		t.Errorf("%d failures, bans %v; want none", s.Failures, banned(d, ""))
	}
	for n := range 3 {
		send(0, "198.51.100.99", n)
	}
	rig.Eventually(t, 10*time.Second, "root's own ban", func() bool { return len(banned(d, "sshd")) == 1 })
	t.Logf("T5: %d writers that were gone, %d relayed lines of uid 1000: 0 bans, all counted as forged", gone, relayed)
}

// TestRelayOfManyNames is T12: a relay that speaks for 1,000 hosts is one source with one quota, and
// feeds the jails it may; a source that may speak for one host speaks for no other.
func TestRelayOfManyNames(t *testing.T) {
	d := rig.NewDaemon(t, "", observe+`
listeners: [{name: plain, transport: unix, path: %DIR%/relay}, {name: narrow, transport: unix, path: %DIR%/narrow}]
jails:
  - {name: web, apps: [web], maxretry: 3, filter: {failregex: ['^refused <HOST> \d+$']}}
  - {name: mail, apps: [mail], maxretry: 3, filter: {failregex: ['^refused <HOST> \d+$']}}
sources:
  - {name: hub, listener: plain, relay: true, jails: [web], quota: {bans_per_minute: 60, burst: 20}}
  - {name: web1, listener: narrow, hostnames: [web1], jails: [web]}
`).Start()
	const hosts = 1000
	speak := func(socket string) {
		c := rig.Connect(t, "", "unix", filepath.Join(d.Dir, socket))
		for n := range hosts {
			name := fmt.Sprintf("host%d", n)
			var lines []string
			for _, app := range []string{"web", "mail"} {
				for _, l := range refused(victim(100, n), 3, n) {
					lines = append(lines, strings.Replace(strings.Replace(l, " web1 ", " "+name+" ", 1), " web ", " "+app+" ", 1))
				}
			}
			sendLines(t, c, lines...)
		}
	}
	began := time.Now()
	speak("relay")
	judged(t, d, 6*hosts)
	list := bansOf(d, "hub")
	if limit := 20 + int(time.Since(began).Seconds()) + 1; len(list) < 20 || len(list) > limit {
		t.Errorf("%d bans, want the burst of 20 and at most %d", len(list), limit)
	}
	if slices.ContainsFunc(list, func(b rig.Ban) bool { return b.Jail != "web" }) {
		t.Errorf("bans outside web: %v", list)
	}
	refusedBy(t, d, "hub", "jail_not_granted", 3*hosts)
	speak("narrow")
	judged(t, d, 12*hosts)
	refusedBy(t, d, "web1", "hostname_not_granted", 6*hosts)
	if s := d.Source("web1"); s.Failures != 0 {
		t.Errorf("source web1: %d failures, want none", s.Failures)
	}
	t.Logf("T12: a relay with %d host names: %d bans at a burst of 20, 0 in another jail; a source of one host: 0 failures for %d others", hosts, len(list), hosts)
}
