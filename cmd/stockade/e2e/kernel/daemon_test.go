package kernel

import (
	"bytes"
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"net"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/vishvananda/netns"

	"stockade/cmd/stockade/control"
)

var long = flag.Bool("long", false, "run the long forms of the tests")

// program is the built stockade.
var program string

func TestMain(m *testing.M) {
	flag.Parse()
	os.Exit(func() int {
		dir, err := os.MkdirTemp("", "stockade-kernel-")
		if err != nil {
			fmt.Fprintln(os.Stderr, err)
			return 1
		}
		defer func() { _ = os.RemoveAll(dir) }()
		if os.Geteuid() == 0 { // else every test skips
			if out, err := exec.Command("go", "build", "-o", dir+"/", "stockade/cmd/stockade").CombinedOutput(); err != nil {
				fmt.Fprintf(os.Stderr, "build: %v\n%s", err, out)
				return 1
			}
		}
		program = filepath.Join(dir, "stockade")
		return m.Run()
	}())
}

// size is the number of steps of a test: under -short, else, and under -long.
func size(short, normal, most int) int {
	switch {
	case *long:
		return most
	case testing.Short():
		return short
	}
	return normal
}

// require skips the test where it cannot run; under STOCKADE_REQUIRE=all it fails.
func require(t *testing.T, programs ...string) {
	t.Helper()
	reason := ""
	if os.Geteuid() != 0 {
		reason = "needs root: network namespaces and nftables"
	}
	for _, p := range programs {
		if _, err := exec.LookPath(p); err != nil {
			reason = "needs the program " + p
		}
	}
	switch {
	case reason == "":
	case os.Getenv("STOCKADE_REQUIRE") == "all":
		t.Fatal(reason)
	default:
		t.Skip(reason)
	}
}

var hosts atomic.Int32 // made so far

// newHost makes a network namespace with a loopback interface.
func newHost(t *testing.T) string {
	t.Helper()
	require(t, "ip", "nft")
	ns := fmt.Sprintf("stkk%d-%d", os.Getpid(), hosts.Add(1))
	command(t, "ip", "netns", "add", ns)
	t.Cleanup(func() { _ = exec.Command("ip", "netns", "del", ns).Run() })
	command(t, "ip", "-n", ns, "link", "set", "lo", "up")
	return ns
}

func command(t *testing.T, args ...string) string {
	t.Helper()
	out, err := exec.Command(args[0], args[1:]...).CombinedOutput()
	if err != nil {
		t.Fatalf("%s: %v\n%s", strings.Join(args, " "), err, out)
	}
	return string(out)
}

// daemon is a stockade in a host of its own.
type daemon struct {
	t      *testing.T
	ns     string
	dir    string
	cmd    *exec.Cmd
	log    *output
	done   chan struct{}
	client *control.Client

	listing time.Duration // how long nft took to list a set, the last time: by so much ends may be off
}

type output struct {
	mu  sync.Mutex
	buf bytes.Buffer
}

func (o *output) Write(p []byte) (int, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.buf.Write(p)
}

func (o *output) String() string {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.buf.String()
}

const head = `
state_dir: %DIR%/state
control: {socket: %DIR%/control.sock}
log: {level: warn}
listeners:
  - {name: plain, transport: tcp, address: "127.0.0.1:601"}
sources:
  - {name: server, listener: plain, addresses: [127.0.0.1], jails: [sshd], quota: none}
`

