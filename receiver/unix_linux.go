package receiver

import (
	"errors"
	"fmt"
	"io"
	"net"
	"strconv"
	"syscall"

	"golang.org/x/sys/unix"
)

// unixReader reads a unix stream with the credentials of each piece. The kernel never joins
// the bytes of two writers in one receive (unix(7)).
type unixReader struct {
	c   *conn
	raw syscall.RawConn
	one *one
	try func(fd uintptr) bool // receive, made once

	p       []byte
	n       int
	control []byte
	err     error
}

// openUnix prepares a unix connection. SO_PEERCRED, the effective user at connect time, only
// counts the connections of a user; it proves nothing about a line.
func (c *conn) openUnix() error {
	u, ok := c.nc.(*net.UnixConn)
	if !ok {
		return fmt.Errorf("connection of type %T is not a unix socket", c.nc)
	}
	raw, err := u.SyscallConn()
	if err != nil {
		return err
	}
	if err := control(passCredentials, func(fd int) error {
		cred, err := unix.GetsockoptUcred(fd, unix.SOL_SOCKET, unix.SO_PEERCRED)
		if err != nil {
			return fmt.Errorf("get SO_PEERCRED: %w", err)
		}
		c.key = "uid " + strconv.FormatUint(uint64(cred.Uid), 10)
		return nil
	})("", "", raw); err != nil {
		return err
	}
	r := &unixReader{c: c, raw: raw, one: newOne()}
	r.try = r.receive
	c.src = r
	return nil
}

func (r *unixReader) receive(fd uintptr) bool {
	r.n, r.control, r.err = receiveOne(int(fd), r.p, r.one)
	return !errors.Is(r.err, unix.EAGAIN)
}

// Read reads bytes of one writer and makes it the connection's peer. A second writer within a
// frame spoils that frame.
func (r *unixReader) Read(p []byte) (int, error) {
	for {
		r.p, r.err = p, nil
		err := r.raw.Read(r.try)
		r.p = nil
		switch {
		case err != nil:
			return 0, err
		case errors.Is(r.err, unix.EINTR):
			continue
		case r.err != nil:
			return 0, r.err
		case r.n == 0:
			return 0, io.EOF
		}
		break
	}
	c := r.c
	peer := credentials(r.control)
	if peer.UID < 0 {
		return 0, &refusedError{reason: ReasonNoCredentials}
	}
	if peer != c.peer {
		c.mixed = c.mixed || c.inside
		c.peer, c.source = peer, nil
	}
	return r.n, nil
}
