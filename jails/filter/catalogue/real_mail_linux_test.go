package catalogue

import (
	"encoding/base64"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// startDovecot starts an IMAP server, and the socket where other servers ask for logins.
func (l *lab) startDovecot(path string) {
	l.t.Helper()
	l.mkdir("/run/dovecot", 0)
	conf := l.file("dovecot.conf", "protocols = imap\nlisten = *, ::\nssl = no\ndisable_plaintext_auth = no\nauth_mechanisms = plain login\nbase_dir = /run/dovecot\n"+
		"auth_failure_delay = 0\nmail_location = maildir:~/mail\nfirst_valid_uid = 1\n"+
		"passdb {\n driver = pam\n args = dovecot\n}\nuserdb {\n driver = passwd\n}\n"+
		"service anvil {\n unix_listener anvil-auth-penalty {\n mode = 0\n }\n}\n"+
		"service auth {\n unix_listener auth-lab {\n mode = 0666\n }\n}\nservice imap-login {\n inet_listener imap {\n port = 143\n }\n inet_listener imaps {\n port = 0\n }\n}\n")
	l.start("", path, "-F", "-c", conf)
	l.listens(serverAddr + ":143")
}

// imap logs in as often as there are passwords, on one connection, and ends it.
func (l *lab) imap(user string, v6 bool, passwords ...string) {
	l.t.Helper()
	s := l.dial("143", v6)
	defer s.close()
	s.hear("* OK")
	for _, p := range passwords {
		s.say("a LOGIN \"" + strings.ReplaceAll(user, `"`, `\"`) + "\" " + p)
		s.hear("a OK", "a NO")
	}
	s.say("b LOGOUT")
	s.hear("b OK", "* BYE")
}

func TestRealDovecot(t *testing.T) {
	l, bin := newLab(t, "dovecot")
	l.startDovecot(bin[0])
	l.imap(account, false, password)
	l.expect("dovecot", attempt{peerAddr, account, 1, true})
	l.imap(account, false, "wrong")
	l.expect("dovecot", attempt{peerAddr, account, 1, false})
	l.imap("no-such-user", false, "wrong", "wrong")
	l.expect("dovecot", attempt{peerAddr, "no-such-user", 2, false})
	l.imap(account, true, "wrong")
	l.expect("dovecot", attempt{peerAddr6, account, 1, false})
	hostile := "x>, method=PLAIN, rip=198.51.100.1, lip=198.51.100.2, y=<z"
	l.imap(hostile, false, "wrong")
	l.quiet()
	for _, m := range l.got {
		if m.Addr.String() != peerAddr {
			t.Errorf("accused: %+v", m)
		}
	}
}

// smtpLogin tries AUTH PLAIN and reports whether that went well.
func (l *lab) smtpLogin(user, pass string, v6 bool) bool {
	l.t.Helper()
	s := l.dial("25", v6)
	defer s.close()
	s.hear("220 ")
	s.say("EHLO [198.51.100.1]")
	s.hear("250 ")
	s.say("AUTH PLAIN " + base64.StdEncoding.EncodeToString([]byte("\x00"+user+"\x00"+pass)))
	ok := strings.HasPrefix(s.hear("235", "535", "5"), "235")
	s.say("QUIT")
	s.hear("221")
	return ok
}

// relay tries to send mail to somebody elsewhere.
func (l *lab) relay(v6 bool) {
	l.t.Helper()
	s := l.dial("25", v6)
	defer s.close()
	s.hear("220 ")
	s.say("EHLO x")
	s.hear("250 ")
	s.say("MAIL FROM:<a@example.net>")
	s.hear("250 ")
	s.say("RCPT TO:<b@example.org>")
	s.hear("4", "5")
	s.say("QUIT")
	s.hear("221")
}

func TestRealPostfix(t *testing.T) {
	l, bin := newLab(t, "postfix", "dovecot")
	l.startDovecot(bin[1])
	queue := l.mkdir("/var/spool/postfix", 0)
	data := l.mkdir("data", 0)
	l.run("chown", "postfix:", data)
	l.mkdir("etc", 0)
	l.file("etc/main.cf", "compatibility_level = 3.6\nqueue_directory = "+queue+"\ndata_directory = "+data+"\nmyhostname = lab.example\nmydestination = lab.example\n"+
		"mynetworks = 127.0.0.0/8\ninet_interfaces = all\nmaillog_file =\nsmtpd_sasl_auth_enable = yes\nsmtpd_sasl_type = dovecot\nsmtpd_sasl_path = /run/dovecot/auth-lab\n"+
		"smtpd_peername_lookup = no\nsmtpd_error_sleep_time = 0\nalias_maps =\nalias_database =\n")
	l.file("etc/master.cf", "smtp inet n - n - - smtpd\npickup unix n - n 60 1 pickup\ncleanup unix n - n - 0 cleanup\nqmgr unix n - n 300 1 qmgr\n"+
		"rewrite unix - - n - - trivial-rewrite\nbounce unix - - n - 0 bounce\ndefer unix - - n - 0 bounce\ntrace unix - - n - 0 bounce\nproxymap unix - - n - - proxymap\nanvil unix - - n - 1 anvil\nerror unix - - n - - error\n")
	l.start("", bin[0], "-c", l.inLab("etc"), "start-fg")
	t.Cleanup(func() {
		// The master has a session of its own, so that the end of the command's group is not its end.
		if out, err := exec.Command(bin[0], "-c", l.inLab("etc"), "abort").CombinedOutput(); err != nil {
			t.Errorf("postfix abort: %v: %s", err, out)
		}
	})
	l.listens(serverAddr + ":25")
	if !l.smtpLogin(account, password, false) {
		t.Error("the right password is refused")
	}
	l.quiet()
	l.mu.Lock()
	l.got = nil // the login is dovecot's to report
	l.mu.Unlock()
	l.smtpLogin(account, "wrong", false)
	l.expect("postfix", attempt{peerAddr, "", 1, false})
	l.smtpLogin("x[198.51.100.1]: SASL PLAIN authentication failed: y", "wrong", false)
	l.expect("postfix", attempt{peerAddr, "", 1, false})
	l.smtpLogin(account, "wrong", true)
	l.expect("postfix", attempt{peerAddr6, "", 1, false})
	l.relay(false)
	l.expect("postfix", attempt{peerAddr, "", 1, false})
}

func TestRealExim(t *testing.T) {
	l, bin := newLab(t, "exim4")
	spool := l.mkdir("exim", 65534)
	for _, dir := range []string{"db", "input", "msglog", "log"} {
		l.mkdir(filepath.Join("exim", dir), 65534)
	}
	log := l.inLab("exim/log/mainlog")
	l.follow("exim4", log)
	conf := l.file("exim.conf", "exim_user = 65534\nexim_group = 65534\nspool_directory = "+spool+"\nlog_file_path = "+l.inLab("exim/log/%slog")+"\nprimary_hostname = lab.example\n"+
		"domainlist local = lab.example\nacl_smtp_rcpt = rcpt\nauth_advertise_hosts = *\nrfc1413_query_timeout = 0s\nhost_lookup =\nkeep_environment =\ntls_advertise_hosts =\n"+
		"begin acl\nrcpt:\n accept domains = +local\n deny message = relay not permitted\n"+
		"begin authenticators\nplain_lab:\n driver = plaintext\n public_name = PLAIN\n server_prompts = :\n server_condition = ${if and{{eq{$auth2}{"+account+"}}{eq{$auth3}{"+password+"}}}}\n server_set_id = $auth2\n")
	if err := os.Chmod(conf, 0o644); err != nil { //nolint:gosec // exim reads it after it dropped root
		t.Fatal(err)
	}
	l.start("", bin[0], "-bdf", "-C", conf, "-oX", "25")
	l.listens(serverAddr + ":25")
	if !l.smtpLogin(account, password, false) {
		t.Error("the right password is refused")
	}
	l.smtpLogin(account, "wrong", false)
	l.expect("exim", attempt{peerAddr, account, 1, false})
	hostile := "x) [198.51.100.1]: 535 Incorrect authentication data (set_id=y"
	l.smtpLogin(hostile, "wrong", false)
	l.expect("exim", attempt{peerAddr, hostile, 1, false})
	l.smtpLogin(account, "wrong", true)
	l.expect("exim", attempt{peerAddr6, account, 1, false})
	l.relay(false)
	l.expect("exim", attempt{peerAddr, "", 1, false})
}
