package dates

import (
	"testing"
	"time"
)

// BenchmarkFind finds the dates of the lines that files hold most.
func BenchmarkFind(b *testing.B) {
	for _, l := range []struct{ name, line string }{
		{"syslog", "Nov 24 09:59:58 web1 sshd[4242]: Failed password for root from 198.51.100.7 port 40001 ssh2"},
		{"iso", "2026-11-24T09:59:58.123456+00:00 web1 sshd[4242]: Failed password for root from 198.51.100.7 port 40001 ssh2"},
		{"access", `198.51.100.7 - - [24/Nov/2026:09:59:58 +0000] "GET /wp-login.php HTTP/1.1" 401 12 "-" "curl/7.88.1"`},
		{"error", `2026/11/24 09:59:58 [error] 12#12: *1 user "x": password mismatch, client: 198.51.100.7, server: _, request: "GET / HTTP/1.1"`},
		{"none", `a line without a date that a program wrote into its file for those who debug it`},
	} {
		b.Run(l.name, func(b *testing.B) {
			d := Default(Options{Location: time.UTC})
			line := []byte(l.line)
			b.ReportAllocs()
			for b.Loop() {
				d.Find(line, wednesday)
			}
		})
	}
}
