package fail2ban

import (
	"path/filepath"
	"testing"

	"stockade/jails/filter"
)

// mixed are messages of a mail and web server, most of them of no interest to any filter.
var mixed = []*filter.Line{
	entry("sshd", "711", "Failed password for root from 192.0.2.113 port 52100 ssh2"),
	entry("sshd", "711", "Connection closed by authenticating user root 192.0.2.113 port 52100 [preauth]"),
	entry("sshd", "712", "Accepted publickey for deploy from 198.51.100.7 port 40022 ssh2: ED25519 SHA256:abcdefghijklmnop"),
	entry("CRON", "99", "(root) CMD (command -v debian-sa1 > /dev/null && debian-sa1 1 1)"),
	entry("systemd", "1", "Started Session 4711 of User root."),
	entry("kernel", "", "[12345.678901] IPv4: martian source 192.0.2.255 from 192.0.2.7, on dev eth0"),
	entry("postfix/smtpd", "3012", "connect from mail.example.com[198.51.100.9]"),
	entry("dovecot", "17", "imap-login: Login: user=<mary>, method=PLAIN, rip=198.51.100.20, lip=192.0.2.1, mpid=9, TLS"),
	entry("named", "300", "client @0x7f 198.51.100.3#4711 (example.org): query: example.org IN A +E(0)K (192.0.2.1)"),
	entry("nginx", "44", `198.51.100.4 - - [14/Jan/2026:10:00:00 +0000] "GET /index.html HTTP/1.1" 200 612 "-" "curl/8.5.0"`),
	entry("dhclient", "800", "DHCPACK of 192.0.2.10 from 192.0.2.1"),
	entry("sudo", "", "mary : TTY=pts/0 ; PWD=/home/mary ; USER=root ; COMMAND=/usr/bin/apt update"),
}

// BenchmarkFilters compares sshd's filter alone with many on the same lines.
func BenchmarkFilters(b *testing.B) {
	dir := dataFolder(b)
	if dir == "" {
		return
	}
	paths, err := filepath.Glob(filepath.Join(dir, "filter.d", "*.conf"))
	if err != nil {
		b.Fatal(err)
	}
	for name, count := range map[string]int{"sshd alone": 0, "sshd and 59 others": 59, "all": len(paths)} {
		filters := []*filter.Filter{}
		for _, p := range append([]string{filepath.Join(dir, "filter.d", "sshd.conf")}, paths...) {
			if len(filters) > count {
				break
			}
			f, err := Read(p, "")
			if err != nil {
				continue // a file for others to include
			}
			compiled, err := filter.Compile(f.Spec)
			if err != nil {
				b.Fatal(err)
			}
			filters = append(filters, compiled)
		}
		set := filter.NewSet(filters, nil)
		b.Run(name, func(b *testing.B) {
			m := set.NewMatcher()
			b.ReportAllocs()
			for i := 0; b.Loop(); i++ {
				l := mixed[i%len(mixed)]
				m.Match(l, set.Route(l.App))
			}
		})
	}
}
