package host

import (
	"bytes"
	"encoding/binary"
	"encoding/hex"
	"net/netip"
	"strconv"
	"time"
)

// maxSockets is how much of one of the kernel's tables of sockets is read, in bytes: about 50,000
// sockets.
const maxSockets = 8 << 20

// socket is one row of /proc/net/tcp, udp and their IPv6 forms.
type socket struct {
	local, peer netip.AddrPort
	state       uint64
	uid         uint64
	inode       uint64
}

// The states of /proc/net/tcp; a connected UDP socket is established.
const (
	stateEstablished = 1
	stateListen      = 10
)

// sockets calls f with every socket of a table.
func (r root) sockets(table string, f func(socket)) {
	first := true
	for line := range bytes.Lines(readUpTo(r.path("/proc/net/"+table), maxSockets)) {
		if first { // the heads
			first = false
			continue
		}
		w := bytes.Fields(line)
		if len(w) < 10 {
			continue
		}
		var s socket
		var ok [5]bool
		s.local, ok[0] = endpoint(w[1])
		s.peer, ok[1] = endpoint(w[2])
		s.state, ok[2] = number(w[3], 16)
		s.uid, ok[3] = number(w[7], 10)
		s.inode, ok[4] = number(w[9], 10)
		if ok == [5]bool{true, true, true, true, true} {
			f(s)
		}
	}
}

func number(text []byte, base int) (uint64, bool) {
	n, err := strconv.ParseUint(string(text), base, 64)
	return n, err == nil
}

// endpoint reads ADDRESS:PORT in hex; the address is made of words in the host's byte order.
func endpoint(text []byte) (netip.AddrPort, bool) {
	addr, port, ok := bytes.Cut(text, []byte(":"))
	n, isPort := number(port, 16)
	raw := make([]byte, hex.DecodedLen(len(addr)))
	if _, err := hex.Decode(raw, addr); err != nil || !ok || !isPort || n > 65535 {
		return netip.AddrPort{}, false
	}
	for i := 0; i+4 <= len(raw); i += 4 {
		binary.NativeEndian.PutUint32(raw[i:], binary.BigEndian.Uint32(raw[i:]))
	}
	a, ok := netip.AddrFromSlice(raw)
	return netip.AddrPortFrom(a.Unmap(), uint16(n)), ok //nolint:gosec // compared above
}

// portNTP is where time servers listen.
const portNTP = 123

// timeEvery is how often the sockets are looked at though their number is the same.
const timeEvery = 5 * time.Second

// timePeers finds the servers to which a time service has a connected socket right now.
type timePeers struct {
	fs     root
	tables []*timeTable
}

// timeTable is one of the kernel's tables of UDP sockets.
type timeTable struct {
	name  string
	stat  kept
	count string // of the sockets at the last look; "" unknown
	whole time.Time
	found []Protected
}

func newTimePeers(r root) *timePeers {
	return &timePeers{fs: r, tables: []*timeTable{
		{name: "udp", stat: kept{path: r.path("/proc/net/sockstat")}},
		{name: "udp6", stat: kept{path: r.path("/proc/net/sockstat6")}},
	}}
}

// look returns them. The tables are long: one is read when the number of its sockets has changed.
// A query that is answered between two looks shows in neither.
func (t *timePeers) look(now time.Time) (list []Protected) {
	for _, table := range t.tables {
		count := udpSockets(table.stat.read())
		idle := now.Sub(table.whole)
		if count == "" || count != table.count || idle < 0 || idle >= timeEvery {
			table.count, table.whole = count, now
			table.found = t.fs.timePeers(table.name)
		}
		list = append(list, table.found...)
	}
	return list
}

func (t *timePeers) close() {
	for _, table := range t.tables {
		table.stat.close()
	}
}

// timePeers reads a table. Sockets of people do not count: they could protect whom they like.
func (r root) timePeers(table string) (list []Protected) {
	r.sockets(table, func(s socket) {
		if s.state == stateEstablished && s.peer.Port() == portNTP && isService(s.uid) && len(list) < maxProtected {
			if p, ok := single(s.peer.Addr(), "time server"); ok {
				list = append(list, p)
			}
		}
	})
	return list
}

// isService reports whether a uid belongs to a service: a system user, or one that systemd made
// for a unit (DynamicUser=).
func isService(uid uint64) bool { return uid < 1000 || uid >= 61184 && uid <= 65519 }
