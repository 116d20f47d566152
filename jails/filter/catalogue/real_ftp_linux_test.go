package catalogue

import (
	"strings"
	"testing"
)

// ftp tries to log in to the FTP server on port 21 and reports whether that went well.
func (l *lab) ftp(user, pass string, v6 bool) bool {
	l.t.Helper()
	s := l.dial("21", v6)
	defer s.close()
	s.hear("220 ")
	s.say("USER " + user)
	if answer := s.hear("331 ", "530 ", "230 "); !strings.HasPrefix(answer, "331") {
		return strings.HasPrefix(answer, "230")
	}
	s.say("PASS " + pass)
	ok := strings.HasPrefix(s.hear("230 ", "530 "), "230")
	s.say("QUIT")
	s.hear("221")
	return ok
}

// ftpAttempts makes the failures that every FTP server must be caught with.
func (l *lab) ftpAttempts(filter string) {
	l.t.Helper()
	if !l.ftp(account, password, false) {
		l.t.Error("the right password is refused")
	}
	l.expect(filter, attempt{peerAddr, account, 1, true})
	hostile := "root@198.51.100.1] FAIL LOGIN: Client \"198.51.100.1\""
	for _, user := range []string{account, "no-such-user", hostile} {
		if l.ftp(user, "wrong", false) {
			l.t.Errorf("user %q with a wrong password is let in", user)
		}
		l.expect(filter, attempt{peerAddr, user, 1, false})
	}
	if l.ftp(account, "wrong", true) {
		l.t.Error("the wrong password is accepted over IPv6")
	}
	l.expect(filter, attempt{peerAddr6, account, 1, false})
}

func TestRealVsftpd(t *testing.T) {
	for _, log := range []string{"syslog", "file"} {
		t.Run(log, func(t *testing.T) {
			l, bin := newLab(t, "vsftpd")
			l.mkdir("/run/vsftpd/empty", 0)
			conf := "listen=NO\nlisten_ipv6=YES\nlocal_enable=YES\nanonymous_enable=NO\npam_service_name=vsftpd\n" +
				"secure_chroot_dir=/run/vsftpd/empty\nbackground=NO\ndelay_failed_login=0\nseccomp_sandbox=NO\ndual_log_enable=YES\n"
			if log == "syslog" {
				conf += "syslog_enable=YES\n"
			} else {
				conf += "vsftpd_log_file=" + l.inLab("vsftpd.log") + "\n"
				l.follow("vsftpd", l.inLab("vsftpd.log"))
			}
			l.start("", bin[0], l.file("vsftpd.conf", conf))
			l.listens(serverAddr + ":21")
			l.ftpAttempts("vsftpd")
		})
	}
}

func TestRealProFTPD(t *testing.T) {
	l, bin := newLab(t, "proftpd")
	l.mkdir("/run/proftpd", 0)
	conf := l.file("proftpd.conf", "ServerName lab\nServerType standalone\nPort 21\nUseIPv6 on\nUser nobody\nGroup nogroup\nRequireValidShell off\n"+
		"ScoreboardFile "+l.inLab("score")+"\nPidFile "+l.inLab("pid")+"\nUseReverseDNS off\nAuthPAMConfig proftpd\n")
	l.start("proftpd", bin[0], "-n", "-c", conf)
	l.listens(serverAddr + ":21")
	l.ftpAttempts("proftpd")
}

func TestRealPureFTPd(t *testing.T) {
	l, bin := newLab(t, "pure-ftpd")
	l.start("", bin[0], "-l", "unix", "-u", "1", "-f", "ftp", "-H")
	l.listens(serverAddr + ":21")
	if !l.ftp(account, password, false) {
		t.Error("the right password is refused")
	}
	// The server waits for seconds before it answers a wrong password: one must do.
	hostile := "root@198.51.100.1) [WARNING] Authentication failed for user [x"
	l.ftp(hostile, "wrong", true)
	l.expect("pure-ftpd", attempt{peerAddr6, hostile, 1, false})
}
