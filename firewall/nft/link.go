package nft

import (
	"errors"
	"fmt"
	"syscall"

	"github.com/mdlayher/netlink"
	"golang.org/x/sys/unix"

	"stockade/firewall"
)

const (
	// socketBuffer is what both buffers of a socket are asked for, in bytes. Without the right to
	// exceed it the kernel gives net.core.rmem_max and wmem_max.
	socketBuffer = 4 << 20
	// minRoom is the room of a transaction in the smallest buffers, in bytes.
	minRoom = 2 << 10
	// receiveBuffer is larger than any answer, in bytes: the kernel sends at most 32 KiB at once.
	receiveBuffer = 1 << 20
)

// errUnknown says that a batch was sent and its answer lost: it may be committed or not.
var errUnknown = errors.New("the kernel's answer was lost")

// link is one netlink socket. It belongs to one goroutine at a time.
type link struct {
	conn *netlink.Conn
	raw  syscall.RawConn
	buf  []byte
	enc  encoder
}

// dial opens a socket in the network namespace of that descriptor, 0 for the caller's.
func dial(netns int) (*link, error) {
	conn, err := netlink.Dial(unix.NETLINK_NETFILTER, &netlink.Config{NetNS: netns})
	if err != nil {
		return nil, fmt.Errorf("open a netlink socket: %w", err)
	}
	l, err := newLink(conn)
	if err != nil {
		_ = conn.Close()
		return nil, err
	}
	return l, nil
}

func newLink(conn *netlink.Conn) (*link, error) {
	raw, err := conn.SyscallConn()
	if err != nil {
		return nil, fmt.Errorf("netlink socket: %w", err)
	}
	// Smaller buffers make smaller batches and more lost answers, both of which are handled.
	_ = conn.SetReadBuffer(socketBuffer)
	_ = conn.SetWriteBuffer(socketBuffer)
	return &link{conn: conn, raw: raw, buf: make([]byte, receiveBuffer)}, nil
}

func (l *link) close() error { return l.conn.Close() }

// batchRoom is how many bytes of entries one transaction takes: what the socket sends at once,
// less headers and one list.
func (l *link) batchRoom() int {
	limit := 0
	_ = l.raw.Control(func(fd uintptr) { limit, _ = unix.GetsockoptInt(int(fd), unix.SOL_SOCKET, unix.SO_SNDBUF) })
	return max(limit*9/10-maxList, minRoom)
}

// port is the socket's address, by which the kernel knows the owner of a table.
func (l *link) port() (uint32, error) {
	var port uint32
	var err error
	control := l.raw.Control(func(fd uintptr) {
		var a unix.Sockaddr
		if a, err = unix.Getsockname(int(fd)); err == nil {
			port = a.(*unix.SockaddrNetlink).Pid
		}
	})
	if control != nil || err != nil {
		return 0, fmt.Errorf("netlink socket: %w", errors.Join(control, err))
	}
	return port, nil
}

// send throws away what is queued and sends b.
func (l *link) send(b []byte) error {
	var err error
	for {
		if _, err = l.receive(); errors.Is(err, unix.EAGAIN) {
			break
		} else if err != nil && !errors.Is(err, unix.ENOBUFS) {
			return err
		}
	}
	control := l.raw.Control(func(fd uintptr) {
		for {
			if err = unix.Sendto(int(fd), b, unix.MSG_DONTWAIT, &unix.SockaddrNetlink{Family: unix.AF_NETLINK}); !errors.Is(err, unix.EINTR) {
				return
			}
		}
	})
	if control != nil {
		return fmt.Errorf("netlink socket: %w", control)
	}
	if err != nil {
		return fmt.Errorf("send to netlink: %w", err)
	}
	return nil
}

// receive gives one datagram of the queue, valid until the next call. EAGAIN: the queue is empty;
// ENOBUFS: answers were lost.
func (l *link) receive() ([]byte, error) {
	var n int
	var err error
	control := l.raw.Control(func(fd uintptr) {
		for {
			if n, _, err = unix.Recvfrom(int(fd), l.buf, unix.MSG_DONTWAIT); !errors.Is(err, unix.EINTR) {
				return
			}
		}
	})
	if control != nil {
		return nil, fmt.Errorf("netlink socket: %w", control)
	}
	if err != nil {
		return nil, fmt.Errorf("receive from netlink: %w", err)
	}
	return l.buf[:n], nil
}

// request sends what the encoder holds and calls each for every message of the answer, until it
// returns false or the queue is empty. An error that the kernel sends for a message is passed to
// each, not returned.
func (l *link) request(each func(message) bool) error {
	if err := l.send(l.enc.b); err != nil {
		return permission(err)
	}
	lost := false
	for {
		b, err := l.receive()
		switch {
		case errors.Is(err, unix.EAGAIN) && lost:
			return errUnknown
		case errors.Is(err, unix.EAGAIN):
			return nil
		case errors.Is(err, unix.ENOBUFS):
			lost = true
			continue
		case err != nil:
			return err
		}
		for m := range messages(b) {
			if !each(m) {
				return nil
			}
		}
	}
}

// ask sends one request that begin started, and gives the attributes of the answers of that type
// to each, until it returns false. Asking for what does not exist gives ENOENT; EINTR says that
// a list was changed by others while it was read.
func (l *link) ask(typ uint16, each func([]byte) bool) error {
	var refused error
	interrupted := false
	err := l.request(func(m message) bool {
		interrupted = interrupted || m.flags&unix.NLM_F_DUMP_INTR != 0
		switch {
		case m.typ == unix.NLMSG_ERROR && m.errno() != 0:
			refused = m.errno()
		case m.is(typ):
			return each(m.data)
		}
		return true
	})
	switch {
	case err != nil:
		return err
	case refused != nil:
		return permission(refused)
	case interrupted:
		return unix.EINTR
	}
	return nil
}

// batch starts a transaction in the encoder; commit ends and sends it.
func (l *link) batch() {
	l.enc.b = l.enc.b[:0]
	l.enc.end(l.enc.header(unix.NFNL_MSG_BATCH_BEGIN, 0, unix.AF_UNSPEC, unix.NFNL_SUBSYS_NFTABLES))
}

// commit sends the transaction whose last message asked for an acknowledgement. errUnknown: it
// may be committed or not; any other error: it is not.
func (l *link) commit() error {
	last := l.enc.seq
	l.enc.end(l.enc.header(unix.NFNL_MSG_BATCH_END, 0, unix.AF_UNSPEC, unix.NFNL_SUBSYS_NFTABLES))
	var refused error
	acknowledged := false
	err := l.request(func(m message) bool {
		if m.typ != unix.NLMSG_ERROR {
			return true
		}
		if errno := m.errno(); errno != 0 && refused == nil {
			refused = errno
		} else if errno == 0 && m.seq == last {
			acknowledged = true
		}
		return true
	})
	switch {
	case refused != nil:
		return permission(refused)
	case err != nil:
		return err
	case !acknowledged:
		return errUnknown
	}
	return nil
}

// permission makes an error that callers recognise, with a hint, of the kernel's EPERM.
func permission(err error) error {
	if errors.Is(err, unix.EPERM) || errors.Is(err, unix.EACCES) {
		return fmt.Errorf("%w: %w (hint: nftables needs CAP_NET_ADMIN; backend observe needs nothing)", firewall.ErrCapability, err)
	}
	return err
}
