package receiver

import (
	"bytes"
	"os"
	"path"
	"slices"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// Writers looks up who a process is. Answers are kept for a second, for at most 1,024 processes:
// within that time a process number is not another's. It belongs to one goroutine.
type Writers struct {
	known map[int64]*writer
	root  string // of /proc, for tests
}

// writer is what /proc says of a process. Empty fields are unknown.
type writer struct {
	exe, name, unit string
	carrier         bool
	until           time.Time
}

const (
	writerKept = time.Second
	maxWriters = 1024
)

// carriers hand on lines that others wrote: who connects as one of these is a peer, never the
// writer. By program and by systemd unit.
var carriers = []string{
	"rsyslogd", "syslog-ng", "dockerd", "containerd", "containerd-shim", "containerd-shim-runc-v2",
	"conmon", "podman", "vector", "fluent-bit", "fluentd", "filebeat", "promtail", "busybox-syslogd",
	"rsyslog.service", "syslog-ng.service", "docker.service", "containerd.service", "vector.service",
	"fluent-bit.service", "fluentd.service", "filebeat.service", "promtail.service",
}

// NewWriters returns an empty table.
func NewWriters() *Writers {
	return &Writers{known: make(map[int64]*writer), root: "/proc"}
}

// Origin says who wrote a message on a unix socket that was received at now. The kernel proves the uid; program and unit
// are empty where /proc no longer tells, or may not. A process that ended keeps its name until its parent
// has asked how. The line of a carrier has an unknown origin.
func (w *Writers) Origin(p *Peer, now time.Time) Origin {
	if p.Level != LevelKernel || p.UID < 0 {
		return Origin{}
	}
	x := w.look(p.PID, now)
	if x.carrier {
		return Origin{}
	}
	return Origin{Known: true, UID: uint32(p.UID), Exe: x.exe, Unit: x.unit, Name: x.name} //nolint:gosec // a kernel uid fits
}

// ReadsPrograms reports whether this process may see which program a process of another user runs:
// /proc/PID/exe needs CAP_SYS_PTRACE (proc_pid_exe(5)).
func ReadsPrograms() bool {
	header := unix.CapUserHeader{Version: unix.LINUX_CAPABILITY_VERSION_3}
	var data [2]unix.CapUserData // version 3 fills two
	if err := unix.Capget(&header, &data[0]); err != nil {
		return false
	}
	return data[0].Effective&(1<<unix.CAP_SYS_PTRACE) != 0
}

// noWriter is that of a message without a process number. It is never written to.
var noWriter writer

func (w *Writers) look(pid int64, now time.Time) *writer {
	if pid <= 0 {
		return &noWriter
	}
	if x := w.known[pid]; x != nil && now.Before(x.until) {
		return x
	}
	if len(w.known) >= maxWriters {
		clear(w.known)
	}
	dir := path.Join(w.root, strconv.FormatInt(pid, 10))
	x := &writer{until: now.Add(writerKept)}
	if exe, err := os.Readlink(path.Join(dir, "exe")); err == nil {
		x.exe = strings.TrimSuffix(exe, " (deleted)") // replaced by an upgrade while it runs
	} else if comm, err := os.ReadFile(path.Join(dir, "comm")); err == nil {
		x.name = string(bytes.TrimSuffix(comm, []byte("\n")))
	}
	if text, err := os.ReadFile(path.Join(dir, "cgroup")); err == nil {
		x.unit = unitOf(text)
	}
	name := x.name
	if x.exe != "" {
		name = path.Base(x.exe)
	}
	x.carrier = slices.Contains(carriers, name) || slices.Contains(carriers, x.unit)
	w.known[pid] = x
	return x
}

// unitOf returns the systemd unit in the text of /proc/PID/cgroup: the last part of the unified
// hierarchy's path that names a service or scope.
func unitOf(text []byte) string {
	for line := range bytes.Lines(text) {
		dir, found := bytes.CutPrefix(line, []byte("0::"))
		if !found {
			continue
		}
		parts := strings.Split(strings.TrimSpace(string(dir)), "/")
		for _, part := range slices.Backward(parts) {
			if strings.HasSuffix(part, ".service") || strings.HasSuffix(part, ".scope") {
				return part
			}
		}
	}
	return ""
}
