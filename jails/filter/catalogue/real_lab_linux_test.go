package catalogue

import (
	"bufio"
	"bytes"
	"context"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"stockade/jails/filter"
)

// The peers of the real daemons, on the loopback interface of the lab's network namespace, and the
// account with which a login succeeds.
const (
	serverAddr = "192.0.2.1"
	peerAddr   = "192.0.2.7"
	peerAddr6  = "2001:db8::7"
	account    = "alice"
	password   = "right"
	shadowHash = "$6$stockade$Ma9JvDTSi70zkNxEGqDDockrZEyhu67hbYWDxqPst7B5O6Yem3kukvaXwVYIfO5ztLO7Wt8pN6cSdsNUf27hD1"
)

// patience bounds every wait for a daemon.
const patience = 30 * time.Second

// lab is where one real daemon runs: a network and a mount namespace of the test's own thread,
// with its own /dev/log, accounts and folders for run-time data. What is written is matched
// against the whole catalogue.
type lab struct {
	t   *testing.T
	dir string

	mu      sync.Mutex
	matcher *filter.Matcher
	set     *filter.Set
	got     []found
	log     []string
}

// found is a match with the name of its filter.
type found struct {
	filter string
	filter.Match
}

// newLab skips the test unless root and the programs are there, and builds the lab around the
// calling goroutine, which must be the test's: it stays locked to its thread, which ends with it.
// The paths of the programs are returned in their order.
func newLab(t *testing.T, programs ...string) (*lab, []string) {
	t.Helper()
	if testing.Short() {
		t.Skip("starts a daemon")
	}
	if os.Getuid() != 0 {
		missing(t, "needs root: daemons change their users")
	}
	paths := make([]string, len(programs))
	for i, name := range programs {
		if paths[i] = program(name); paths[i] == "" {
			missing(t, name+" is not installed")
		}
	}
	t.Parallel()
	l := &lab{t: t, dir: t.TempDir()}
	if err := os.Chmod(filepath.Dir(l.dir), 0o755); err != nil { //nolint:gosec // daemons of other users look inside
		t.Fatal(err)
	}
	if err := os.Chmod(l.dir, 0o755); err != nil { //nolint:gosec // the same
		t.Fatal(err)
	}
	l.set = newSet(t, Names())
	l.matcher = l.set.NewMatcher()
	l.namespaces()
	l.syslog()
	return l, paths
}

// program returns the path of a program, or nothing. Packages that exclude each other can be
// unpacked below the folder that STOCKADE_TEST_ROOT names.
func program(name string) string {
	if path, err := exec.LookPath(name); err == nil {
		return path
	}
	for _, root := range []string{"", os.Getenv("STOCKADE_TEST_ROOT")} {
		for _, dir := range []string{"/usr/sbin", "/usr/bin", "/usr/libexec", "/usr/lib/postgresql/*/bin"} {
			if list, _ := filepath.Glob(root + filepath.Join(dir, name)); len(list) > 0 {
				return list[len(list)-1]
			}
		}
	}
	return ""
}

func (l *lab) must(what string, err error) {
	l.t.Helper()
	if err != nil {
		l.t.Fatalf("%s: %v", what, err)
	}
}

