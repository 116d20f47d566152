//go:build unix

package wal

import (
	"errors"
	"os"
	"syscall"
)

// lock takes the file's lock, which ends when the file is closed or the process dies.
func lock(f *os.File) error {
	err := syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB)
	if errors.Is(err, syscall.EWOULDBLOCK) {
		return ErrInUse
	}
	return err
}
