package receiver

import (
	"encoding/binary"
	"net/netip"
	"unsafe"

	"golang.org/x/sys/unix"

	"stockade/receiver/frame"
)

const (
	batchSize   = 16                   // datagrams received by one system call
	datagramMax = frame.DefaultMax + 4 // bytes: a terminator, and one more to see that it was longer
	nameSize    = unix.SizeofSockaddrInet6
)

// controlSize fits the packet information or the credentials, and nothing else: the kernel
// then has no room to hand us descriptors that a sender attaches.
var controlSize = max(unix.CmsgSpace(unix.SizeofInet6Pktinfo), unix.CmsgSpace(unix.SizeofUcred))

// mmsghdr is struct mmsghdr of recvmmsg(2).
type mmsghdr struct {
	hdr unix.Msghdr
	len uint32
}

// batch receives datagrams into memory of its own, without allocating. net's ReadMsgUDPAddrPort
// takes one system call a datagram and cannot say that the socket is empty without waiting.
type batch struct {
	msgs     [batchSize]mmsghdr
	iovs     [batchSize]unix.Iovec
	names    [batchSize][nameSize]byte
	controls []byte
	data     []byte
}

func newBatch() *batch {
	b := &batch{
		controls: make([]byte, batchSize*controlSize),
		data:     make([]byte, batchSize*datagramMax),
	}
	for i := range b.msgs {
		b.iovs[i].Base = &b.data[i*datagramMax]
		b.iovs[i].SetLen(datagramMax)
		h := &b.msgs[i].hdr
		h.Iov = &b.iovs[i]
		h.SetIovlen(1)
		h.Name = &b.names[i][0]
		h.Control = &b.controls[i*controlSize]
	}
	return b
}

// receive takes what the socket holds, at most batchSize datagrams, and never waits:
// EAGAIN says that there is none.
func (b *batch) receive(fd int) (int, error) {
	for i := range b.msgs {
		h := &b.msgs[i].hdr
		h.Namelen = nameSize
		h.SetControllen(controlSize)
	}
	n, _, errno := unix.Syscall6(unix.SYS_RECVMMSG, uintptr(fd), uintptr(unsafe.Pointer(&b.msgs[0])),
		batchSize, unix.MSG_DONTWAIT|unix.MSG_CMSG_CLOEXEC, 0, 0)
	if errno != 0 {
		return 0, errno
	}
	return int(n), nil
}

// bytes returns datagram i, valid until the next receive.
func (b *batch) bytes(i int) []byte {
	return b.data[i*datagramMax:][:b.msgs[i].len]
}

// control returns the control messages of datagram i.
func (b *batch) control(i int) []byte {
	return b.controls[i*controlSize:][:b.msgs[i].hdr.Controllen]
}

// from returns the sender's address of datagram i, unmapped and without zone.
func (b *batch) from(i int) netip.AddrPort {
	name := b.names[i][:b.msgs[i].hdr.Namelen]
	switch {
	case len(name) >= unix.SizeofSockaddrInet4 && binary.NativeEndian.Uint16(name) == unix.AF_INET:
		return netip.AddrPortFrom(netip.AddrFrom4([4]byte(name[4:8])), binary.BigEndian.Uint16(name[2:]))
	case len(name) >= unix.SizeofSockaddrInet6 && binary.NativeEndian.Uint16(name) == unix.AF_INET6:
		return netip.AddrPortFrom(netip.AddrFrom16([16]byte(name[8:24])).Unmap(), binary.BigEndian.Uint16(name[2:]))
	}
	return netip.AddrPort{}
}

// ingress returns the index of the interface that a datagram with these control messages came
// in on, 0 when unknown (ip(7) IP_PKTINFO, ipv6(7) IPV6_PKTINFO).
func ingress(control []byte) int {
	for len(control) >= unix.SizeofCmsghdr {
		h, data, rest, err := unix.ParseOneSocketControlMessage(control)
		if err != nil {
			return 0
		}
		switch {
		case h.Level == unix.SOL_IP && h.Type == unix.IP_PKTINFO && len(data) >= unix.SizeofInet4Pktinfo:
			return int(binary.NativeEndian.Uint32(data))
		case h.Level == unix.SOL_IPV6 && h.Type == unix.IPV6_PKTINFO && len(data) >= unix.SizeofInet6Pktinfo:
			return int(binary.NativeEndian.Uint32(data[16:]))
		}
		control = rest
	}
	return 0
}

const overflowUID = 65534 // the kernel's word for a user it cannot name here

// credentials returns the peer that the kernel names in these control messages (unix(7)
// SCM_CREDENTIALS); UID is -1 without one.
func credentials(control []byte) Peer {
	for len(control) >= unix.SizeofCmsghdr {
		h, data, rest, err := unix.ParseOneSocketControlMessage(control)
		if err != nil {
			break
		}
		if h.Level == unix.SOL_SOCKET && h.Type == unix.SCM_CREDENTIALS && len(data) >= unix.SizeofUcred {
			p := Peer{
				Level: LevelKernel,
				PID:   int64(binary.NativeEndian.Uint32(data)),
				UID:   int64(binary.NativeEndian.Uint32(data[4:])),
				GID:   int64(binary.NativeEndian.Uint32(data[8:])),
			}
			if p.PID == 0 && p.UID == overflowUID { // sent before SO_PASSCRED was set
				break
			}
			return p
		}
		control = rest
	}
	return Peer{Level: LevelKernel, UID: -1, GID: -1, PID: -1}
}

// receiveOne reads from a stream socket with the control messages that belong to the bytes. It
// never waits. c is memory for the call, reused by the caller.
func receiveOne(fd int, p []byte, c *one) (n int, control []byte, err error) {
	c.iov.Base = &p[0]
	c.iov.SetLen(len(p))
	c.hdr.Iov = &c.iov
	c.hdr.SetIovlen(1)
	c.hdr.Control = &c.control[0]
	c.hdr.SetControllen(len(c.control))
	r, _, errno := unix.Syscall(unix.SYS_RECVMSG, uintptr(fd), uintptr(unsafe.Pointer(&c.hdr)),
		unix.MSG_DONTWAIT|unix.MSG_CMSG_CLOEXEC)
	c.iov.Base = nil
	if errno != 0 {
		return 0, nil, errno
	}
	return int(r), c.control[:c.hdr.Controllen], nil
}

// one is the memory of receiveOne.
type one struct {
	hdr     unix.Msghdr
	iov     unix.Iovec
	control []byte
}

func newOne() *one { return &one{control: make([]byte, unix.CmsgSpace(unix.SizeofUcred))} }

// kernelDrops returns how many datagrams the kernel has dropped for want of buffer since the
// socket was opened. SO_MEMINFO counts what SO_RXQ_OVFL would report, but needs no later
// datagram to carry the number.
func kernelDrops(fd int) (uint32, bool) {
	var info [unix.SK_MEMINFO_DROPS + 1]uint32
	size := uint32(unsafe.Sizeof(info))
	_, _, errno := unix.Syscall6(unix.SYS_GETSOCKOPT, uintptr(fd), unix.SOL_SOCKET, unix.SO_MEMINFO,
		uintptr(unsafe.Pointer(&info)), uintptr(unsafe.Pointer(&size)), 0)
	return info[unix.SK_MEMINFO_DROPS], errno == 0 && size >= uint32(unsafe.Sizeof(info))
}
