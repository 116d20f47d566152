package host

import (
	"bytes"
	"encoding/binary"
	"io"
	"net/netip"
	"os"
	"runtime"
	"strconv"
	"time"
)

// Types of records.
const (
	utmpUser = 7 // USER_PROCESS
	utmpDead = 8 // DEAD_PROCESS
)

// utmpRecord is what a record of utmp(5) says.
type utmpRecord struct {
	kind int16
	pid  int32
	line string
	at   time.Time
	addr netip.Addr
}

// utmpLayout is where the fields of a record are, in bytes: glibc keeps 32-bit times but for ABIs
// that never had them.
type utmpLayout struct{ size, seconds, addr int }

var (
	utmp32 = utmpLayout{384, 340, 348}
	utmp64 = utmpLayout{400, 344, 360}
)

func hostLayout() utmpLayout {
	if runtime.GOARCH == "arm64" {
		return utmp64
	}
	return utmp32
}

// parse calls f with every whole record.
func (l utmpLayout) parse(data []byte, f func(utmpRecord)) {
	for ; len(data) >= l.size; data = data[l.size:] {
		r := utmpRecord{
			kind: int16(binary.NativeEndian.Uint16(data)),     //nolint:gosec // the field is signed
			pid:  int32(binary.NativeEndian.Uint32(data[4:])), //nolint:gosec // the field is signed
			line: cString(data[8:40]),
			addr: utmpAddr(data[l.addr : l.addr+16]),
		}
		if l.size == utmp64.size {
			r.at = time.Unix(int64(binary.NativeEndian.Uint64(data[l.seconds:])), 0) //nolint:gosec // the field is signed
		} else {
			r.at = time.Unix(int64(binary.NativeEndian.Uint32(data[l.seconds:])), 0)
		}
		if !r.addr.IsValid() {
			r.addr, _ = netip.ParseAddr(cString(data[76:332]))
		}
		f(r)
	}
}

func cString(b []byte) string {
	b, _, _ = bytes.Cut(b, []byte{0})
	return string(b)
}

// utmpAddr reads ut_addr_v6: IPv4 in the first four bytes alone. Not valid when it is empty.
func utmpAddr(b []byte) netip.Addr {
	if bytes.Equal(b, make([]byte, 16)) {
		return netip.Addr{}
	}
	if bytes.Equal(b[4:], make([]byte, 12)) {
		return netip.AddrFrom4([4]byte(b[:4]))
	}
	return netip.AddrFrom16([16]byte(b)).Unmap()
}

// utmpEvery is how often it is seen whether the processes of records live.
const utmpEvery = 5 * time.Second

// logins are those of utmp.
type logins struct {
	fs    root
	stamp stamp // zero: read it again
	whole time.Time
	found []Protected
}

// look returns them; the records are read when the file has changed.
func (l *logins) look(now time.Time) []Protected {
	s, ok := stampOf(l.fs.path("/run/utmp"))
	if !ok {
		l.stamp, l.found = stamp{}, nil
		return nil
	}
	if idle := now.Sub(l.whole); s == l.stamp && idle >= 0 && idle < utmpEvery {
		return l.found
	}
	l.found, l.stamp, l.whole = readUTMP(l.fs), stamp{}, now
	if s.settled(now) {
		l.stamp = s
	}
	return l.found
}

// readUTMP returns the addresses of those who are logged in. A record counts while the process
// that made it lives.
func readUTMP(r root) (list []Protected) {
	boot, booted := time.Time{}, false
	hostLayout().parse(r.read("/run/utmp"), func(u utmpRecord) {
		if u.kind != utmpUser || !u.addr.IsValid() || len(list) >= maxProtected {
			return
		}
		if !booted {
			boot, booted = r.booted(), true
		}
		if began, ok := r.began(u.pid, boot); ok && !began.After(u.at.Add(lateRecord)) {
			if p, ok := single(u.addr, "login session"); ok {
				list = append(list, p)
			}
		}
	})
	return list
}

// lateRecord is how much younger than its record a process may look: clocks are set. A process
// that took the number of a dead one is younger.
const lateRecord = time.Minute

// maxWTMP is how much of the end of wtmp is read, in bytes.
const maxWTMP = 256 << 10

// readWTMP returns the addresses of sessions that ended since a time, with when.
func readWTMP(r root, since time.Time) map[netip.Addr]time.Time {
	f, err := os.Open(r.path("/var/log/wtmp"))
	if err != nil {
		return nil
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return nil
	}
	l := hostLayout()
	size := int64(l.size)
	from := max(0, (info.Size()-maxWTMP)/size*size)
	data, err := io.ReadAll(io.NewSectionReader(f, from, maxWTMP+size))
	if err != nil {
		return nil
	}
	open, ended := map[string]netip.Addr{}, map[netip.Addr]time.Time{}
	l.parse(data, func(u utmpRecord) {
		switch u.kind {
		case utmpUser:
			open[u.line] = u.addr
		case utmpDead:
			if a := open[u.line]; a.IsValid() && u.at.After(since) {
				ended[a] = u.at
			}
			delete(open, u.line)
		}
	})
	return ended
}

// past protects those whose sessions ended shortly before the watcher began.
func (w *Watcher) past() {
	now := w.o.now()
	for a, at := range readWTMP(w.fs, now.Add(-lingerSession)) {
		if p, ok := single(a, "login session"); ok && at.Before(now.Add(lateRecord)) {
			w.lingers[p] = at.Add(lingerSession)
		}
	}
}

// booted is when the kernel began, by /proc/stat.
func (r root) booted() time.Time {
	for line := range bytes.Lines(r.read("/proc/stat")) {
		if text, ok := bytes.CutPrefix(line, []byte("btime ")); ok {
			n, _ := number(bytes.TrimSpace(text), 10)
			return time.Unix(int64(n), 0) //nolint:gosec // seconds since 1970
		}
	}
	return time.Time{}
}

// clockTicks is the unit of times in /proc: USER_HZ, a constant of the kernel's interface.
const clockTicks = 100

// began is when a process began; false when there is none of that number.
func (r root) began(pid int32, boot time.Time) (time.Time, bool) {
	stat := r.read("/proc/" + strconv.Itoa(int(pid)) + "/stat")
	f := bytes.Fields(stat[bytes.LastIndexByte(stat, ')')+1:]) // the name in brackets may hold spaces
	if len(f) < 20 {
		return time.Time{}, false
	}
	n, ok := number(f[19], 10)                                       // starttime, field 22
	return boot.Add(time.Duration(n) * time.Second / clockTicks), ok //nolint:gosec // ticks since boot
}
