package receiver

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"runtime"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

const maxUDPSockets = 4

// listen opens the sockets that the configuration asks for.
func (l *Listener) listen() error {
	if l.cfg.Transport == "tls" {
		l.identity = newTLSIdentity(l)
		if err := l.identity.load(); err != nil {
			return err
		}
	}
	if len(l.o.Inherited) > 0 {
		return l.inherit()
	}
	switch l.cfg.Transport {
	case "udp":
		return l.listenUDP()
	case "tcp", "tls":
		address, err := listenAddress(l.cfg.Address)
		if err != nil {
			return err
		}
		return l.listenStream("tcp", address)
	case "unix":
		return l.listenFile(func() error { return l.listenStream("unix", l.cfg.Path) })
	case "unixgram":
		return l.listenFile(func() error {
			lc := net.ListenConfig{Control: control(passCredentials, privateFile)}
			c, err := lc.ListenPacket(context.Background(), "unixgram", l.cfg.Path)
			if err != nil {
				return err
			}
			return l.takeDatagrams(c)
		})
	}
	return fmt.Errorf("transport %q is not one of udp, tcp, tls, unix, unixgram", l.cfg.Transport)
}

// listenAddress writes an address as package net wants it: an unspecified IPv6 address, or
// none, listens on both families.
func listenAddress(text string) (string, error) {
	a, err := parseListen(text)
	if err != nil {
		return "", err
	}
	if a.Addr() == netip.IPv6Unspecified() {
		return fmt.Sprintf(":%d", a.Port()), nil
	}
	return a.String(), nil
}

func (l *Listener) listenStream(network, address string) error {
	lc := net.ListenConfig{KeepAliveConfig: net.KeepAliveConfig{
		Enable: true, Idle: time.Minute, Interval: 15 * time.Second, Count: 4,
	}}
	if network == "unix" {
		lc.Control = control(passCredentials, privateFile)
	}
	ln, err := lc.Listen(context.Background(), network, address)
	if err != nil {
		return err
	}
	l.takeStream(ln)
	return nil
}

func (l *Listener) takeStream(ln net.Listener) {
	if u, ok := ln.(*net.UnixListener); ok {
		u.SetUnlinkOnClose(false) // socketFile removes it, if it is still ours
	}
	l.server = newStreams(l, ln)
}

// listenUDP opens one socket a core, so that the kernel spreads the senders. A first socket
// without SO_REUSEPORT finds out whether somebody else listens: with the option, a second
// instance of this program would silently take half of the datagrams.
func (l *Listener) listenUDP() error {
	address, err := listenAddress(l.cfg.Address)
	if err != nil {
		return err
	}
	probe, err := (&net.ListenConfig{}).ListenPacket(context.Background(), "udp", address)
	if err != nil {
		return err
	}
	address = probe.LocalAddr().String() // with the port chosen for 0
	if err := probe.Close(); err != nil {
		return err
	}
	lc := net.ListenConfig{Control: control(
		func(fd int) error { return unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_REUSEPORT, 1) },
	)}
	var conns []net.PacketConn
	for range min(runtime.GOMAXPROCS(0), maxUDPSockets) {
		c, err := lc.ListenPacket(context.Background(), "udp", address)
		if err != nil {
			for _, c := range conns {
				err = errors.Join(err, c.Close())
			}
			return err
		}
		conns = append(conns, c)
	}
	return l.takeDatagrams(conns...)
}

// takeDatagrams makes the server of datagram sockets. It owns conns, also on an error.
func (l *Listener) takeDatagrams(conns ...net.PacketConn) (err error) {
	defer func() {
		if err == nil {
			return
		}
		for _, c := range conns {
			err = errors.Join(err, c.Close())
		}
	}()
	d := &datagrams{l: l}
	if l.cfg.Transport == "udp" {
		l.links = newLinks()
		if err := l.links.refresh(); err != nil {
			return fmt.Errorf("list interfaces: %w", err)
		}
		d.links = l.links
	}
	for _, c := range conns {
		pc, ok := c.(packetConn)
		if !ok {
			return fmt.Errorf("socket of type %T cannot receive datagrams", c)
		}
		s, err := newDatagramSocket(pc)
		if err != nil {
			return err
		}
		set := passCredentials
		if l.cfg.Transport == "udp" {
			set = func(fd int) error { return l.packetInfo(fd) }
		}
		if err := control(set)("", "", s.raw); err != nil {
			return err
		}
		d.sockets = append(d.sockets, s)
	}
	if l.cfg.Transport == "udp" && !d.sockets[0].countable() {
		l.log.Warn("this kernel does not say how many datagrams it drops: losses are not counted")
	}
	l.server = d
	return nil
}

// packetInfo asks for the interface of each datagram and for a large buffer.
func (l *Listener) packetInfo(fd int) error {
	family, err := unix.GetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_DOMAIN)
	if err != nil {
		return fmt.Errorf("get SO_DOMAIN: %w", err)
	}
	if family == unix.AF_INET6 {
		err = unix.SetsockoptInt(fd, unix.SOL_IPV6, unix.IPV6_RECVPKTINFO, 1)
	} else {
		err = unix.SetsockoptInt(fd, unix.SOL_IP, unix.IP_PKTINFO, 1)
	}
	if err != nil {
		return fmt.Errorf("set packet information: %w", err)
	}
	if unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_RCVBUFFORCE, l.limits.receiveBuffer) == nil {
		return nil
	}
	// Without CAP_NET_ADMIN net.core.rmem_max is the limit.
	if err := unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_RCVBUF, l.limits.receiveBuffer); err != nil {
		return fmt.Errorf("set SO_RCVBUF: %w", err)
	}
	return nil
}

// passCredentials makes the kernel attach the sender's credentials (unix(7) SO_PASSCRED). It
// is set before bind, so that no datagram can come without.
func passCredentials(fd int) error {
	if err := unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_PASSCRED, 1); err != nil {
		return fmt.Errorf("set SO_PASSCRED: %w", err)
	}
	return nil
}

// privateFile keeps others out of the socket file from bind until its mode is set: bind gives
// the file the mode of the socket.
func privateFile(fd int) error {
	if err := unix.Fchmod(fd, 0o600); err != nil {
		return fmt.Errorf("set the mode of the socket: %w", err)
	}
	return nil
}

// control makes the Control function of a net.ListenConfig from steps on the descriptor.
func control(steps ...func(fd int) error) func(network, address string, c syscall.RawConn) error {
	return func(_, _ string, c syscall.RawConn) error {
		var err error
		ctlErr := c.Control(func(fd uintptr) {
			for _, step := range steps {
				if err = step(int(fd)); err != nil {
					return
				}
			}
		})
		return errors.Join(ctlErr, err)
	}
}
