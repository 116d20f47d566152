package trust

import (
	"crypto/tls"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"stockade/cmd/stockade/e2e/rig"
	"stockade/receiver/receivertest"
)

const guarded = `
listeners:
  - {name: plain, transport: tcp, address: "127.0.0.1:601"}
  - {name: secure, transport: tls, address: "203.0.113.2:6514", cert: %DIR%/cert, key: %DIR%/key, client_ca: %DIR%/ca}
jails:
  - {name: sshd, filter: sshd, maxretry: 3, ignoreip: ["file:%DIR%/ignore.txt", localhost]}
sources:
  - {name: server, listener: plain, addresses: [127.0.0.1], jails: [sshd], quota: none}
  - {name: remote, listener: secure, certificate: {san: remote.lan}, jails: [sshd]}
never_ban: [198.51.100.30, "file:%DIR%/allow.txt"]
proxies: [198.51.100.40]
`

// explained is what explain says of an address.
type explained struct {
	NeverBan *string `json:"never_ban"`
	Refused  []struct{ Reason, Remedy string }
}

func explain(d *rig.Daemon, addr string) (e explained) {
	d.Decode(&e, "explain", addr)
	return e
}

// startGuarded makes a gateway between a network and the internet, and starts the daemon on it with a
// /run of its own.
func startGuarded(t *testing.T) (d *rig.Daemon, internet string) {
	t.Helper()
	rig.RequireRoot(t)
	rig.RequirePrograms(t, "unshare", "ip", "nft")
	gateway, lan := rig.NewNS(t), rig.NewNS(t)
	internet = rig.NewNS(t)
	for _, cable := range [][6]string{
		{gateway, "wan0", "203.0.113.2/24", internet, "gw0", "203.0.113.1/24"}, {gateway, "lan0", "192.0.2.1/24", lan, "eth0", "192.0.2.10/24"},
	} {
		rig.Sh(t, cable[0], "ip", "link", "add", cable[1], "type", "veth", "peer", "name", cable[4], "netns", cable[3])
		for _, end := range [][3]string{{cable[0], cable[1], cable[2]}, {cable[3], cable[4], cable[5]}} {
			rig.Sh(t, end[0], "ip", "addr", "add", end[2], "dev", end[1])
			rig.Sh(t, end[0], "ip", "link", "set", end[1], "up")
		}
	}
	rig.Sh(t, internet, "ip", "addr", "add", "203.0.113.50/32", "dev", "gw0")
	rig.Sh(t, gateway, "ip", "route", "add", "default", "via", "203.0.113.1")
	d = rig.NewDaemon(t, gateway, guarded)
	put(t, d, "allow.txt", "# nobody yet\n")
	put(t, d, "ignore.txt", "")
	d.Wrap = []string{"unshare", "--mount", "--propagation", "private", "sh", "-c",
		`mount -t tmpfs tmpfs /run && mkdir -p /run/systemd "$0/sessions" && ln -s "$0/sessions" /run/systemd/sessions && exec "$@"`, d.Dir}
	return d, internet
}

// put replaces a file of the daemon's folder in one step.
func put(t *testing.T, d *rig.Daemon, name, text string) {
	t.Helper()
	path := filepath.Join(d.Dir, name)
	err := os.WriteFile(path+".next", []byte(text), 0o600)
	if err == nil {
		err = os.Rename(path+".next", path)
	}
	if err != nil {
		t.Fatal(err)
	}
}