// namespaces gives the thread its own network and its own view of the files that daemons share.
func (l *lab) namespaces() {
	l.t.Helper()
	runtime.LockOSThread()
	if err := unix.Unshare(unix.CLONE_NEWNET | unix.CLONE_NEWNS); err != nil {
		missing(l.t, fmt.Sprintf("namespaces: %v", err))
	}
	l.must("private mounts", unix.Mount("", "/", "", unix.MS_REC|unix.MS_PRIVATE, ""))
	l.run("ip", "link", "set", "lo", "up")
	for _, a := range []string{serverAddr, peerAddr, peerAddr6} {
		l.run("ip", "address", "add", a, "dev", "lo")
	}
	dev := l.mkdir("dev", 0)
	l.must("tmpfs", unix.Mount("tmpfs", dev, "tmpfs", 0, "mode=0755"))
	for _, name := range []string{"null", "zero", "full", "random", "urandom", "tty", "ptmx"} {
		l.must("device", os.WriteFile(l.inLab(filepath.Join(dev, name)), nil, 0o600))
		l.must("device", unix.Mount("/dev/"+name, filepath.Join(dev, name), "", unix.MS_BIND, ""))
	}
	for _, name := range []string{"pts", "shm"} {
		l.must("device", os.Mkdir(filepath.Join(dev, name), 0o755)) //nolint:gosec // as in /dev
		l.must("device", unix.Mount("/dev/"+name, filepath.Join(dev, name), "", unix.MS_BIND, ""))
	}
	l.must("/dev/log", os.Symlink(l.inLab("log.sock"), filepath.Join(dev, "log")))
	// The folder is removed by the thread that sees the mounts in it.
	l.t.Cleanup(func() { _ = unix.Unmount(dev, unix.MNT_DETACH) })
	l.must("/dev", unix.Mount(dev, "/dev", "", unix.MS_BIND|unix.MS_REC, ""))
	for _, path := range []string{"/run", "/var/spool", "/var/cache", "/var/log"} {
		l.must(path, unix.Mount("tmpfs", path, "tmpfs", 0, "mode=0755"))
	}
	l.account()
	l.pam()
}

// pam gives the lab Debian's own stacks, without the pause after a wrong password, and stacks for
// daemons that are not installed as packages.
func (l *lab) pam() {
	l.t.Helper()
	dir := l.mkdir("pam.d", 0)
	list, err := filepath.Glob("/etc/pam.d/*")
	l.must("pam", err)
	for _, path := range list {
		data, err := os.ReadFile(path)
		l.must("pam", err)
		l.file(filepath.Join(dir, filepath.Base(path)), strings.ReplaceAll(string(data), "pam_unix.so nullok", "pam_unix.so nullok nodelay"))
	}
	for _, name := range []string{"vsftpd", "pure-ftpd"} {
		l.file(filepath.Join(dir, name), "@include common-account\n@include common-session\n@include common-auth\n")
	}
	l.must("pam", unix.Mount(dir, "/etc/pam.d", "", unix.MS_BIND, ""))
}

// account adds the account that can log in to the lab's view of /etc.
func (l *lab) account() {
	l.t.Helper()
	for name, line := range map[string]string{
		"passwd": account + ":x:4242:4242::" + l.mkdir("home", 4242) + ":/bin/sh\n",
		"shadow": account + ":" + shadowHash + ":19000:0:99999:7:::\n",
		"group":  account + ":x:4242:\n",
	} {
		old, err := os.ReadFile("/etc/" + name)
		l.must(name, err)
		if add := map[string]string{"passwd": "x:4243:4243::/nonexistent:/bin/false\n", "group": "x:4243:\n"}[name]; add != "" && !bytes.Contains(old, []byte("\nDebian-exim:")) {
			line += "Debian-exim:" + add // the name is built into the program
		}
		path := l.file(name, string(bytes.TrimRight(old, "\n"))+"\n"+line)
		l.must(name, unix.Mount(path, "/etc/"+name, "", unix.MS_BIND, ""))
	}
}

// inLab returns a path in the lab's folder.
func (l *lab) inLab(name string) string {
	if filepath.IsAbs(name) {
		return name
	}
	return filepath.Join(l.dir, name)
}

func (l *lab) mkdir(name string, owner int) string {
	l.t.Helper()
	path := l.inLab(name)
	l.must("folder", os.MkdirAll(path, 0o755)) //nolint:gosec // daemons of other users look inside
	l.must("folder", os.Chown(path, owner, owner))
	return path
}

// file writes a file that everybody can read.
func (l *lab) file(name, content string) string {
	l.t.Helper()
	path := l.inLab(name)
	l.must("file", os.WriteFile(path, []byte(content), 0o644)) //nolint:gosec // read by daemons of other users
	return path
}

// run runs a program in the lab to its end and returns what it said. Its failure ends the test.
func (l *lab) run(name string, args ...string) string {
	l.t.Helper()
	out, err := l.try(nil, name, args...)
	if err != nil {
		l.t.Fatalf("%s %s: %v: %s", name, strings.Join(args, " "), err, out)
	}
	return out
}

