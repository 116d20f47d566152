//go:build unix

package host

import (
	"io/fs"
	"syscall"
)

// inode is the number of a file, which changes when it is replaced; 0: unknown.
func inode(info fs.FileInfo) uint64 {
	if st, ok := info.Sys().(*syscall.Stat_t); ok {
		return uint64(st.Ino) //nolint:unconvert // narrower on some systems
	}
	return 0
}
