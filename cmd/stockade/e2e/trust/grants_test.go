package trust

import (
	"crypto/tls"
	"fmt"
	"math/rand/v2"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"stockade/cmd/stockade/e2e/rig"
	"stockade/receiver/receivertest"
)

const matrixSize = 20 // sources on each transport, and jails

// transports are the four ways in, strongest first. On loopback a datagram arrives on the interface
// that owns its sender's prefix.
var transports = []string{"kernel", "tls", "address", "onlink"}

// cellSource is what a source of the matrix may feed.
type cellSource struct {
	jails     []int // nil: all
	spoofable bool
}

// cellJail is the trust that a jail demands; "" is the default.
type cellJail string

// admits is the plain model of the matrix: whether source s on transport t may feed jail number j.
func admits(t int, s cellSource, j int, least cellJail) bool {
	if s.jails != nil && !slices.Contains(s.jails, j) {
		return false
	}
	if least == "" {
		return transports[t] != "onlink" || s.spoofable
	}
	return t <= slices.Index(transports, string(least))
}

// TestGrantMatrix is bar C6 end to end: 20 sources on each of four real transports send what every one
// of 20 jails looks for. Each of the 1,600 cells bans an address of its own, or does not.
func TestGrantMatrix(t *testing.T) {
	rig.RequireRoot(t) // to speak for other users
	rnd := rand.New(rand.NewPCG(1, 6))
	ports := []int{0, receivertest.FreePort(t), receivertest.FreePort(t), receivertest.FreePort(t)}
	var b strings.Builder
	fmt.Fprintf(&b, `%slisteners:
  - {name: kernel, transport: unixgram, path: %%DIR%%/log, mode: "0666"}
  - {name: tls, transport: tls, address: "127.0.0.1:%d", cert: %%DIR%%/cert, key: %%DIR%%/key, client_ca: %%DIR%%/ca}
  - {name: address, transport: tcp, address: "127.0.0.1:%d"}
  - {name: onlink, transport: udp, address: "127.0.0.1:%d"}
jails:
`, observe, ports[1], ports[2], ports[3])
	demands := make([]cellJail, matrixSize)
	for j := range demands {
		least := ""
		if rnd.IntN(2) == 0 {
			demands[j] = cellJail(transports[rnd.IntN(len(transports))])
			least = fmt.Sprintf(", min_trust: %s", demands[j])
		}
		fmt.Fprintf(&b, "  - {name: jail%d, apps: [app%d], maxretry: 2, filter: {failregex: ['^refused %d from <HOST> port \\d+$']}%s}\n", j, j, j, least)
	}
	fmt.Fprint(&b, "sources:\n")
	sources := make([][]cellSource, len(transports))
	for tr, name := range transports {
		for i := range matrixSize {
			s := cellSource{spoofable: rnd.IntN(2) == 0}
			granted := `"*"`
			if rnd.IntN(4) > 0 {
				s.jails = []int{rnd.IntN(matrixSize)}
				granted = fmt.Sprintf("jail%d", s.jails[0])
				for j := range matrixSize {
					if rnd.IntN(3) == 0 && j != s.jails[0] {
						s.jails = append(s.jails, j)
						granted += fmt.Sprintf(", jail%d", j)
					}
				}
			}
			sources[tr] = append(sources[tr], s)
			identity := []string{fmt.Sprintf("uid: [%d]", 3000+i), fmt.Sprintf("certificate: {san: s%d.lan}", i), "", ""}[tr]
			if identity == "" {
				identity = fmt.Sprintf("addresses: [127.0.2.%d]", i+1)
			}
			fmt.Fprintf(&b, "  - {name: %s%d, listener: %s, %s, jails: [%s], quota: none, accept_spoofable: %t}\n", name, i, name, identity, granted, s.spoofable)
		}
	}
	d := rig.NewDaemon(t, "", b.String())
	ca := newAuthority(t, "ca", nil)
	ca.write(d.Dir)
	d.Start()

	want := make(map[string]string) // address to jail
	sent := int64(0)
	for tr := range transports {
		for i, s := range sources[tr] {
			say := speaker(t, d, ca, tr, i, ports[tr])
			for j := range matrixSize {
				victim := fmt.Sprintf("198.18.%d.%d", tr*matrixSize+i, j)
				for n := range 2 {
					say(fmt.Sprintf("<38>1 %s web1 app%d %d - - refused %d from %s port %d", time.Now().UTC().Format(time.RFC3339Nano), j, n, j, victim, 1000+n))
					sent++
				}
				if admits(tr, s, j, demands[j]) {
					want[victim+"/32"] = fmt.Sprintf("jail%d", j)
				}
			}
			if transports[tr] == "onlink" {
				judged(t, d, sent) // a socket buffer holds a few hundred datagrams
			}
		}
	}
	judged(t, d, sent)
	var got map[string]rig.Ban
	rig.Soon(20*time.Second, func() bool { got = banned(d, ""); return len(got) >= len(want) })
	for address, ban := range got {
		if want[address] != ban.Jail {
			t.Errorf("%s is banned in %s outside the grants (want %q)", address, ban.Jail, want[address])
		}
	}
	for address, jail := range want {
		if _, ok := got[address]; !ok {
			t.Errorf("%s is not banned in %s within the grants", address, jail)
		}
	}
	t.Logf("C6: 1,600 cells over %v, %d open: 0 bans outside the grants, 0 missed inside", transports, len(want))
}

// speaker returns what sends one message as source i over a transport.
func speaker(t *testing.T, d *rig.Daemon, ca *authority, tr, i, port int) (say func(line string)) {
	t.Helper()
	address := fmt.Sprintf("127.0.0.1:%d", port)
	var c net.Conn
	var err error
	end := "\n"
	from := net.IPv4(127, 0, 2, byte(i+1))
	switch transports[tr] {
	case "kernel":
		fd, err := unix.Socket(unix.AF_UNIX, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = unix.Close(fd) })
		to := &unix.SockaddrUnix{Name: filepath.Join(d.Dir, "log")}
		as := unix.UnixCredentials(&unix.Ucred{Pid: int32(os.Getpid()), Uid: uint32(3000 + i), Gid: 65534}) //nolint:gosec // small
		return func(line string) {
			if err := unix.Sendmsg(fd, []byte(line), as, to, 0); err != nil {
				t.Fatal(err)
			}
		}
	case "tls":
		var secured *tls.Conn
		secured, err = ca.dial(address, ca.issue(client(fmt.Sprintf("s%d.lan", i))))
		c = secured
	case "address":
		c, err = (&net.Dialer{LocalAddr: &net.TCPAddr{IP: from}}).Dial("tcp", address)
	default:
		c, err = (&net.Dialer{LocalAddr: &net.UDPAddr{IP: from}}).Dial("udp", address)
		end = ""
	}
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	return func(line string) {
		if _, err := c.Write([]byte(line + end)); err != nil {
			t.Fatal(err)
		}
	}
}
