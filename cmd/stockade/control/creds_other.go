//go:build !linux

package control

import (
	"errors"
	"net"
)

// callerOf refuses everybody: roles rest on Linux's peer credentials.
func callerOf(*net.UnixConn) (caller, error) {
	return caller{}, errors.New("peer credentials need Linux")
}
