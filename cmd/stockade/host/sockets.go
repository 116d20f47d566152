package host

import (
	"bytes"
	"encoding/binary"
	"encoding/hex"
	"net/netip"
	"strconv"
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

// readTimePeers returns the servers to which a time service has a connected socket right now.
// Sockets of people do not count: they could protect whom they like.
func readTimePeers(r root) (list []Protected) {
	for _, table := range []string{"udp", "udp6"} {
		r.sockets(table, func(s socket) {
			if s.state == stateEstablished && s.peer.Port() == portNTP && isService(s.uid) && len(list) < maxProtected {
				if p, ok := single(s.peer.Addr(), "time server"); ok {
					list = append(list, p)
				}
			}
		})
	}
	return list
}

// isService reports whether a uid belongs to a service: a system user, or one that systemd made
// for a unit (DynamicUser=).
func isService(uid uint64) bool { return uid < 1000 || uid >= 61184 && uid <= 65519 }
