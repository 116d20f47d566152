package catalogue

import (
	"encoding/base64"
	"fmt"
	"os"
	"strings"
	"testing"
)

// get makes one HTTP request with a user and password and returns the status line's code.
func (l *lab) get(port, path, user, pass string, v6 bool) string {
	l.t.Helper()
	s := l.dial(port, v6)
	defer s.close()
	auth := ""
	if user != "" {
		auth = "Authorization: Basic " + base64.StdEncoding.EncodeToString([]byte(user+":"+pass)) + "\r\n"
	}
	s.say(fmt.Sprintf("GET %s HTTP/1.1\r\nHost: lab\r\nUser-Agent: \", client: 198.51.100.1, server: x\r\n%sConnection: close\r\n", path, auth))
	answer := s.hear("HTTP/1.1 ")
	if len(answer) < 12 {
		return ""
	}
	return answer[9:12]
}

// hostileUser looks like the rest of a line of nginx.
const hostileUser = "x\", client: 198.51.100.1, server: y, request: \"GET / HTTP/1.1\""

// webAttempts makes the failures of basic authentication.
func (l *lab) webAttempts(filter string) {
	l.t.Helper()
	if code := l.get("80", "/secret", account, password, false); code != "200" && code != "404" {
		l.t.Errorf("status %s with the right password", code)
	}
	for _, user := range []string{account, "no-such-user"} {
		if code := l.get("80", "/secret", user, "wrong", false); code != "401" {
			l.t.Errorf("status %s with a wrong password", code)
		}
		l.expect(filter, attempt{peerAddr, user, 1, false})
	}
	l.get("80", "/secret", account, "wrong", true)
	l.expect(filter, attempt{peerAddr6, account, 1, false})
	l.get("80", "/secret?198.51.100.1,%20client:%20198.51.100.1", hostileUser, "wrong", false)
	l.quiet()
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, m := range l.got {
		if m.Addr.String() != peerAddr {
			l.t.Errorf("accused: %+v", m)
		}
	}
	l.got = nil
}

func (l *lab) htpasswd() string {
	return l.file("htpasswd", account+":"+shadowHash+"\n")
}

func TestRealNginx(t *testing.T) {
	for _, log := range []string{"file", "syslog"} {
		t.Run(log, func(t *testing.T) {
			l, bin := newLab(t, "nginx")
			where, access := l.inLab("error.log"), l.inLab("access.log")
			if log == "syslog" {
				where, access = "syslog:server=unix:/dev/log,nohostname", "off"
			} else {
				l.follow("nginx", where)
			}
			for _, dir := range []string{"tmp", "www"} {
				l.mkdir(dir, 0)
			}
			l.file("www/secret", "x")
			conf := l.file("nginx.conf", "daemon off; user nobody nogroup; pid "+l.inLab("pid")+"; error_log "+where+" info; events {} http { access_log "+access+";\n"+
				"client_body_temp_path tmp/1; proxy_temp_path tmp/2; fastcgi_temp_path tmp/3; uwsgi_temp_path tmp/4; scgi_temp_path tmp/5;\n"+
				"server { listen 80; listen [::]:80; root "+l.inLab("www")+"; auth_basic lab; auth_basic_user_file "+l.htpasswd()+"; } }\n")
			l.start("", bin[0], "-p", l.dir, "-c", conf)
			l.listens(serverAddr + ":80")
			l.webAttempts("nginx")
		})
	}
}

func TestRealApache(t *testing.T) {
	for _, log := range []string{"file", "syslog"} {
		t.Run(log, func(t *testing.T) {
			l, bin := newLab(t, "apache2")
			where := l.inLab("error.log")
			if log == "syslog" {
				where = "syslog"
			} else {
				l.follow("apache2", where)
			}
			conf := "ServerRoot " + l.dir + "\nServerName lab\nListen 80\nPidFile pid\nUser nobody\nGroup nogroup\nErrorLog " + where + "\nLogLevel info\nDefaultRuntimeDir " + l.dir + "\n"
			for _, m := range []string{"mpm_event", "authn_core", "authn_file", "authz_core", "authz_user", "auth_basic"} {
				conf += "LoadModule " + m + "_module /usr/lib/apache2/modules/mod_" + m + ".so\n"
			}
			l.mkdir("www", 0)
			l.file("www/secret", "x")
			conf += "DocumentRoot " + l.inLab("www") + "\n<Location />\nAuthType Basic\nAuthName lab\nAuthUserFile " + l.htpasswd() + "\nRequire valid-user\n</Location>\n"
			l.start("", bin[0], "-D", "FOREGROUND", "-f", l.file("apache.conf", conf))
			l.listens(serverAddr + ":80")
			l.webAttempts("apache")
		})
	}
}

func TestRealHAProxy(t *testing.T) {
	l, bin := newLab(t, "haproxy")
	conf := l.file("haproxy.cfg", "global\n log /dev/log local0\ndefaults\n mode http\n log global\n option httplog\n timeout client 5s\n timeout connect 5s\n timeout server 5s\n"+
		"userlist u\n user "+account+" insecure-password "+password+"\nfrontend f\n bind :::80 v4v6\n capture request header User-Agent len 64\n"+
		" http-request auth unless { http_auth(u) }\n http-request return status 200\n")
	l.start("", bin[0], "-db", "-f", conf)
	l.listens(serverAddr + ":80")
	if code := l.get("80", "/", account, password, false); code != "200" {
		t.Errorf("status %s with the right password", code)
	}
	l.get("80", "/", account, "wrong", false)
	l.get("80", "/"+strings.Repeat("x", 10)+"%20401%20198.51.100.1:22", hostileUser, "wrong", false)
	l.expect("haproxy", attempt{peerAddr, "", 2, false})
	l.get("80", "/", account, "wrong", true)
	l.expect("haproxy", attempt{peerAddr6, "", 1, false})
}

func TestRealSquid(t *testing.T) {
	l, bin := newLab(t, "squid")
	l.mkdir("run", 0)
	l.file("access.log", "")
	if err := os.Chmod(l.inLab("access.log"), 0o666); err != nil { //nolint:gosec // squid drops root
		t.Fatal(err)
	}
	conf := l.file("squid.conf", "http_port 3128\nacl all_of_lab src 192.0.2.99\nhttp_access deny all\ncache deny all\naccess_log stdio:"+l.inLab("access.log")+
		"\ncache_log /dev/null\npid_filename none\nvisible_hostname lab\nnetdb_filename none\nshutdown_lifetime 0 seconds\n")
	l.follow("squid", l.inLab("access.log"))
	l.start("", bin[0], "-N", "-f", conf)
	l.listens(serverAddr + ":3128")
	s := l.dial("3128", false)
	s.say("GET http://198.51.100.1/%20TCP_DENIED/403%20198.51.100.1 HTTP/1.1\r\nHost: x\r\n")
	s.hear("HTTP/1.1 403")
	l.expect("squid", attempt{peerAddr, "", 1, false})
	s = l.dial("3128", true)
	s.say("CONNECT 198.51.100.1:25 HTTP/1.1\r\nHost: x\r\n")
	s.hear("HTTP/1.1 403")
	l.expect("squid", attempt{peerAddr6, "", 1, false})
}
