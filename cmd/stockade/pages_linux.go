package main

import (
	"fmt"
	"os"
	"strings"

	"golang.org/x/sys/unix"
)

// forgetPages lets go of the pages of the program, its code and its constants: most of those that are
// mapped ran once, while it started, and they are the larger part of what an idle daemon holds. A page
// that is used again is mapped again, from the page cache as a rule. Where it cannot be done, nothing
// is lost.
func forgetPages() {
	program, err := os.Readlink("/proc/self/exe")
	if err != nil {
		return
	}
	maps, err := os.ReadFile("/proc/self/smaps")
	if err != nil {
		return
	}
	for _, m := range unwritten(string(maps), program) {
		_, _, _ = unix.Syscall(unix.SYS_MADVISE, m.from, m.to-m.from, unix.MADV_DONTNEED)
	}
}

// mapping is a part of the address space, without the byte at to.
type mapping struct{ from, to uintptr }

// unwritten finds in the text of /proc/PID/smaps the mappings of a file that cannot be written and
// never were: all that they hold is in the file. Others were corrected when the program was loaded.
func unwritten(smaps, file string) (list []mapping) {
	var m mapping
	theirs := true
	for line := range strings.Lines(smaps) {
		f := strings.Fields(line)
		switch {
		case len(f) > 5 && !strings.HasSuffix(f[0], ":"):
			_, err := fmt.Sscanf(f[0], "%x-%x", &m.from, &m.to)
			theirs = err != nil || strings.Contains(f[1], "w") || !strings.HasSuffix(strings.TrimSpace(line), " "+file)
		case len(f) > 1 && f[0] == "Anonymous:" && f[1] == "0" && !theirs:
			list = append(list, m)
		}
	}
	return list
}
