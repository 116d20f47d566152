package journald

import (
	"errors"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestValidate(t *testing.T) {
	for _, x := range []struct {
		cfgs []Config
		want string
	}{
		{[]Config{{Name: "local"}}, ""},
		{[]Config{{Name: "a", Matches: []string{"_SYSTEMD_UNIT=ssh.service", "+", "SYSLOG_IDENTIFIER=su"}}}, ""},
		{[]Config{{Name: "A"}}, `journals[0].name: name "A" must match`},
		{[]Config{{Name: "a"}, {Name: "a"}}, `journals[1].name: name "a" stands in the list twice`},
		{[]Config{{Name: "a", Matches: []string{"ssh"}}}, `journals[0].matches[0]: "ssh" is not FIELD=value`},
		{[]Config{{Name: "a", Matches: []string{"--directory=/x"}}}, `journals[0].matches[0]: "--directory=/x" is not`},
		{[]Config{{Name: "a", Matches: []string{"+"}}}, `journals[0].matches[0]: "+" is not`},
	} {
		var said []string
		Validate(x.cfgs, func(path, message string) { said = append(said, path+": "+message) })
		if have := strings.Join(said, "\n"); x.want == "" && have != "" || !strings.HasPrefix(have, x.want) {
			t.Errorf("%+v: %q, want %q", x.cfgs, have, x.want)
		}
	}
}

func TestFeed(t *testing.T) {
	found := func(string) (string, error) { return "/usr/bin/journalctl", nil }
	for _, x := range []struct {
		name   string
		files  map[string]string
		socket bool // somebody listens
		path   func(string) (string, error)
		want   string
	}{
		{"no systemd", nil, false, found, "does not run systemd-journald"},
		{"the default shown as a comment", map[string]string{"/etc/systemd/journald.conf": "[Journal]\n#ForwardToSyslog=yes\n"}, false, found, "forwarding socket"},
		{"upstream's default", map[string]string{"/etc/systemd/journald.conf": "[Journal]\n#ForwardToSyslog=no\n"}, false, found, "ForwardToSyslog=no"},
		{"said", map[string]string{"/etc/systemd/journald.conf": "[Journal]\n#ForwardToSyslog=no\nForwardToSyslog=1\n"}, false, found, "forwarding socket"},
		{"a file of the folder says no", map[string]string{"/etc/systemd/journald.conf": "ForwardToSyslog=yes", "/run/systemd/journald.conf.d/a.conf": "ForwardToSyslog = off"}, false, found, "ForwardToSyslog=no"},
		{"a file of /etc replaces its namesake", map[string]string{"/usr/lib/systemd/journald.conf.d/a.conf": "ForwardToSyslog=no", "/etc/systemd/journald.conf.d/a.conf": "ForwardToSyslog=yes"}, false, found, "forwarding socket"},
		{"nobody says", map[string]string{"/run/systemd/journal/x": ""}, false, found, "does not say ForwardToSyslog=yes"},
		{"in use", map[string]string{"/etc/systemd/journald.conf": "ForwardToSyslog=yes"}, true, found, "belongs to another program"},
		{"no journalctl", map[string]string{"/etc/systemd/journald.conf": "ForwardToSyslog=no"}, false, func(string) (string, error) { return "", errors.New("none") }, "there is no journalctl"},
	} {
		t.Run(x.name, func(t *testing.T) {
			root, err := os.MkdirTemp("", "f")
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(func() { os.RemoveAll(root) })
			if x.files != nil {
				if err := os.MkdirAll(root+"/run/systemd/journal", 0o700); err != nil {
					t.Fatal(err)
				}
			}
			for path, text := range x.files {
				if err := os.MkdirAll(filepath.Dir(root+path), 0o700); err != nil {
					t.Fatal(err)
				}
				if err := os.WriteFile(root+path, []byte(text), 0o600); err != nil {
					t.Fatal(err)
				}
			}
			if x.socket {
				c, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: root + SocketPath, Net: "unixgram"})
				if err != nil {
					t.Fatal(err)
				}
				defer c.Close()
			}
			w := host{root, x.path}.feed()
			if !strings.Contains(w.Text, x.want) || w.Socket != "" && w.Journalctl != "" {
				t.Errorf("%+v, want %q", w, x.want)
			}
			if (w.Socket != "") != strings.Contains(x.want, "forwarding socket") {
				t.Errorf("socket %q", w.Socket)
			}
		})
	}
}