// TestProtectedOnesAreNeverBanned: a LAN host's typo, the proxy's address, an open session, a connected
// sender, and what the operator lists: each is accused often enough, none is banned, each has its hint.
func TestProtectedOnesAreNeverBanned(t *testing.T) {
	d, internet := startGuarded(t)
	ca := newAuthority(t, "ca", nil)
	ca.write(d.Dir)
	if err := os.MkdirAll(filepath.Join(d.Dir, "sessions"), 0o755); err != nil {
		t.Fatal(err)
	}
	put(t, d, "sessions/1", "STATE=active\nREMOTE_HOST=198.51.100.50\n")
	put(t, d, "ignore.txt", "198.51.100.60\n")
	d.Start()
	if err := rig.Inside(internet, func() error {
		c, err := ca.dialFrom("203.0.113.50", "203.0.113.2:6514", ca.issue(client("remote.lan")))
		if err == nil {
			t.Cleanup(func() { c.Close() })
			_, err = c.Write([]byte(failure("198.51.100.1", 1) + "\n"))
		}
		return err
	}); err != nil {
		t.Fatal(err)
	}
	victims := []struct{ name, addr, why, reason string }{
		{"a LAN host's typo", "192.0.2.10", "protect_lan", "names_protected"},
		{"the proxy", "198.51.100.40", "proxies", "names_proxy"},
		{"an open session", "198.51.100.50", "login session", "names_protected"},
		{"a connected sender", "203.0.113.50", "connected sender", "names_protected"},
		{"the operator's list", "198.51.100.30", "never_ban", "names_protected"},
		{"the own address", "203.0.113.2", "own address", "names_protected"},
		{"the default gateway", "203.0.113.1", "default gateway", "names_protected"},
		{"an ignored one", "198.51.100.60", "", ""},
	}
	rig.Eventually(t, 10*time.Second, "the connected sender is protected", func() bool { return explain(d, "203.0.113.50").NeverBan != nil })
	c := rig.Connect(t, d.NS, "tcp", "127.0.0.1:601")
	for i, v := range victims {
		for n := range 5 {
			sendLines(t, c, failure(v.addr, 10*i+n))
		}
		judged(t, d, int64(1+5*(i+1)))
		e := explain(d, v.addr)
		if v.why == "" {
			continue
		}
		if e.NeverBan == nil || !strings.Contains(*e.NeverBan, v.why) {
			t.Errorf("%s: explain says %v of never_ban, want %q", v.name, e.NeverBan, v.why)
		}
		hinted := false
		for _, r := range e.Refused {
			hinted = hinted || r.Reason == v.reason && r.Remedy != ""
		}
		if !hinted {
			t.Errorf("%s: no hint for %s: %+v", v.name, v.reason, e.Refused)
		}
		if out, code := d.Run("ban", v.addr); code != 1 || !strings.Contains(out, v.why) {
			t.Errorf("%s: a ban by hand exits with %d: %s", v.name, code, out)
		}
	}
	if all := banned(d, ""); len(all) > 0 {
		t.Errorf("banned: %v", all)
	}
	for n := range 3 {
		sendLines(t, c, failure("198.51.100.7", 900+n))
	}
	rig.Eventually(t, 10*time.Second, "an abuser is banned", func() bool { return inKernel(d, "198.51.100.7") })
}

// TestProtectedLate is bar C11: an address that becomes protected while it is banned is let in.
func TestProtectedLate(t *testing.T) {
	d, _ := startGuarded(t)
	ca := newAuthority(t, "ca", nil)
	ca.write(d.Dir)
	if err := os.MkdirAll(filepath.Join(d.Dir, "sessions"), 0o755); err != nil {
		t.Fatal(err)
	}
	d.Start()
	c := rig.Connect(t, d.NS, "tcp", "127.0.0.1:601")
	ban := func(addr string) {
		for n := range 3 {
			sendLines(t, c, failure(addr, n))
		}
		rig.Eventually(t, 10*time.Second, addr+" is banned", func() bool { return inKernel(d, addr) })
	}
	for _, tt := range []struct {
		name, addr string
		protect    func(addr string)
	}{
		{"an address of an interface", "198.51.100.71", func(a string) { rig.Sh(t, d.NS, "ip", "addr", "add", a+"/32", "dev", "lan0") }},
		{"a line in the operator's file", "198.51.100.72", func(a string) { put(t, d, "allow.txt", a+"\n") }},
		{"a line in a jail's file", "198.51.100.73", func(a string) { put(t, d, "ignore.txt", a+"\n") }},
		{"a session", "198.51.100.74", func(a string) { put(t, d, "sessions/2", "STATE=active\nREMOTE_HOST="+a+"\n") }},
		{"the configuration", "198.51.100.75", func(a string) {
			d.Rewrite(strings.Replace(guarded, "never_ban: [", "never_ban: ["+a+", ", 1))
			d.Must("reload")
		}},
	} {
		ban(tt.addr)
		began := time.Now()
		tt.protect(tt.addr)
		rig.Eventually(t, 10*time.Second, tt.name+" lets in", func() bool { return !inKernel(d, tt.addr) })
		took := time.Since(began)
		if took > 5*time.Second {
			t.Errorf("%s: let in after %s, want 1 s", tt.name, took)
		}
		t.Logf("C11: %s: let in after %s", tt.name, took.Round(time.Millisecond))
	}
	if all := banned(d, ""); len(all) > 0 {
		t.Errorf("banned: %v", all)
	}
}

