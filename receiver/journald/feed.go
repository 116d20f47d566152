package journald

import (
	"bufio"
	"errors"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"sort"
	"strings"

	"golang.org/x/sys/unix"
)

// SocketPath is the socket that journald forwards to, where ForwardToSyslog=yes.
const SocketPath = "/run/systemd/journal/syslog"

// Way is how the local journal can be read.
type Way struct {
	Socket     string // SocketPath, when the forwarding socket is free and journald writes to it
	Journalctl string // the program, when that is the way
	Text       string // for the operator: which way it is, why, and how late lines are
}

// host is where Feed looks. Tests make one of their own.
type host struct {
	root string // in front of every path; "" outside of tests
	path func(string) (string, error)
}

// Feed says how this host's journal can be read: by its forwarding socket, which is quicker, else by
// journalctl, else not at all. It opens nothing for good and changes nothing.
func Feed() Way { return host{path: exec.LookPath}.feed() }

func (h host) feed() Way {
	if _, err := os.Stat(h.root + "/run/systemd/journal"); err != nil {
		return Way{Text: "no journal is read: this host does not run systemd-journald"}
	}
	why := h.unusable()
	if why == "" {
		return Way{Socket: SocketPath, Text: "the journal is read from its forwarding socket " + SocketPath + ": lines come at once"}
	}
	program, err := h.path("journalctl")
	if err != nil {
		return Way{Text: "no journal is read: " + why + ", and there is no journalctl"}
	}
	return Way{Journalctl: program, Text: "the journal is read by journalctl, because " + why + ": lines come 0.3 to 0.5 s late"}
}

// unusable says why the forwarding socket cannot be used, "" when it can.
func (h host) unusable() string {
	switch h.forwards() {
	case "no":
		return "journald.conf says ForwardToSyslog=no"
	case "":
		return "journald.conf does not say ForwardToSyslog=yes"
	}
	path := h.root + SocketPath
	if err := unix.Access(filepath.Dir(path), unix.W_OK|unix.X_OK); err != nil {
		return filepath.Dir(SocketPath) + " cannot be written (" + err.Error() + ")"
	}
	c, err := net.DialUnix("unixgram", nil, &net.UnixAddr{Name: path, Net: "unixgram"})
	switch {
	case err == nil:
		_ = c.Close()
		return SocketPath + " belongs to another program, such as rsyslog"
	case errors.Is(err, unix.ENOENT) || errors.Is(err, unix.ECONNREFUSED):
		return ""
	}
	return SocketPath + " cannot be tried (" + err.Error() + ")"
}

// forwards returns what the configuration says of ForwardToSyslog: "yes", "no" or "". The main
// file shows the built-in default as a comment; files in journald.conf.d come later, in the order
// of their names, those of /etc instead of those of the same name elsewhere.
func (h host) forwards() string {
	verdict := ""
	for _, dir := range []string{"/usr/lib/systemd", "/etc/systemd"} {
		said, shown := forwardIn(h.root + dir + "/journald.conf")
		for _, v := range []string{shown, said} {
			if v != "" {
				verdict = v
			}
		}
	}
	files := make(map[string]string)
	for _, dir := range []string{"/usr/lib", "/usr/local/lib", "/run", "/etc"} {
		matches, _ := filepath.Glob(h.root + dir + "/systemd/journald.conf.d/*.conf") // the pattern is sound
		for _, m := range matches {
			files[filepath.Base(m)] = m
		}
	}
	names := make([]string, 0, len(files))
	for name := range files {
		names = append(names, name)
	}
	sort.Strings(names)
	for _, name := range names {
		if said, _ := forwardIn(files[name]); said != "" {
			verdict = said
		}
	}
	return verdict
}

// forwardIn returns what one file says, and what it shows as a comment.
func forwardIn(path string) (said, shown string) {
	f, err := os.Open(path)
	if err != nil {
		return "", ""
	}
	defer f.Close()
	for sc := bufio.NewScanner(f); sc.Scan(); {
		line := strings.TrimSpace(sc.Text())
		comment := strings.HasPrefix(line, "#")
		key, value, ok := strings.Cut(strings.TrimLeft(line, "# "), "=")
		if !ok || strings.TrimSpace(key) != "ForwardToSyslog" {
			continue
		}
		verdict := "no"
		switch strings.ToLower(strings.TrimSpace(value)) {
		case "1", "yes", "y", "true", "t", "on":
			verdict = "yes"
		}
		if comment {
			shown = verdict
		} else {
			said = verdict
		}
	}
	return said, shown
}
