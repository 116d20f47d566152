package host

import (
	"bytes"
	"os"
)

// kept is a small file of the kernel that stays open: reading it again costs one system call. It
// belongs to one goroutine until it is closed.
type kept struct {
	path string
	f    *os.File
	buf  [1024]byte
}

// read returns what the file says now, at most a kilobyte, valid until the next call; nil when it
// cannot be read.
func (k *kept) read() []byte {
	if k.f == nil {
		f, err := os.Open(k.path)
		if err != nil {
			return nil
		}
		k.f = f
	}
	n := read(int(k.f.Fd()), k.buf[:], 0) // File.ReadAt would ask again for the end
	if n < 0 {
		k.close()
		return nil
	}
	return k.buf[:n]
}

func (k *kept) close() {
	if k.f != nil {
		k.f.Close()
		k.f = nil
	}
}

// lastProcess is the number that the kernel gave last to a process or thread, by /proc/loadavg;
// "" when it is not known.
func lastProcess(loadavg []byte) string {
	f := bytes.Fields(loadavg)
	if len(f) < 5 {
		return ""
	}
	return string(f[4])
}

// udpSockets is how many UDP sockets there are, by /proc/net/sockstat or sockstat6, as text; ""
// when it is not known.
func udpSockets(sockstat []byte) string {
	for line := range bytes.Lines(sockstat) {
		if f := bytes.Fields(line); len(f) > 2 && (string(f[0]) == "UDP:" || string(f[0]) == "UDP6:") {
			return string(f[2])
		}
	}
	return ""
}
