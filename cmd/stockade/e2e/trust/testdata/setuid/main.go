// Command setuid writes a line to a stream socket, again and again, as a helper with the setuid bit
// would on behalf of whoever calls it: its effective user is root, its real one the caller.
package main

import (
	"fmt"
	"os"
	"strconv"
	"strings"
	"syscall"
)

func main() {
	if err := run(os.Args[1:]); err != nil {
		fmt.Fprintln(os.Stderr, "setuid:", err)
		os.Exit(1)
	}
}

// run sticks to packages without cgo: the helper is static, and quickly built.
func run(args []string) error {
	times, err := strconv.Atoi(args[1])
	if err != nil {
		return err
	}
	if os.Geteuid() != 0 || os.Getuid() == 0 {
		return fmt.Errorf("real uid %d, effective uid %d: want a caller and root", os.Getuid(), os.Geteuid())
	}
	fd, err := syscall.Socket(syscall.AF_UNIX, syscall.SOCK_STREAM, 0)
	if err != nil {
		return err
	}
	if err := syscall.Connect(fd, &syscall.SockaddrUnix{Name: args[0]}); err != nil {
		return err
	}
	socket := os.NewFile(uintptr(fd), args[0])
	if _, err := socket.WriteString(strings.Repeat(args[2]+"\n", times)); err != nil {
		return err
	}
	return socket.Close()
}
