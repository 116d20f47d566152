package senders

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"sync"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"

	"stockade/receiver/receivertest"
)

// cable carries TCP connections to the daemon and can be cut: everything on it is reset, and nobody
// can connect until it is mended.
type cable struct {
	t        testing.TB
	from, to string

	mu    sync.Mutex
	ln    net.Listener
	conns []net.Conn
	left  int64 // bytes that pass before the cable cuts itself; negative: no limit
	wg    sync.WaitGroup
}

// thin makes connections that hold few bytes: small segments, a small window. A sender then notices
// a cut while it still writes.
var thin = net.ListenConfig{Control: func(_, _ string, raw syscall.RawConn) error {
	var size, segment error
	err := raw.Control(func(fd uintptr) {
		size = unix.SetsockoptInt(int(fd), unix.SOL_SOCKET, unix.SO_RCVBUF, 4096)
		segment = unix.SetsockoptInt(int(fd), unix.IPPROTO_TCP, unix.TCP_MAXSEG, 536)
	})
	return errors.Join(err, size, segment)
}}

func newCable(t testing.TB, to int) *cable {
	t.Helper()
	c := &cable{t: t, to: fmt.Sprintf("127.0.0.1:%d", to), from: fmt.Sprintf("127.0.0.1:%d", receivertest.FreePort(t)), left: -1}
	t.Cleanup(func() { c.cut(); c.wg.Wait() })
	return c
}

// mend makes the cable carry n bytes, or any number when n is negative.
func (c *cable) mend(n int64) {
	c.t.Helper()
	ln, err := thin.Listen(context.Background(), "tcp", c.from)
	if err != nil {
		c.t.Fatal(err)
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.ln, c.left = ln, n
	c.wg.Go(func() {
		for {
			in, err := ln.Accept()
			if err != nil {
				return
			}
			out, err := net.Dial("tcp", c.to)
			if err != nil {
				_ = in.Close()
				continue
			}
			c.mu.Lock()
			c.conns = append(c.conns, in, out)
			c.mu.Unlock()
			c.wg.Go(func() { c.carry(in, out) })
		}
	})
}

func (c *cable) carry(in, out net.Conn) {
	buf := make([]byte, 4096)
	for {
		n, err := in.Read(buf)
		if err != nil {
			if errors.Is(err, io.EOF) {
				_ = out.Close()
			}
			_ = in.Close()
			return
		}
		c.mu.Lock()
		last := c.left >= 0 && int64(n) >= c.left
		if last {
			n = int(c.left)
		}
		if c.left >= 0 {
			c.left -= int64(n)
		}
		c.mu.Unlock()
		if _, err := out.Write(buf[:n]); err != nil {
			_ = in.Close()
			return
		}
		if last {
			c.cut()
			return
		}
	}
}

// cut resets what is connected.
func (c *cable) cut() {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.ln != nil {
		_ = c.ln.Close()
		c.ln = nil
	}
	for _, conn := range c.conns {
		_ = conn.(*net.TCPConn).SetLinger(0)
		_ = conn.Close()
	}
	c.conns = nil
}

// whole reports whether somebody can connect.
func (c *cable) whole() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.ln != nil
}
