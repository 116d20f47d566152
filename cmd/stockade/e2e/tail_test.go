package e2e

import (
	"context"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"stockade/cmd/stockade/e2e/rig"
)

const nginxConf = `
daemon off;
worker_processes 1;
pid %DIR%/nginx.pid;
error_log %DIR%/error.log;
events { worker_connections 64; }
http {
	access_log %DIR%/log/access.log combined;
	client_body_temp_path %DIR%/tmp; proxy_temp_path %DIR%/tmp; fastcgi_temp_path %DIR%/tmp;
	uwsgi_temp_path %DIR%/tmp; scgi_temp_path %DIR%/tmp;
	server {
		listen 203.0.113.2:8080;
		location / { return 200 "hello"; }
		location /private { auth_basic "members"; auth_basic_user_file %DIR%/users; }
	}
}
`

const tailConfig = `
tails:
  - {name: web, paths: ["%DIR%/log/*.log"], app: flask}
jails:
  - name: flask-ddos
    filter: {failregex: ['^<HOST> - .+(GET|POST).*$'], ignoreregex: ['\.(?i:jpg|png|css)']}
    maxretry: 3
    findtime: 1s
    bantime: 1h
  - {name: flask-auth, filter: {failregex: ['^<HOST> - .+(GET|POST).+ 401 .*$']}, maxretry: 2, findtime: 10s}
`

// TestTailWalkthrough is the walkthrough with a real web server's log, followed as a file.
func TestTailWalkthrough(t *testing.T) {
	l := newLab(t)
	rig.RequirePrograms(t, "nginx")
	d := rig.NewDaemon(t, l.gateway, tailConfig)
	for _, dir := range []string{"log", "tmp"} {
		if err := os.Mkdir(filepath.Join(d.Dir, dir), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	for name, text := range map[string]string{"nginx.conf": nginxConf, "users": "alice:{PLAIN}secret\n"} {
		if err := os.WriteFile(filepath.Join(d.Dir, name), []byte(strings.ReplaceAll(text, "%DIR%", d.Dir)), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	d.Start()
	nginx := rig.InNS(l.gateway, "nginx", "-c", filepath.Join(d.Dir, "nginx.conf"), "-g", "user root;")
	out := &rig.Output{}
	nginx.Stdout, nginx.Stderr = out, out
	if err := nginx.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = nginx.Process.Signal(syscall.SIGTERM); _ = nginx.Wait() })

	visitor := func(from string) *http.Client {
		return &http.Client{Timeout: 10 * time.Second, Transport: &http.Transport{
			DisableKeepAlives: true,
			DialContext: func(context.Context, string, string) (net.Conn, error) {
				return l.dial(l.internet, from, gwOut+":8080")
			},
		}}
	}
	get := func(from, path string) int {
		resp, err := visitor(from).Get("http://" + gwOut + ":8080" + path)
		if err != nil {
			return 0
		}
		resp.Body.Close()
		return resp.StatusCode
	}
	rig.Eventually(t, 30*time.Second, "nginx answers", func() bool { return l.reachable(l.gateway, gwOut, gwOut+":8080") })

	held := func(addr string) func() bool { return func() bool { return rig.Holds(t, l.gateway, "ban4", addr) } }
	rig.Eventually(t, 60*time.Second, "four hits within a second are banned", func() bool {
		for range 4 { // on a busy machine they may take longer than a second: then once more
			get(attacker, "/")
			get(attacker, "/logo.png") // ignored
		}
		return rig.Soon(2*time.Second, held(attacker))
	})
	if got := get(attacker, "/"); got != 0 {
		t.Errorf("the banned visitor still gets an answer: %d", got)
	}
	if got := get(bystander, "/private"); got != 401 {
		t.Fatalf("a visitor without a password gets %d, want 401", got)
	}
	time.Sleep(1100 * time.Millisecond) // out of the other jail's findtime
	if rig.Holds(t, l.gateway, "ban4", bystander) {
		t.Fatal("banned after one of two refused logins")
	}
	get(bystander, "/private")
	rig.Eventually(t, 30*time.Second, "two refused logins are banned", held(bystander))

	status := d.Must("status", "flask-auth")
	for _, want := range []string{"Currently banned:\t1\n", "Total banned:\t1\n", "Banned IP list:\t" + bystander} {
		if !strings.Contains(status, want) {
			t.Errorf("status lacks %q:\n%s", want, status)
		}
	}
	d.Must("unban", bystander)
	rig.Eventually(t, 30*time.Second, "let in again", func() bool { return get(bystander, "/logo.png") != 0 })
	if status = d.Must("status", "flask-auth"); !strings.Contains(status, "Currently banned:\t0\n") || !strings.Contains(status, "Total banned:\t1\n") {
		t.Errorf("status after unban:\n%s", status)
	}
}
