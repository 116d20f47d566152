package catalogue

import (
	"encoding/binary"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
)

func TestRealRedis(t *testing.T) {
	l, bin := newLab(t, "redis-server")
	l.start("redis-server", bin[0], "--bind", serverAddr, peerAddr6, "--protected-mode", "no", "--save", "", "--dir", l.dir)
	l.listens(serverAddr + ":6379")
	s := l.dial("6379", false)
	s.say("PING")
	s.hear("+PONG")
	for _, v6 := range []bool{false, true} {
		s := l.dial("6379", v6)
		s.say("POST / HTTP/1.1\r\nHost: 198.51.100.1\r\n")
		_, _ = io.ReadAll(s.conn)
	}
	// The server writes this line at most once a minute, and names the peer from 7.2 on.
	l.logged("Possible SECURITY ATTACK")
	l.quiet()
	l.mu.Lock()
	named := strings.Contains(strings.Join(l.log, "\n"), "Connection from ")
	l.mu.Unlock()
	if named {
		l.expect("redis", attempt{peerAddr, "", 1, false})
	} else {
		l.expect("redis")
	}
}

// pg sends a startup message and a password and reports whether the server lets it in.
func (l *lab) pg(user, pass string, v6 bool) bool {
	l.t.Helper()
	s := l.dial("5432", v6)
	defer s.close()
	body := "\x00\x03\x00\x00user\x00" + user + "\x00database\x00postgres\x00\x00"
	msg := append(binary.BigEndian.AppendUint32(nil, uint32(len(body)+4)), body...)
	_, _ = s.conn.Write(msg)
	for {
		var head [5]byte
		if _, err := io.ReadFull(s.in, head[:]); err != nil {
			return false
		}
		rest := make([]byte, binary.BigEndian.Uint32(head[1:])-4)
		if _, err := io.ReadFull(s.in, rest); err != nil || head[0] == 'E' {
			return false
		}
		if head[0] == 'R' && binary.BigEndian.Uint32(rest) == 0 {
			return true
		}
		if head[0] == 'R' && binary.BigEndian.Uint32(rest) == 3 {
			out := append([]byte{'p'}, binary.BigEndian.AppendUint32(nil, uint32(len(pass)+5))...)
			_, _ = s.conn.Write(append(append(out, pass...), 0))
		}
	}
}

func TestRealPostgreSQL(t *testing.T) {
	for _, log := range []struct{ name, conf string }{
		{"prefix with the host", "log_line_prefix = '%m [%p] %r %q%u@%d '\n"},
		{"connections logged", "log_line_prefix = '%m [%p] '\nlog_connections = on\n"},
	} {
		t.Run(log.name, func(t *testing.T) {
			l, bin := newLab(t, "postgres", "initdb")
			attr := &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: 4242, Gid: 4242}}
			data := l.mkdir("data", 4242)
			if err := os.Chmod(data, 0o700); err != nil {
				t.Fatal(err)
			}
			l.file("pw", password+"\n")
			l.run("setpriv", "--reuid=4242", "--regid=4242", "--clear-groups", bin[1], "-D", data, "-U", account, "--no-sync",
				"--pwfile="+l.inLab("pw"), "--auth=password", "-E", "UTF8", "--locale=C")
			l.file("data/pg_hba.conf", "host all alice samenet password\nhost all bob samenet password\n")
			l.file("data/postgresql.auto.conf", "listen_addresses = '*'\nunix_socket_directories = ''\nfsync = off\nshared_buffers = 1MB\n"+log.conf)
			l.startAs(attr, "postgres", bin[0], "-D", data)
			l.logged("is ready to accept connections")
			if !l.pg(account, password, false) {
				t.Error("the right password is refused")
			}
			for _, a := range []attempt{{peerAddr, account, 1, false}, {peerAddr, "bob", 1, false}, {peerAddr, "eve from 198.51.100.1", 1, false}} {
				if l.pg(a.user, "wrong", false) {
					t.Errorf("%s is let in", a.user)
				}
				l.expect("postgresql", a)
			}
			l.pg(account, "wrong", true)
			l.expect("postgresql", attempt{peerAddr6, account, 1, false})
		})
	}
}

// mysql makes a login with an empty answer to the server's challenge, which is a wrong password.
func (l *lab) mysql(user string, v6 bool) {
	l.t.Helper()
	s := l.dial("3306", v6)
	defer s.close()
	read := func() []byte {
		var head [4]byte
		_, err := io.ReadFull(s.in, head[:])
		l.must("read", err)
		body := make([]byte, int(head[0])|int(head[1])<<8|int(head[2])<<16)
		_, err = io.ReadFull(s.in, body)
		l.must("read", err)
		return body
	}
	read()
	// Protocol 4.1, secure connection, plugin authentication; 20 bytes that answer nothing.
	body := "\x00\x82\x08\x00\x00\x00\x00\x01\x21" + strings.Repeat("\x00", 23) + user + "\x00\x14" + strings.Repeat("x", 20) + "mysql_native_password\x00"
	_, err := s.conn.Write(append([]byte{byte(len(body)), byte(len(body) >> 8), 0, 1}, body...))
	l.must("write", err)
	if answer := read(); len(answer) == 0 || answer[0] != 0xff {
		l.t.Errorf("%s: answer %q, want an error", user, answer)
	}
}

func TestRealMariaDB(t *testing.T) {
	l, bin := newLab(t, "mariadbd")
	data := l.mkdir("data", 4242)
	sql := "CREATE DATABASE mysql;\nUSE mysql;\n"
	for _, name := range []string{"mysql_system_tables.sql", "mysql_system_tables_data.sql"} {
		text, err := os.ReadFile("/usr/share/mysql/" + name)
		if err != nil {
			text, err = os.ReadFile("/usr/share/mariadb/" + strings.Replace(name, "mysql", "mariadb", 1))
		}
		l.must("system tables", err)
		sql += string(text)
	}
	// Without an account for other hosts the server does not even ask for a password.
	sql += `INSERT INTO mysql.global_priv VALUES ('%', 'root', '{"access":0,"plugin":"mysql_native_password","authentication_string":"*0000000000000000000000000000000000000000"}');` + "\n"
	args := []string{"--no-defaults", "--tmpdir=" + data, "--user=" + account, "--datadir=" + data, "--innodb-log-file-size=4M", "--innodb-flush-method=nosync", "--skip-log-bin"}
	boot := exec.Command(bin[0], append(args[:len(args):len(args)], "--bootstrap")...)
	boot.Stdin = strings.NewReader(sql)
	if out, err := boot.CombinedOutput(); err != nil {
		t.Fatalf("bootstrap: %v: %s", err, out)
	}
	l.start("mariadbd", bin[0], append(args, "--bind-address=*", "--socket="+filepath.Join(data, "sock"), "--pid-file="+filepath.Join(data, "pid"),
		"--log-warnings=2", "--skip-name-resolve")...)
	l.logged("ready for connections")
	for _, user := range []string{"root", "no-such-user", "x'@'198.51.100.1' (using password: YES)"} {
		l.mysql(user, false)
		l.expect("mysql", attempt{peerAddr, user, 1, false})
	}
	l.mysql("root", true)
	l.expect("mysql", attempt{peerAddr6, "root", 1, false})
}
