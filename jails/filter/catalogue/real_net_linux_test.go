package catalogue

import (
	"net"
	"testing"
	"time"
)

func TestRealNamed(t *testing.T) {
	l, bin := newLab(t, "named")
	l.mkdir("/run/named", 0)
	conf := l.file("named.conf", "options {\n directory \""+l.dir+"\"; pid-file none; session-keyfile none; listen-on { any; }; listen-on-v6 { any; };\n"+
		" max-cache-size 4m; recursion yes; allow-recursion { 127.0.0.1; }; allow-query-cache { 127.0.0.1; }; allow-transfer { none; }; dnssec-validation no;\n};\n"+
		"zone \"lab.example\" { type primary; file \"zone\"; allow-query { any; }; };\ncontrols { };\n")
	l.file("zone", "$TTL 60\n@ IN SOA ns.lab.example. a.lab.example. 1 60 60 60 60\n IN NS ns.lab.example.\nns IN A 192.0.2.1\n")
	l.start("", bin[0], "-f", "-c", conf)
	l.logged(`"running"`)
	ask := func(name string, v6 bool) {
		t.Helper()
		from, to := peerAddr, serverAddr
		if v6 {
			from, to = peerAddr6, peerAddr6
		}
		d := net.Dialer{LocalAddr: &net.UDPAddr{IP: net.ParseIP(from)}}
		conn, err := d.Dial("udp", net.JoinHostPort(to, "53"))
		l.must("dial", err)
		defer func() { _ = conn.Close() }()
		q := append([]byte{0, 7, 1, 0, 0, 1, 0, 0, 0, 0, 0, 0, byte(len(name))}, name...)
		_, err = conn.Write(append(q, 0, 0, 1, 0, 1)) // one label, type A, class IN
		l.must("ask", err)
		_ = conn.SetReadDeadline(time.Now().Add(patience))
		_, err = conn.Read(make([]byte, 512))
		l.must("answer", err)
	}
	ask("org", false)
	l.expect("named", attempt{peerAddr, "", 1, false})
	ask("x' denied 198.51.100.1#53 (y): query", false)
	l.logged(`denied\\032198`)
	l.expect("named") // a name with a quote accuses nobody
	ask("org", true)
	l.expect("named", attempt{peerAddr6, "", 1, false})
}

func TestRealSamba(t *testing.T) {
	l, bin := newLab(t, "smbd", "smbclient")
	for _, dir := range []string{"private", "lock", "state", "cache", "pid", "ncalrpc", "share"} {
		l.mkdir(dir, 0)
	}
	conf := l.file("smb.conf", "[global]\n server role = standalone server\n private dir = "+l.inLab("private")+"\n lock directory = "+l.inLab("lock")+
		"\n state directory = "+l.inLab("state")+"\n cache directory = "+l.inLab("cache")+"\n pid directory = "+l.inLab("pid")+"\n ncalrpc dir = "+l.inLab("ncalrpc")+
		"\n log level = 0 auth_audit:3\n disable netbios = yes\n smb ports = 445\n load printers = no\n disable spoolss = yes\n log file = "+l.inLab("smb.log")+"\n debug timestamp = no\n[share]\n path = "+l.inLab("share")+"\n")
	l.follow("smbd", l.inLab("smb.log"))
	l.start("", bin[0], "-F", "--no-process-group", "-s", conf)
	l.listens(serverAddr + ":445")
	// The client cannot choose its own address: it is the server's.
	try := func(user, to string) {
		if out, err := l.try(nil, bin[1], "//"+to+"/share", "-s", conf, "-U", user+"%wrong", "-m", "SMB3", "-c", "ls"); err == nil {
			t.Errorf("%s is let in: %s", user, out)
		}
	}
	try("no-such-user", serverAddr)
	l.expect("samba", attempt{serverAddr, "no-such-user", 1, false})
	try("x] remote host [ipv4:198.51.100.1:1] mapped to [y", serverAddr)
	l.quiet()
	l.mu.Lock()
	for _, m := range l.got {
		if m.Addr.String() != serverAddr {
			t.Errorf("accused: %+v", m)
		}
	}
	l.got = nil
	l.mu.Unlock()
	try("no-such-user", peerAddr6)
	l.expect("samba", attempt{peerAddr6, "no-such-user", 1, false})
}
