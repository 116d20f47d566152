package migrate

import (
	"encoding/json"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"stockade/cmd/stockade/e2e/rig"
)

// importInto translates fail2ban's folder into the daemon's conf.d.
func importInto(t *testing.T, d *rig.Daemon, f *fail2ban, args ...string) string {
	t.Helper()
	out, code := d.Run(append([]string{"import", "fail2ban", f.dir}, args...)...)
	if code != 0 {
		t.Fatalf("import exits with %d: %s", code, out)
	}
	return out
}

const besideConfig = "listeners: [{name: local, transport: unixgram, path: \"%DIR%/l.sock\"}]\n"

// appendLines adds lines to a file in one write.
func appendLines(t *testing.T, path string, lines ...string) {
	t.Helper()
	f, err := os.OpenFile(path, os.O_APPEND|os.O_WRONLY, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if _, err := f.WriteString(strings.Join(lines, "\n") + "\n"); err != nil {
		t.Fatal(err)
	}
}

// found is how many failures of an address fail2ban has found in a jail.
func (f *fail2ban) found(jail, addr string) int {
	return strings.Count(f.logged(), fmt.Sprintf("[%s] Found %s - ", jail, addr))
}

// banned reports whether fail2ban has banned an address in a jail.
func (f *fail2ban) banned(jail, addr string) bool {
	return strings.Contains(f.logged(), fmt.Sprintf("[%s] Ban %s\n", jail, addr))
}

// decidingLine is the last line that fail2ban keeps with a ban. A thread of its own writes it into the
// database, after the ban is logged.
func (f *fail2ban) decidingLine(jail, addr string) string {
	f.t.Helper()
	const program = `import sqlite3,sys,json
row = sqlite3.connect(sys.argv[1]).execute("select data from bips where jail=? and ip=?", sys.argv[2:4]).fetchone()
m = json.loads(row[0])["matches"][-1]
print("".join(m) if isinstance(m, list) else m)`
	var out []byte
	var err error
	if !rig.Soon(30*time.Second, func() bool {
		out, err = exec.Command("/usr/bin/python3", "-c", program, f.run+"/fail2ban.sqlite3", jail, addr).CombinedOutput()
		return err == nil
	}) {
		f.t.Fatalf("%v\n%s", err, out)
	}
	return lastLine(string(out))
}

// ourDecidingLine is the last line that Stockade keeps with a ban.
func ourDecidingLine(d *rig.Daemon, addr string) string {
	d.T.Helper()
	var e struct {
		Evidence []struct {
			Raw string `json:"raw"`
		} `json:"evidence"`
	}
	d.Decode(&e, "explain", addr)
	if len(e.Evidence) == 0 {
		return ""
	}
	return lastLine(e.Evidence[len(e.Evidence)-1].Raw)
}

func lastLine(s string) string {
	s = strings.TrimSpace(s)
	return strings.TrimSpace(s[strings.LastIndexByte(s, '\n')+1:])
}

// bannedHere reports whether Stockade has banned an address in a jail.
func bannedHere(d *rig.Daemon, jail, addr string) bool {
	for _, b := range d.Bans() {
		if b.Jail == jail && strings.HasPrefix(b.Address, addr+"/") {
			return true
		}
	}
	return false
}

// TestWalkthroughBeside is the classic first example of fail2ban's: two filter files and two jails,
// imported, and both programs on the same file.
func TestWalkthroughBeside(t *testing.T) {
	t.Parallel() // most of the time one of the two waits
	f := newFail2ban(t, "", map[string]string{
		"filter.d/flask-ddos.conf": "[Definition]\nfailregex = ^<HOST> - .+(GET|POST).*$\nignoreregex = \\.(?i:jpg|png|css)\n",
		"filter.d/flask-auth.conf": "[Definition]\nfailregex = ^<HOST> - .+(GET|POST).+ 401 .*$\nignoreregex =\n",
		"jail.conf":                "[DEFAULT]\nbackend = polling\nbantime = 1h\naction =\nignoreself = false\n",
		"jail.d/flask.conf": "[flask-ddos]\nenabled = true\nfilter = flask-ddos\nlogpath = %RUN%/access.log\nmaxretry = 3\nfindtime = 1s\nbantime = 1h\n" +
			"[flask-auth]\nenabled = true\nfilter = flask-auth\nlogpath = %RUN%/access.log\nmaxretry = 2\nfindtime = 30s\n",
	})
	f.writeRun("access.log", "")
	d := rig.NewDaemon(t, "", besideConfig+"firewall: {backend: observe}\n")
	out := importInto(t, d, f)
	for _, want := range []string{"2 jails: 2 moved whole", "findtime = 1s → findtime: 1s", "maxretry = 3 → maxretry: 3"} {
		if !strings.Contains(out, want) {
			t.Errorf("the report lacks %q:\n%s", want, out)
		}
	}
	f.start()
	d.Start()
	log := f.run + "/access.log"
	line := func(addr, request string, code int) string {
		return fmt.Sprintf(`%s - - [%s] "%s HTTP/1.1" %d 612 "-" "curl"`, addr, time.Now().Format("02/Jan/2006:15:04:05 -0700"), request, code)
	}

	// fail2ban forgets a line that it comes to read after findtime, here one second: then another address tries.
	settled := false
	for try := 1; try <= 8 && !settled; try++ {
		flood := fmt.Sprintf("198.18.1.%d", try)
		for time.Now().Nanosecond() > 300e6 {
			time.Sleep(5 * time.Millisecond) // all lines in one second of their dates
		}
		appendLines(t, log, line(flood, "GET /a", 200), line(flood, "GET /b.png", 200), line(flood, "GET /c", 200), line(flood, "GET /d", 200), line(flood, "GET /e", 200))
		rig.Eventually(t, 30*time.Second, "stockade bans the flood", func() bool { return bannedHere(d, "flask-ddos", flood) })
		settled = rig.Soon(4*time.Second, func() bool { return f.banned("flask-ddos", flood) })
		if settled {
			theirs, ours := f.decidingLine("flask-ddos", flood), ourDecidingLine(d, flood)
			if !strings.Contains(ours, "/d ") {
				t.Errorf("the deciding line is %q, want the third one that counts", ours)
			}
			// fail2ban reads on for a moment before it decides, so its list may go past the third line.
			if theirs != ours && !strings.Contains(theirs, "/e ") {
				t.Errorf("fail2ban decided at %q, stockade at %q", theirs, ours)
			}
		}
	}
	if !settled {
		t.Log("fail2ban never read a line within its findtime of one second: the machine is too busy to compare this jail")
	}

	const guesser, honest = "198.18.2.1", "198.18.2.2"
	appendLines(t, log, line(guesser, "POST /login", 401))
	appendLines(t, log, line(honest, "POST /login", 401))
	rig.Eventually(t, 30*time.Second, "fail2ban has found both", func() bool { return f.found("flask-auth", guesser) == 1 && f.found("flask-auth", honest) == 1 })
	if f.banned("flask-auth", guesser) || bannedHere(d, "flask-auth", guesser) {
		t.Error("banned after one failure")
	}
	appendLines(t, log, line(guesser, "POST /again", 401))
	rig.Eventually(t, 30*time.Second, "both ban the second failure", func() bool { return f.banned("flask-auth", guesser) && bannedHere(d, "flask-auth", guesser) })
	if theirs, ours := f.decidingLine("flask-auth", guesser), ourDecidingLine(d, guesser); theirs != ours || !strings.Contains(ours, "/again") {
		t.Errorf("fail2ban decided at %q, stockade at %q", theirs, ours)
	}
	if f.banned("flask-auth", honest) || bannedHere(d, "flask-auth", honest) {
		t.Error("somebody is banned after one failure")
	}
	compareVerb(t, d, f, "flask-auth", guesser)
}

// compareVerb asks compare for the bans of both logs: the address must be banned by both.
func compareVerb(t *testing.T, d *rig.Daemon, f *fail2ban, jail, addr string) {
	t.Helper()
	// A ban is logged after it is listed.
	rig.Eventually(t, 30*time.Second, "the ban is logged", func() bool {
		all := append(d.Logged("ban"), d.Logged("would ban")...) // jails that are moved only report at first
		return slices.ContainsFunc(all, func(r map[string]any) bool { return r["jail"] == jail && r["addr"] == addr+"/32" })
	})
	file := filepath.Join(d.Dir, "stockade.log")
	if err := os.WriteFile(file, []byte(d.Log.String()), 0o644); err != nil { //nolint:gosec // a copy for the verb
		t.Fatal(err)
	}
	out, _ := d.Run("compare", f.run+"/fail2ban.log", "--log", file, "--json")
	var c struct {
		Pairs []struct {
			Jail, Address, First, Reason string
			Fail2ban, Stockade           *time.Time
			Lead                         float64
		}
		Both int
	}
	if err := json.Unmarshal([]byte(out), &c); err != nil {
		t.Fatalf("compare --json prints %q: %v", out, err)
	}
	for _, p := range c.Pairs {
		if p.Jail == jail && p.Address == addr && p.Fail2ban != nil && p.Stockade != nil {
			text, _ := d.Run("compare", f.run+"/fail2ban.log", "--log", file)
			t.Logf("compare: %s first, by %.3f s\n%s", p.First, p.Lead, text)
			return
		}
	}
	t.Errorf("compare does not say that both banned %s in %s: %s", addr, jail, out)
}

const nginxConf = `
daemon off;
worker_processes 1;
pid %DIR%/nginx.pid;
error_log %DIR%/error.log;
events { worker_connections 64; }
http {
	access_log off;
	client_body_temp_path %DIR%/tmp; proxy_temp_path %DIR%/tmp; fastcgi_temp_path %DIR%/tmp;
	uwsgi_temp_path %DIR%/tmp; scgi_temp_path %DIR%/tmp;
	server {
		listen 203.0.113.2:8080;
		location / { return 200 "hello"; }
		location /private { auth_basic "members"; auth_basic_user_file %DIR%/users; }
	}
}
`

const rsyslogConf = `
module(load="imuxsock" SysSock.Name="/dev/log")
global(workDirectory="%DIR%/log" localHostname="server")
auth,authpriv.* action(type="omfile" file="%DIR%/log/auth.log" template="RSYSLOG_TraditionalFileFormat")
`

const sshdConfig = `
Port 22
HostKey %DIR%/host_key
UsePAM yes
PasswordAuthentication yes
KbdInteractiveAuthentication no
UseDNS no
PidFile none
`

// TestDaemonsBeside has real sshd, rsyslogd and nginx write the files that both programs read, with
// fail2ban's own filters.
func TestDaemonsBeside(t *testing.T) {
	t.Parallel()
	rig.RequireRoot(t)
	rig.RequirePrograms(t, "nginx", "rsyslogd", "sshd", "ssh", "ssh-keygen", "sshpass", "unshare")
	_, err := os.Stat("/etc/fail2ban/filter.d/sshd.conf")
	rig.Require(t, err == nil, "needs /etc/fail2ban/filter.d")
	router, host := wire(t)
	const guesser, visitor = "198.51.100.21", "198.51.100.22"
	for _, a := range []string{guesser, visitor} {
		rig.Sh(t, router, "ip", "addr", "add", a+"/32", "dev", "out")
	}
	dir := rig.OpenDir(t)
	write := func(name, text string, mode os.FileMode) {
		path := filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(strings.ReplaceAll(text, "%DIR%", dir)), mode); err != nil {
			t.Fatal(err)
		}
	}
	write("rsyslog.conf", rsyslogConf, 0o644)
	write("sshd_config", sshdConfig, 0o644)
	write("nginx.conf", nginxConf, 0o644)
	write("users", "alice:{PLAIN}secret\n", 0o644)
	write("log/auth.log", "", 0o644)
	write("error.log", "", 0o644)
	write("tmp/x", "", 0o644)
	for _, file := range []string{"passwd", "shadow"} {
		text, err := os.ReadFile("/etc/" + file)
		if err != nil {
			t.Fatal(err)
		}
		write(file, string(text), 0o600)
	}
	if err := os.Chmod(dir+"/passwd", 0o644); err != nil { //nolint:gosec // as /etc/passwd is
		t.Fatal(err)
	}
	rig.Sh(t, "", "ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", dir+"/host_key")

	f := newFail2ban(t, host, nil)
	if err := os.CopyFS(f.dir+"/filter.d", os.DirFS("/etc/fail2ban/filter.d")); err != nil {
		t.Fatal(err)
	}
	// ignoreself looks the host's name up, and there is no resolver: fail2ban would wait 20 s for it.
	f.write("jail.conf", "[DEFAULT]\nenabled = true\nbackend = polling\nbantime = 1h\nfindtime = 10m\nmaxretry = 3\naction =\nusedns = no\nignoreself = false\n"+
		"[sshd]\nfilter = sshd\nlogpath = "+dir+"/log/auth.log\n[nginx-http-auth]\nfilter = nginx-http-auth\nlogpath = "+dir+"/error.log\n")
	d := rig.NewDaemon(t, host, besideConfig+"firewall: {backend: observe}\n")
	importInto(t, d, f)
	f.start()
	d.Start()
	sshd := rig.Start(t, rig.InNS(host, "unshare", "--mount", "--propagation", "private", "bash", "../testdata/server.sh", dir))
	nginx := rig.Start(t, rig.InNS(host, "nginx", "-c", dir+"/nginx.conf", "-g", "user root;"))
	t.Cleanup(func() { nginx.End(syscall.SIGTERM); sshd.End(syscall.SIGTERM) })
	dial := func(from, to string) (conn net.Conn, err error) {
		err = rig.Inside(router, func() error {
			d := net.Dialer{Timeout: time.Second, LocalAddr: &net.TCPAddr{IP: net.ParseIP(from)}}
			conn, err = d.Dial("tcp", to)
			return err
		})
		return conn, err
	}
	rig.Eventually(t, 60*time.Second, "sshd and nginx answer", func() bool {
		for _, port := range []string{":22", ":8080"} {
			c, err := dial(routerAddr, hostAddr+port)
			if err != nil {
				return false
			}
			c.Close()
		}
		return true
	})

	web := &http.Client{Timeout: 5 * time.Second, Transport: &http.Transport{DisableKeepAlives: true}}
	web.Transport.(*http.Transport).Dial = func(_, addr string) (net.Conn, error) { return dial(visitor, addr) } //nolint:staticcheck // the context is not needed
	for range 4 {
		req, err := http.NewRequest(http.MethodGet, "http://"+hostAddr+":8080/private", nil)
		if err != nil {
			t.Fatal(err)
		}
		req.SetBasicAuth("alice", "wrong")
		if resp, err := web.Do(req); err == nil {
			resp.Body.Close()
		}
	}
	for range 4 {
		_ = rig.InNS(router, "timeout", "15", "sshpass", "-p", "wrong", "ssh", "-b", guesser, "-F", "/dev/null",
			"-o", "StrictHostKeyChecking=no", "-o", "UserKnownHostsFile=/dev/null", "-o", "LogLevel=ERROR", "-o", "NumberOfPasswordPrompts=1",
			"-o", "PreferredAuthentications=password", "-o", "PubkeyAuthentication=no", "nobody-here@"+hostAddr, "true").Run()
	}
	for _, tc := range []struct{ jail, addr, log string }{{"nginx-http-auth", visitor, "error.log"}, {"sshd", guesser, "log/auth.log"}} {
		if !rig.Soon(60*time.Second, func() bool { return f.banned(tc.jail, tc.addr) && bannedHere(d, tc.jail, tc.addr) }) {
			text, _ := os.ReadFile(dir + "/log/auth.log")
			more, _ := os.ReadFile(dir + "/error.log")
			t.Fatalf("%s: fail2ban bans %s: %t, stockade: %t\n%s%s\n%s", tc.jail, tc.addr, f.banned(tc.jail, tc.addr), bannedHere(d, tc.jail, tc.addr), text, more, f.logged())
		}
		// fail2ban decides when it has read what there is, so its last line may be a later one.
		text, _ := os.ReadFile(filepath.Join(dir, tc.log))
		theirs, ours := f.decidingLine(tc.jail, tc.addr), ourDecidingLine(d, tc.addr)
		if at := strings.Index(string(text), ours); ours == "" || at < 0 || at > strings.Index(string(text), theirs) {
			t.Errorf("%s: fail2ban decided at %q, stockade at %q", tc.jail, theirs, ours)
		} else {
			t.Logf("%s: the same line: %t: %s", tc.jail, theirs == ours, ours)
		}
		compareVerb(t, d, f, tc.jail, tc.addr)
	}
}
