package receiver

import (
	"errors"
	"fmt"
	"net"
	"os"

	"github.com/coreos/go-systemd/v22/activation"
	"golang.org/x/sys/unix"
)

// Inherited returns the sockets that systemd passed to this process, by their FileDescriptorName
// (systemd.socket(5)): the name of the listener they are for. The environment is cleared, so
// that a second call returns none. The files are the caller's to close.
func Inherited() map[string][]*os.File {
	sockets := make(map[string][]*os.File)
	for _, f := range activation.Files(true) {
		sockets[f.Name()] = append(sockets[f.Name()], f)
	}
	return sockets
}

// inherit takes over sockets that somebody else bound; their files and modes are not ours.
func (l *Listener) inherit() error {
	for _, f := range l.o.Inherited {
		if err := l.fits(f); err != nil {
			return fmt.Errorf("inherited socket %q: %w", f.Name(), err)
		}
	}
	if l.cfg.isDatagram() {
		var conns []net.PacketConn
		for _, f := range l.o.Inherited {
			c, err := net.FilePacketConn(f)
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
	if len(l.o.Inherited) > 1 {
		return fmt.Errorf("%d inherited sockets: transport %s takes one", len(l.o.Inherited), l.cfg.Transport)
	}
	ln, err := net.FileListener(l.o.Inherited[0])
	if err != nil {
		return err
	}
	if l.cfg.Transport == "unix" {
		if err := l.inheritCredentials(ln); err != nil {
			return errors.Join(err, ln.Close())
		}
	}
	l.takeStream(ln)
	return nil
}

func (l *Listener) inheritCredentials(ln net.Listener) error {
	u, ok := ln.(*net.UnixListener)
	if !ok {
		return fmt.Errorf("socket of type %T is not a unix socket", ln)
	}
	raw, err := u.SyscallConn()
	if err != nil {
		return err
	}
	return control(passCredentials)("", "", raw)
}

// fits checks that a socket is of the listener's transport.
func (l *Listener) fits(f *os.File) error {
	raw, err := f.SyscallConn()
	if err != nil {
		return err
	}
	return control(func(fd int) error {
		family, err := unix.GetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_DOMAIN)
		if err != nil {
			return fmt.Errorf("get SO_DOMAIN: %w", err)
		}
		kind, err := unix.GetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_TYPE)
		if err != nil {
			return fmt.Errorf("get SO_TYPE: %w", err)
		}
		wantKind := unix.SOCK_STREAM
		if l.cfg.isDatagram() {
			wantKind = unix.SOCK_DGRAM
		}
		if kind != wantKind || (family == unix.AF_UNIX) != l.cfg.isUnix() {
			return fmt.Errorf("does not fit transport %s", l.cfg.Transport)
		}
		return nil
	})("", "", raw)
}
