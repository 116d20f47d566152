package journald

import (
	"path"
	"strings"

	"stockade/receiver"
)

// carriers pass on what other processes wrote, so that they are nobody's origin.
var carriers = map[string]bool{
	"rsyslogd": true, "syslog-ng": true, "dockerd": true, "containerd": true, "conmon": true,
	"vector": true, "fluent-bit": true, "td-agent-bit": true, "systemd-journal-remote": true,
	"rsyslog.service": true, "syslog-ng.service": true, "docker.service": true, "containerd.service": true,
	"vector.service": true, "fluent-bit.service": true, "systemd-journal-remote.service": true,
}

// writer is an executable or a unit as origins name it.
type writer struct {
	name    string
	carrier bool
}

const maxWriters = 1024

// writers keeps the names that were seen, so that a record costs no allocation.
type writers map[string]writer

func (w writers) of(name []byte) writer {
	if len(name) == 0 {
		return writer{}
	}
	if x, ok := w[string(name)]; ok {
		return x
	}
	if len(w) >= maxWriters {
		clear(w)
	}
	x := writer{name: string(name)}
	base := path.Base(x.name)
	x.carrier = carriers[base] || strings.HasPrefix(base, "containerd-shim")
	w[x.name] = x
	return x
}

// origin says who wrote a record, by the fields that journald sets itself.
func (w writers) origin(rec *Record) receiver.Origin {
	exe, unit := w.of(rec.Get(Exe)), w.of(rec.Get(Unit))
	if rec.Conflict || exe.carrier || unit.carrier {
		return receiver.Origin{}
	}
	uid, ok := number(rec.Get(UID))
	if !ok || uid > 1<<32-1 {
		// The kernel's own messages have no user; /dev/kmsg is root's.
		return receiver.Origin{Known: string(rec.Get(Transport)) == "kernel"}
	}
	return receiver.Origin{Known: true, UID: uint32(uid), Exe: exe.name, Unit: unit.name}
}

// number reads a decimal number.
func number(b []byte) (n int64, ok bool) {
	if len(b) == 0 || len(b) > 18 {
		return 0, false
	}
	for _, c := range b {
		if c < '0' || c > '9' {
			return 0, false
		}
		n = n*10 + int64(c-'0')
	}
	return n, true
}
