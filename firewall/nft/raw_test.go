package nft

import (
	"encoding/binary"
	"net/netip"
	"strings"

	"golang.org/x/sys/unix"
)

// rawSegment is an IPv4 or IPv6 packet with a TCP segment, checksums right.
func rawSegment(src, dst string, srcPort, dstPort uint16, flags byte, seq, ack uint32) []byte {
	const segment = 20
	s, d := netip.MustParseAddr(src).AsSlice(), netip.MustParseAddr(dst).AsSlice()
	var p []byte
	if len(s) == 4 {
		p = make([]byte, 20+segment)
		p[0] = 0x45
		binary.BigEndian.PutUint16(p[2:], uint16(len(p)))
		p[8], p[9] = 64, unix.IPPROTO_TCP
		copy(p[12:], s)
		copy(p[16:], d)
	} else {
		p = make([]byte, 40+segment)
		p[0] = 0x60
		binary.BigEndian.PutUint16(p[4:], segment)
		p[6], p[7] = unix.IPPROTO_TCP, 64
		copy(p[8:], s)
		copy(p[24:], d)
	}
	tcp := p[len(p)-segment:]
	binary.BigEndian.PutUint16(tcp, srcPort)
	binary.BigEndian.PutUint16(tcp[2:], dstPort)
	binary.BigEndian.PutUint32(tcp[4:], seq)
	binary.BigEndian.PutUint32(tcp[8:], ack)
	tcp[12], tcp[13] = 5<<4, flags
	binary.BigEndian.PutUint16(tcp[14:], 65535)
	sum := uint32(unix.IPPROTO_TCP + segment)
	for _, part := range [][]byte{s, d, tcp} {
		for i := 0; i < len(part); i += 2 {
			sum += uint32(binary.BigEndian.Uint16(part[i:]))
		}
	}
	for sum > 0xffff {
		sum = sum>>16 + sum&0xffff
	}
	binary.BigEndian.PutUint16(tcp[16:], ^uint16(sum))
	return p
}

// sendRaw sends packets with whatever source they have, from the attacker's namespace.
func (l *lab) sendRaw(n int, packet func(i int) []byte) {
	l.Helper()
	err := in(l.attacker, func() error {
		fd4, err := unix.Socket(unix.AF_INET, unix.SOCK_RAW, unix.IPPROTO_RAW)
		if err != nil {
			return err
		}
		defer func() { _ = unix.Close(fd4) }()
		fd6, err := unix.Socket(unix.AF_INET6, unix.SOCK_RAW, unix.IPPROTO_RAW)
		if err != nil {
			return err
		}
		defer func() { _ = unix.Close(fd6) }()
		for i := range n {
			p := packet(i)
			if p[0]>>4 == 4 {
				err = unix.Sendto(fd4, p, 0, &unix.SockaddrInet4{Addr: [4]byte(p[16:20])})
			} else {
				err = unix.Sendto(fd6, p, 0, &unix.SockaddrInet6{Addr: [16]byte(p[24:40])})
			}
			if err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		l.Fatalf("raw socket: %v", err)
	}
}

// family is the word by which nft knows the address's protocol.
func family(addr string) string {
	if strings.Contains(addr, ":") {
		return "ip6"
	}
	return "ip"
}

// countArrivals counts what reaches the server from an address, by a rule in the server.
func (l *lab) countArrivals(from string) func() string {
	l.Helper()
	table := family(from) + " arrivals"
	command(l.T, l.server, "nft", "table "+table+" { counter c { }; chain pre { type filter hook prerouting priority -300; "+family(from)+" saddr "+from+" counter name c; }; }")
	return func() string {
		out := command(l.T, l.server, "nft", "list counters table "+table)
		_, rest, _ := strings.Cut(out, "packets ")
		packets, _, _ := strings.Cut(rest, " ")
		return packets
	}
}
