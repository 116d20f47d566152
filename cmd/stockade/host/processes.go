package host

import (
	"bytes"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"
)

// Limits of a look at the processes.
const (
	maxProcesses = 1 << 16
	maxFDs       = 256
	scanEvery    = 800 * time.Millisecond
	scanAll      = 5 * time.Second // though no process seems to have begun
	scanShare    = 50              // a look may take one part in so many of the time
)

// vpnPrograms are those whose own connections are VPN endpoints.
var vpnPrograms = []string{"openvpn", "charon", "charon-systemd", "pluto", "openconnect", "vpnc", "tincd", "fastd"}

// loggedIn is the title of a process of sshd behind a login. Before it the title ends in [priv],
// [net] or [accepted].
var loggedIn = regexp.MustCompile(`^sshd(?:-session)?: [^\s@]+(?:@\S+)?@(?:pts|tty|notty)\S*$`)

// processes finds the peers of sshd's sessions and of VPN daemons. Without the right to read the
// files of other users' processes (CAP_SYS_PTRACE) it finds less, and the records of logins serve.
type processes struct {
	fs      root
	loadavg kept
	next    time.Time

	last   string         // the last process when the last scan began; "" unknown
	again  bool           // it was another one before: what began may not have its name and title yet
	whole  time.Time      // when all names were read
	pids   map[string]int // that the last scan saw, and in how many looks they were nobody's
	blind  bool           // processes begin and last does not show it
	serves bool           // a VPN daemon runs: it opens connections without a new process

	sessions, vpn []Protected
}

// look returns what the last look found, and looks again when it is time: when a process began
// since. A login begins several.
func (p *processes) look(now time.Time) (sessions, vpn []Protected) {
	if now.Before(p.next) && p.next.Sub(now) < time.Hour {
		return p.sessions, p.vpn
	}
	last := lastProcess(p.loadavg.read())
	same := last != "" && last == p.last
	idle := now.Sub(p.whole)
	all := last == "" || idle < 0 || idle >= scanAll
	if same && !p.again && !p.blind && !p.serves && !all {
		return p.sessions, p.vpn
	}
	begin := time.Now()
	if all {
		p.whole = now
	}
	unseen := p.scan(all)
	if same && unseen && lastProcess(p.loadavg.read()) == last {
		p.blind = true // as in a container whose /proc is another's
	}
	p.last, p.again = last, !same
	p.next = now.Add(max(scanEvery, scanShare*time.Since(begin)))
	return p.sessions, p.vpn
}

// nameLooks is in how many looks the name of a process is read. A program that takes the place of
// another later on is found when all names are read.
const nameLooks = 2

// scan looks at the processes of sshd and of VPN daemons, among those that began lately or among
// all, and reports whether one was there that the scan before did not see.
func (p *processes) scan(all bool) (unseen bool) {
	p.sessions, p.vpn, p.serves = nil, nil, false
	dir, err := os.Open(p.fs.path("/proc"))
	if err != nil {
		return false
	}
	defer dir.Close()
	names, _ := dir.Readdirnames(maxProcesses) // what was read before an error serves
	ofSSH, ofVPN := map[uint64]bool{}, map[uint64]bool{}
	pids := make(map[string]int, len(p.pids))
	for _, pid := range names {
		if pid[0] < '1' || pid[0] > '9' {
			continue
		}
		looks, seen := p.pids[pid]
		unseen = unseen || !seen
		if looks >= nameLooks && !all {
			pids[pid] = looks
			continue
		}
		pids[pid] = 0
		switch comm := p.comm(pid); {
		case slices.Contains(vpnPrograms, comm):
			p.serves = true
			p.inodes(pid, ofVPN)
		case isSSH(comm):
			if p.session(pid) {
				p.inodes(pid, ofSSH)
			}
		default:
			pids[pid] = min(looks+1, nameLooks)
		}
	}
	if len(ofSSH)+len(ofVPN) > 0 {
		p.peers(ofSSH, ofVPN)
	}
	p.pids = pids
	return unseen
}

func (p *processes) comm(pid string) string {
	var buf [64]byte // the kernel keeps 16
	return string(bytes.TrimSpace(readLine(p.fs.path("/proc/"+pid+"/comm"), buf[:])))
}

func isSSH(comm string) bool { return comm == "sshd" || comm == "sshd-session" }

// session reports whether a process of sshd serves somebody who has logged in: by its title, and
// because its parent is root's sshd. A user's own program may call itself sshd, too.
func (p *processes) session(pid string) bool {
	title, _, _ := strings.Cut(string(p.fs.read("/proc/"+pid+"/cmdline")), "\x00")
	if !loggedIn.MatchString(strings.TrimSpace(title)) {
		return false
	}
	parent := p.status(pid, "PPid:")
	return parent != "" && isSSH(p.comm(parent)) && p.status(parent, "Uid:") == "0"
}

// status returns the first value of a key of /proc/PID/status.
func (p *processes) status(pid, key string) string {
	for line := range strings.Lines(string(p.fs.read("/proc/" + pid + "/status"))) {
		if value, ok := strings.CutPrefix(line, key); ok {
			if f := strings.Fields(value); len(f) > 0 {
				return f[0]
			}
		}
	}
	return ""
}

// inodes adds the sockets that a process has open.
func (p *processes) inodes(pid string, to map[uint64]bool) {
	path := p.fs.path("/proc/" + pid + "/fd")
	dir, err := os.Open(path)
	if err != nil {
		return
	}
	defer dir.Close()
	fds, _ := dir.Readdirnames(maxFDs) // as above
	for _, fd := range fds {
		target, err := os.Readlink(filepath.Join(path, fd))
		if err != nil {
			continue
		}
		text, ok := strings.CutPrefix(target, "socket:[")
		if n, err := strconv.ParseUint(strings.TrimSuffix(text, "]"), 10, 64); ok && err == nil {
			to[n] = true
		}
	}
}

// peers looks up the other ends of the sockets. A session of sshd has the client at a port on
// which root listens; its forwarded connections do not count. A VPN daemon's peers count where it
// called them: where it listens, anybody can be one.
func (p *processes) peers(ofSSH, ofVPN map[uint64]bool) {
	listens := map[uint16]bool{} // root does
	serves := map[uint16]bool{}  // anybody does
	var established []socket
	for _, table := range []string{"tcp", "tcp6"} {
		p.fs.sockets(table, func(s socket) {
			switch {
			case s.state == stateListen:
				serves[s.local.Port()] = true
				listens[s.local.Port()] = listens[s.local.Port()] || s.uid == 0
			case s.state == stateEstablished && (ofSSH[s.inode] || ofVPN[s.inode]):
				established = append(established, s)
			}
		})
	}
	for _, s := range established {
		if ofSSH[s.inode] && listens[s.local.Port()] {
			p.sessions = appendText(p.sessions, s.peer.Addr().String(), "login session")
		}
		if ofVPN[s.inode] && !serves[s.local.Port()] {
			p.vpn = appendText(p.vpn, s.peer.Addr().String(), "VPN endpoint")
		}
	}
	for _, table := range []string{"udp", "udp6"} {
		p.fs.sockets(table, func(s socket) {
			if ofVPN[s.inode] && s.state == stateEstablished {
				p.vpn = appendText(p.vpn, s.peer.Addr().String(), "VPN endpoint")
			}
		})
	}
}
