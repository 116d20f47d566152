package e2e

import (
	"bytes"
	"encoding/binary"
	"net/netip"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"stockade/cmd/stockade/e2e/rig"
)

// monitor hears of each element that the kernel adds to a set, as `nft monitor elements` does.
type monitor struct {
	t     testing.TB
	added chan addition
}

// addition is one notification of the kernel and the moment it was read.
type addition struct {
	at      time.Time
	message []byte
}

// newElement is the type of a notification about a new element: subsystem and message.
const newElement = unix.NFNL_SUBSYS_NFTABLES<<8 | unix.NFT_MSG_NEWSETELEM

// watch begins to hear of the elements of a host.
func watch(t testing.TB, ns string) *monitor {
	t.Helper()
	m := &monitor{t: t, added: make(chan addition, 1024)}
	fd := -1
	err := rig.Inside(ns, func() (err error) {
		if fd, err = unix.Socket(unix.AF_NETLINK, unix.SOCK_RAW|unix.SOCK_CLOEXEC, unix.NETLINK_NETFILTER); err != nil {
			return err
		}
		if err = unix.SetsockoptTimeval(fd, unix.SOL_SOCKET, unix.SO_RCVTIMEO, &unix.Timeval{Usec: 100_000}); err != nil {
			return err
		}
		return unix.Bind(fd, &unix.SockaddrNetlink{Family: unix.AF_NETLINK, Groups: 1 << (unix.NFNLGRP_NFTABLES - 1)})
	})
	if err != nil {
		t.Fatalf("watch the elements: %v", err)
	}
	stop, done := make(chan struct{}), make(chan struct{})
	t.Cleanup(func() { close(stop); <-done; _ = unix.Close(fd) })
	go func() {
		defer close(done)
		m.read(fd, stop)
	}()
	return m
}

func (m *monitor) read(fd int, stop chan struct{}) {
	buf := make([]byte, 1<<16)
	for {
		select {
		case <-stop:
			return
		default:
		}
		n, _, err := unix.Recvfrom(fd, buf, 0)
		at := time.Now()
		if err != nil {
			continue // nothing within the receive timeout
		}
		for rest := buf[:n]; len(rest) >= unix.NLMSG_HDRLEN; {
			size := int(binary.NativeEndian.Uint32(rest))
			if size < unix.NLMSG_HDRLEN || size > len(rest) {
				break
			}
			if binary.NativeEndian.Uint16(rest[4:]) == newElement {
				select {
				case m.added <- addition{at, bytes.Clone(rest[unix.NLMSG_HDRLEN:size])}:
				case <-stop:
					return
				}
			}
			rest = rest[min((size+3)&^3, len(rest)):]
		}
	}
}

// wait returns when the kernel had added an address to a set.
func (m *monitor) wait(set string, addr netip.Addr) time.Time {
	m.t.Helper()
	limit := time.After(30 * time.Second)
	for {
		select {
		case a := <-m.added:
			if bytes.Contains(a.message, append([]byte(set), 0)) && bytes.Contains(a.message, addr.AsSlice()) {
				return a.at
			}
		case <-limit:
			m.t.Fatalf("%s is not in %s after 30 s", addr, set)
		}
	}
}
