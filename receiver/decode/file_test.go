package decode

import (
	"testing"
	"time"
)

func TestDecodeLine(t *testing.T) {
	now := time.Date(2026, 11, 24, 6, 0, 5, 0, time.UTC)
	for _, c := range []struct {
		name, line           string
		header               bool
		form                 Form
		stamp                string
		host, app, pid, text string
	}{
		{"rsyslog's traditional file format", "Nov 24 06:00:00 web1 sshd[4711]: text", true, File, "2026-11-24T06:00:00Z", "web1", "sshd", "4711", "text"},
		{"rsyslog's file format", "2026-11-24T06:00:00.123456+00:00 web1 sshd[4711]: text", true, File, "2026-11-24T06:00:00.123456Z", "web1", "sshd", "4711", "text"},
		{"journalctl -o short-iso", "2026-11-24T07:00:00+0100 web1 sshd[4711]: text", true, File, "2026-11-24T06:00:00Z", "web1", "sshd", "4711", "text"},
		{"kernel", "Nov 24 06:00:00 web1 kernel: [12.3] text", true, File, "2026-11-24T06:00:00Z", "web1", "kernel", "", "[12.3] text"},
		{"no host", "Nov 24 06:00:00 sshd[4711]: text", true, File, "2026-11-24T06:00:00Z", "", "sshd", "4711", "text"},
		{"with PRI", "<38>Nov 24 06:00:00 web1 sshd[4711]: text", true, RFC3164, "2026-11-24T06:00:00Z", "web1", "sshd", "4711", "text"},
		{"RFC 5424", "<38>1 2026-11-24T06:00:00Z web1 sshd 4711 - - text", true, RFC5424, "2026-11-24T06:00:00Z", "web1", "sshd", "4711", "text"},
		{"only a PRI", "<38>text", true, Bare, "", "", "", "", "text"},
		{"repeated", "Nov 24 06:00:00 web1 sshd[4711]: message repeated 2 times: [ text]", true, File, "2026-11-24T06:00:00Z", "web1", "sshd", "4711", "text"},
		{"months ago", "Feb 24 06:00:00 web1 sshd[4711]: text", true, File, "2026-02-24T06:00:00Z", "web1", "sshd", "4711", "text"},
		{"tomorrow's date is last year's, but for a day", "Nov 26 06:00:00 web1 sshd[4711]: text", true, File, "2025-11-26T06:00:00Z", "web1", "sshd", "4711", "text"},
		{"an hour ahead", "Nov 24 07:00:00 web1 sshd[4711]: text", true, File, "2026-11-24T07:00:00Z", "web1", "sshd", "4711", "text"},

		{"nginx access log", `192.0.2.7 - - [24/Nov/2026:06:00:00 +0100] "GET / HTTP/1.1" 401 0`, false, File, "", "", "", "", ""},
		{"nginx error log", "2026/11/24 06:00:00 [error] 2865#0: *6 user", false, File, "", "", "", "", ""},
		{"log of GitLab", "2026-11-24T06:00:00.344Z: Failed Login: username=u ip=192.0.2.9", false, File, "", "", "", "", ""},
		{"level behind an ISO stamp", "2026-11-24T06:00:00Z INFO app: text", false, File, "", "", "", "", ""},
		{"level as a tag", "2026-11-24T06:00:00Z error: text", false, File, "", "", "", "", ""},
		{"a space in the stamp", "2026-11-24 06:00:00,123 host app: text", false, File, "", "", "", "", ""},
		{"MySQL", "2026-11-24T06:00:00.123456Z 12 [Note] Access denied for user 'root'@'192.0.2.1'", false, File, "", "", "", "", ""},
		{"BSD stamp and plain text", "Nov 24 06:00:00 Listener created on port 22", false, File, "", "", "", "", ""},
		{"only a stamp", "Nov 24 06:00:00", false, File, "", "", "", "", ""},
		{"no stamp", "sshd[4711]: text", false, File, "", "", "", "", ""},
		{"HTML", "<h1>text", false, File, "", "", "", "", ""},
		{"empty", "", false, File, "", "", "", "", ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			d := New(time.UTC)
			var m Message
			header := d.DecodeLine([]byte(c.line), now, &m)
			if !c.header {
				c.text = c.line
			}
			stamp := ""
			if !m.Stamp.IsZero() {
				stamp = m.Stamp.Format(time.RFC3339Nano)
			}
			if header != c.header || m.Form != c.form || stamp != c.stamp || string(m.Hostname) != c.host || string(m.App) != c.app ||
				string(m.ProcID) != c.pid || string(m.Text) != c.text {
				t.Errorf("got %v %v %q %q %q %q %q", header, m.Form, stamp, m.Hostname, m.App, m.ProcID, m.Text)
			}
		})
	}
}
