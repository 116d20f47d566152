package control

import (
	"errors"
	"fmt"
	"net"
	"unsafe"

	"golang.org/x/sys/unix"
)

// callerOf asks the kernel who made the connection.
func callerOf(c *net.UnixConn) (caller, error) {
	raw, err := c.SyscallConn()
	if err != nil {
		return caller{}, err
	}
	var who caller
	var inner error
	err = raw.Control(func(fd uintptr) {
		var cred *unix.Ucred
		if cred, inner = unix.GetsockoptUcred(int(fd), unix.SOL_SOCKET, unix.SO_PEERCRED); inner != nil {
			inner = fmt.Errorf("read SO_PEERCRED: %w", inner)
			return
		}
		who = caller{uid: cred.Uid, gid: cred.Gid, pid: cred.Pid}
		if who.groups, inner = peerGroups(int(fd)); inner != nil {
			inner = fmt.Errorf("read SO_PEERGROUPS: %w", inner)
		}
	})
	return who, errors.Join(err, inner)
}

// peerGroups reads the supplementary groups: SO_PEERCRED has only the primary one. A buffer
// that is too small fails with ERANGE and the length it takes.
func peerGroups(fd int) ([]uint32, error) {
	groups := make([]uint32, 64)
	for range 2 {
		size := uint32(len(groups)) * 4
		_, _, errno := unix.Syscall6(unix.SYS_GETSOCKOPT, uintptr(fd), unix.SOL_SOCKET, unix.SO_PEERGROUPS,
			uintptr(unsafe.Pointer(unsafe.SliceData(groups))), uintptr(unsafe.Pointer(&size)), 0)
		switch errno {
		case 0:
			return groups[:size/4], nil
		case unix.ERANGE:
			groups = make([]uint32, size/4)
		default:
			return nil, errno
		}
	}
	return nil, unix.ERANGE
}