// try runs a client in the lab.
func (l *lab) try(env []string, name string, args ...string) (string, error) {
	l.t.Helper()
	ctx, cancel := context.WithTimeout(l.t.Context(), patience)
	defer cancel()
	cmd := exec.CommandContext(ctx, name, args...)
	cmd.Env = append(os.Environ(), env...)
	cmd.WaitDelay = time.Second
	out, err := cmd.CombinedOutput()
	return string(out), err
}

// start runs a daemon until the test ends. What it writes to its standard output and error is
// taken for lines of app; with an empty app it is only shown.
func (l *lab) start(app, path string, args ...string) {
	l.t.Helper()
	l.startAs(nil, app, path, args...)
}

func (l *lab) startAs(attr *syscall.SysProcAttr, app, path string, args ...string) {
	l.t.Helper()
	cmd := exec.Command(path, args...)
	cmd.Dir = l.dir
	if attr == nil {
		attr = &syscall.SysProcAttr{}
	}
	attr.Setpgid = true
	cmd.SysProcAttr = attr
	r, w, err := os.Pipe()
	l.must("pipe", err)
	cmd.Stdout, cmd.Stderr = w, w
	l.must("start "+path, cmd.Start())
	_ = w.Close()
	read := make(chan struct{})
	go func() {
		defer close(read)
		in := bufio.NewScanner(r)
		for in.Scan() {
			if app == "" {
				l.note(filepath.Base(path) + " says: " + in.Text())
				continue
			}
			l.line(app, "", in.Text())
		}
	}()
	l.t.Cleanup(func() {
		// The group of the daemon: what it forked ends with it.
		_ = unix.Kill(-cmd.Process.Pid, unix.SIGTERM)
		done := make(chan struct{})
		go func() { _ = cmd.Wait(); close(done) }()
		select {
		case <-done:
		case <-time.After(2 * time.Second):
		}
		_ = unix.Kill(-cmd.Process.Pid, unix.SIGKILL)
		<-done
		_ = r.SetReadDeadline(time.Now())
		<-read
		_ = r.Close()
		if l.t.Failed() {
			l.mu.Lock()
			defer l.mu.Unlock()
			l.t.Logf("log:\n%s", strings.Join(l.log, "\n"))
		}
	})
}

// dial connects from the peer's address; v6 means from its IPv6 address, to ::1.
func (l *lab) dial(port string, v6 bool) *session {
	l.t.Helper()
	from, to := peerAddr, serverAddr
	if v6 {
		from, to = peerAddr6, peerAddr6
	}
	d := net.Dialer{LocalAddr: &net.TCPAddr{IP: net.ParseIP(from)}, Timeout: patience}
	conn, err := d.Dial("tcp", net.JoinHostPort(to, port))
	l.must("dial", err)
	_ = conn.SetDeadline(time.Now().Add(patience))
	l.t.Cleanup(func() { _ = conn.Close() })
	return &session{l, conn, bufio.NewReader(conn)}
}

// session is a conversation in lines.
type session struct {
	l    *lab
	conn net.Conn
	in   *bufio.Reader
}

// say sends a line.
func (s *session) say(line string) {
	s.l.t.Helper()
	_, err := s.conn.Write([]byte(line + "\r\n"))
	s.l.must("write", err)
}

// hear reads up to a line that begins with one of the texts and returns it.
func (s *session) hear(begins ...string) string {
	s.l.t.Helper()
	for {
		line, err := s.in.ReadString('\n')
		if err != nil {
			s.l.t.Errorf("read: %v; want a line that begins with %q", err, begins)
			return ""
		}
		for _, b := range begins {
			if strings.HasPrefix(line, b) {
				return line
			}
		}
	}
}

func (s *session) close() { _ = s.conn.Close() }

// missing skips a test that needs something of the machine, or fails it where CI demands all.
func missing(t *testing.T, why string) {
	t.Helper()
	if os.Getenv("STOCKADE_REQUIRE") == "all" {
		t.Fatal(why)
	}
	t.Skip(why)
}
