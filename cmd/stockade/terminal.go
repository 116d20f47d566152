package main

import (
	"os"

	"golang.org/x/sys/unix"
)

// terminal returns the descriptor of a terminal; ok is false for anything else.
func terminal(stream any) (fd int, ok bool) {
	f, isFile := stream.(*os.File)
	if !isFile {
		return 0, false
	}
	fd = int(f.Fd()) //nolint:gosec // a descriptor is small
	_, err := unix.IoctlGetTermios(fd, unix.TCGETS)
	return fd, err == nil
}

// terminalWidth is the width of a terminal in characters; 0 for anything else, which has no width.
func terminalWidth(stream any) int {
	fd, ok := terminal(stream)
	if !ok {
		return 0
	}
	size, err := unix.IoctlGetWinsize(fd, unix.TIOCGWINSZ)
	if err != nil {
		return 0
	}
	return int(size.Col)
}
