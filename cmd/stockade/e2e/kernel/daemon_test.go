package kernel

import (
	"context"
	"fmt"
	"net"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"stockade/cmd/stockade/control"
	"stockade/cmd/stockade/e2e/rig"
)

func TestMain(m *testing.M) { os.Exit(rig.Main(m)) }

// daemon is a stockade in a host of its own.
type daemon struct {
	*rig.Daemon
	client *control.Client

	listing time.Duration // how long nft took to list a set, the last time: by so much ends may be off
}

const common = `
log: {level: warn}
listeners:
  - {name: plain, transport: tcp, address: "127.0.0.1:601"}
sources:
  - {name: server, listener: plain, addresses: [127.0.0.1], jails: ["*"], quota: none}
`

// newDaemon writes a configuration and starts nothing.
func newDaemon(t *testing.T, config string) *daemon {
	t.Helper()
	d := &daemon{Daemon: rig.NewDaemon(t, rig.NewNS(t), common+config)}
	// The sockets are bound before the kernel holds the bans; a ping is answered after.
	d.Ready = func() bool {
		client, err := d.Dial()
		if err != nil {
			return false
		}
		d.client = client
		return client.Ping(context.Background()) == nil
	}
	return d
}

func (d *daemon) start() { d.T.Helper(); d.Start() }

// signal ends the daemon with a signal.
func (d *daemon) signal(s syscall.Signal) {
	d.T.Helper()
	d.client.Close()
	d.End(s)
}

// dial connects to the listener until the test ends.
func (d *daemon) dial() net.Conn {
	d.T.Helper()
	return rig.Connect(d.T, d.NS, "tcp", "127.0.0.1:601")
}

// appendFailure appends the line of a failed login from an address.
func appendFailure(b []byte, now string, addr netip.Addr) []byte {
	b = append(append(b, "<38>"...), now...)
	b = append(b, " server sshd[4711]: Failed password for root from "...)
	return append(addr.AppendTo(b), " port 4711 ssh2\n"...)
}

// numbered is the address of that number; none of them is special.
func numbered(n int) netip.Addr {
	return netip.AddrFrom4([4]byte{byte(20 + n>>24), byte(n >> 16), byte(n >> 8), byte(n)})
}

func (d *daemon) bans() []control.Ban {
	d.T.Helper()
	bans, err := d.client.Bans(context.Background(), "")
	if err != nil {
		d.T.Fatal(err)
	}
	return bans
}

// status is the daemon's state and the names of what degrades it.
func (d *daemon) status() string {
	d.T.Helper()
	s, err := d.client.Status(context.Background())
	if err != nil {
		d.T.Fatal(err)
	}
	return fmt.Sprintf("%+v", s)
}

// times are what all threads of the daemon have run so far, and what they have waited for a
// processor.
func (d *daemon) times() (ran, waited time.Duration) {
	d.T.Helper()
	files, err := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/schedstat", d.Cmd.Process.Pid))
	if err != nil {
		d.T.Fatal(err)
	}
	for _, f := range files {
		b, _ := os.ReadFile(f) // the thread may have ended
		var r, w int64
		if n, _ := fmt.Sscan(string(b), &r, &w); n == 2 {
			ran, waited = ran+time.Duration(r), waited+time.Duration(w)
		}
	}
	return ran, waited
}

// set is what nft lists of a set: when each address ends.
func (d *daemon) set(name string) map[netip.Addr]time.Time {
	d.T.Helper()
	now := time.Now()
	list := rig.Set(d.T, d.NS, name)
	d.listing = time.Since(now)
	all := make(map[netip.Addr]time.Time, len(list))
	for _, e := range list {
		addr, err := netip.ParseAddr(e.Address)
		if err != nil {
			d.T.Fatal(err)
		}
		all[addr] = now.Add(e.Expires)
	}
	return all
}

// setOf is set, listed until there are so many elements; see rig.SetOf.
func (d *daemon) setOf(name string, n int) (all map[netip.Addr]time.Time) {
	d.T.Helper()
	rig.Soon(30*time.Second, func() bool { all = d.set(name); return len(all) == n })
	return all
}

// nft runs nft on the daemon's host.
func (d *daemon) nft(args ...string) error {
	out, err := exec.Command("ip", append([]string{"netns", "exec", d.NS, "nft"}, args...)...).CombinedOutput()
	if err != nil {
		return fmt.Errorf("nft %s: %w: %s", strings.Join(args, " "), err, out)
	}
	return nil
}
