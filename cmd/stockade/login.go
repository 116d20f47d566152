package main

import (
	"bytes"
	"fmt"
	"net/netip"
	"os"
	"strconv"
	"strings"
)

// maxAncestors bounds the walk from this process to the login that it came from.
const maxAncestors = 32

// ownLogin returns the address that the operator logged in from by ssh, or the zero Addr. sudo
// clears the environment, so that of the ancestors is looked at too, where it may be read.
func ownLogin() netip.Addr {
	if a := sshClient(os.Getenv); a.IsValid() {
		return a
	}
	pid := os.Getppid()
	for range maxAncestors {
		if pid <= 1 {
			break
		}
		if env, err := os.ReadFile(fmt.Sprintf("/proc/%d/environ", pid)); err == nil {
			if a := sshClient(lookup(env)); a.IsValid() {
				return a
			}
		}
		stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
		if err != nil {
			break
		}
		pid = parentOf(stat)
	}
	return netip.Addr{}
}

// sshClient reads the variables of sshd: the first word is the client's address.
func sshClient(getenv func(string) string) netip.Addr {
	for _, name := range []string{"SSH_CONNECTION", "SSH_CLIENT"} {
		word, _, _ := strings.Cut(getenv(name), " ")
		if a, err := netip.ParseAddr(word); err == nil {
			return a.Unmap().WithZone("")
		}
	}
	return netip.Addr{}
}

// lookup finds variables in the form of /proc/PID/environ.
func lookup(environ []byte) func(string) string {
	return func(name string) string {
		for pair := range bytes.SplitSeq(environ, []byte{0}) {
			if v, ok := bytes.CutPrefix(pair, []byte(name+"=")); ok {
				return string(v)
			}
		}
		return ""
	}
}

// parentOf reads the parent from /proc/PID/stat: "pid (comm) state ppid", where comm may hold
// anything.
func parentOf(stat []byte) int {
	fields := bytes.Fields(stat[bytes.LastIndexByte(stat, ')')+1:])
	if len(fields) < 2 {
		return 0
	}
	pid, err := strconv.Atoi(string(fields[1]))
	if err != nil {
		return 0
	}
	return pid
}