// dialFrom connects from an address, to a server that is known as server.lan.
func (a *authority) dialFrom(from, address string, cert *tls.Certificate) (net.Conn, error) {
	cfg := a.config(cert)
	cfg.ServerName = "server.lan"
	return tls.DialWithDialer(&net.Dialer{Timeout: 20 * time.Second, LocalAddr: &net.TCPAddr{IP: net.ParseIP(from)}}, "tcp", address, cfg)
}

// TestOwnLog is bar C12: what hostile senders put into names, tags and certificates leaves no control
// character in our own log, and is logged once a minute for each reason and peer.
func TestOwnLog(t *testing.T) {
	const text = observe + `
log: {format: text}
listeners:
  - {name: secure, transport: tls, address: "127.0.0.1:%d", cert: %%DIR%%/cert, key: %%DIR%%/key, client_ca: %%DIR%%/ca}
jails: [{name: sshd, filter: sshd, maxretry: 1}]
sources: [{name: web1, listener: secure, certificate: {san: web1.lan}, apps: [sshd], hostnames: [web1], jails: [sshd]}]
`
	port := receivertest.FreePort(t)
	d := rig.NewDaemon(t, "", fmt.Sprintf(text, port))
	ca := newAuthority(t, "ca", nil)
	ca.write(d.Dir)
	d.Ready = func() bool { return strings.Contains(d.Log.String(), "serving") }
	d.Start()
	address := fmt.Sprintf("127.0.0.1:%d", port)
	const hostile = "x\n2026-01-01 level=ERROR msg=\"forged\"\r\x1b[31m\x00\x7f\u0085\u202e"
	for range 20 {
		for _, name := range []string{"evil\x1b[31m.lan", "a\nb.lan"} {
			if c, err := ca.dial(address, ca.issue(client(name))); err == nil {
				_, _ = c.Write([]byte("<38>x\n"))
				_, _ = c.Read(make([]byte, 1))
				c.Close()
			}
		}
	}
	c, err := ca.dial(address, ca.issue(client("web1.lan")))
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	flat := strings.NewReplacer("\n", "").Replace(hostile)
	for n := range 200 {
		sendLines(t, c, "<38>1 - "+strings.ReplaceAll(flat, " ", "")+" sshd 1 - - "+flat,
			"<38>1 - web1 "+strings.ReplaceAll(flat, " ", "")+" 1 - - "+flat,
			fmt.Sprintf("<38>1 - web1 sshd %d - - Invalid user %s from 198.51.100.%d port 22", n, "x\x1b[31m\u0085", n))
	}
	judged(t, d, 600)
	if n := len(banned(d, "")); n == 0 {
		t.Error("no ban: the lines show nothing")
	}
	d.Stop()
	log := d.Log.String()
	for i, r := range log {
		if r < ' ' && r != '\n' || r == 0x7f || r >= 0x80 && r < 0xa0 || r == 0x202e {
			t.Fatalf("control character %#x in the log: %q", r, log[max(0, i-80):i+10])
		}
	}
	for line := range strings.Lines(log) {
		if !strings.Contains(line, "level=") && !strings.HasPrefix(line, "time=") {
			t.Errorf("a line that is none of ours: %q", line)
		}
	}
	if n := strings.Count(log, "unknown_certificate"); n > 4 {
		t.Errorf("40 refused certificates of one peer are logged %d times in less than a minute", n)
	}
	if n := strings.Count(log, "hostname_not_granted") + strings.Count(log, "app_not_granted"); n > 4 {
		t.Errorf("400 refused lines of one source are logged %d times", n)
	}
	t.Logf("C12: %d bytes of log, 0 control characters; 40 refused handshakes are %d lines", len(log), strings.Count(log, "unknown_certificate"))
}