// newDaemon writes a configuration and starts nothing.
func newDaemon(t *testing.T, config string) *daemon {
	t.Helper()
	d := &daemon{t: t, ns: newHost(t), dir: t.TempDir()}
	text := strings.ReplaceAll(head+config, "%DIR%", d.dir)
	if err := os.WriteFile(filepath.Join(d.dir, "stockade.yaml"), []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(d.end)
	return d
}

// start runs serve and waits until it takes lines.
func (d *daemon) start() {
	d.t.Helper()
	d.cmd = exec.Command("ip", "netns", "exec", d.ns, program, "serve", "--config", filepath.Join(d.dir, "stockade.yaml"))
	d.log, d.done = &output{}, make(chan struct{})
	d.cmd.Stdout, d.cmd.Stderr, d.cmd.WaitDelay = d.log, d.log, 2*time.Second
	if err := d.cmd.Start(); err != nil {
		d.t.Fatal(err)
	}
	cmd, done := d.cmd, d.done
	go func() { _ = cmd.Wait(); close(done) }()
	// The sockets are bound before the kernel holds the bans; a ping is answered after.
	socket := filepath.Join(d.dir, "control.sock")
	eventually(d.t, 60*time.Second, "the daemon serves", func() bool {
		select {
		case <-done:
			d.t.Fatalf("serve ended: %v\n%s", cmd.ProcessState, d.log)
		default:
		}
		client, err := control.Dial(context.Background(), socket)
		if err != nil {
			return false
		}
		d.client = client
		return client.Ping(context.Background()) == nil
	})
}

// signal ends the daemon with a signal.
func (d *daemon) signal(s syscall.Signal) {
	d.t.Helper()
	d.client.Close()
	if err := d.cmd.Process.Signal(s); err != nil {
		d.t.Fatal(err)
	}
	select {
	case <-d.done:
	case <-time.After(30 * time.Second):
		d.t.Fatalf("serve still runs 30 s after %v", s)
	}
}

func (d *daemon) end() {
	if d.cmd == nil {
		return
	}
	_ = d.cmd.Process.Kill()
	<-d.done
	for _, sign := range []string{"panic: ", "fatal error: "} {
		if strings.Contains(d.log.String(), sign) {
			d.t.Errorf("the daemon's log has %q", sign)
		}
	}
	if d.t.Failed() {
		log := d.log.String()
		d.t.Logf("the end of the daemon's log:\n%s", log[max(0, len(log)-4000):])
	}
}

// within runs f on a thread of its own in the daemon's network namespace.
func (d *daemon) within(f func() error) error {
	done := make(chan error, 1)
	go func() {
		runtime.LockOSThread() // never unlocked: the thread ends with the goroutine
		h, err := netns.GetFromName(d.ns)
		if err == nil {
			defer func() { _ = h.Close() }()
			err = netns.Set(h)
		}
		if err == nil {
			err = f()
		}
		done <- err
	}()
	return <-done
}

func (d *daemon) connect() (conn net.Conn, err error) {
	err = d.within(func() (err error) {
		conn, err = net.DialTimeout("tcp", "127.0.0.1:601", time.Second)
		return err
	})
	return conn, err
}

// dial connects to the listener until the test ends.
func (d *daemon) dial() net.Conn {
	d.t.Helper()
	conn, err := d.connect()
	if err != nil {
		d.t.Fatal(err)
	}
	d.t.Cleanup(func() { _ = conn.Close() })
	return conn
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
	d.t.Helper()
	bans, err := d.client.Bans(context.Background(), "")
	if err != nil {
		d.t.Fatal(err)
	}
	return bans
}

// status is the daemon's state and the names of what degrades it.
func (d *daemon) status() string {
	d.t.Helper()
	s, err := d.client.Status(context.Background())
	if err != nil {
		d.t.Fatal(err)
	}
	return fmt.Sprintf("%+v", s)
}

// times are what all threads of the daemon have run so far, and what they have waited for a
// processor.
func (d *daemon) times() (ran, waited time.Duration) {
	d.t.Helper()
	files, err := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/schedstat", d.cmd.Process.Pid))
	if err != nil {
		d.t.Fatal(err)
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

// set is what nft lists of a set: when each address ends, zero for never.
func (d *daemon) set(name string) map[netip.Addr]time.Time {
	d.t.Helper()
	now := time.Now()
	out, err := exec.Command("ip", "netns", "exec", d.ns, "nft", "-j", "list", "set", "inet", "stockade", name).Output()
	if err != nil {
		return nil // there is no such set
	}
	d.listing = time.Since(now)
	var doc struct {
		NFTables []struct {
			Set struct {
				Elem []struct {
					Elem struct {
						Val     netip.Addr `json:"val"`
						Expires int        `json:"expires"`
					} `json:"elem"`
				} `json:"elem"`
			} `json:"set"`
		} `json:"nftables"`
	}
	if err := json.Unmarshal(out, &doc); err != nil {
		d.t.Fatalf("nft -j: %v", err)
	}
	all := make(map[netip.Addr]time.Time)
	for _, o := range doc.NFTables {
		for _, e := range o.Set.Elem {
			all[e.Elem.Val] = now.Add(time.Duration(e.Elem.Expires) * time.Second)
		}
	}
	return all
}

// nft runs nft on the daemon's host.
func (d *daemon) nft(args ...string) error {
	out, err := exec.Command("ip", append([]string{"netns", "exec", d.ns, "nft"}, args...)...).CombinedOutput()
	if err != nil {
		return fmt.Errorf("nft %s: %w: %s", strings.Join(args, " "), err, out)
	}
	return nil
}

// eventually waits until ok says true.
func eventually(t *testing.T, limit time.Duration, what string, ok func() bool) {
	t.Helper()
	for deadline := time.Now().Add(limit); !ok(); time.Sleep(2 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("not within %s: %s", limit, what)
		}
	}
}
