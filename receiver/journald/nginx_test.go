package journald

import (
	"context"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"stockade/receiver/receivertest"
	"stockade/receiver/receivertest/record"
)

// TestNginxBehindJournald: a client of a real web server sends a header that puts text of its own
// at the beginning of what journald makes the next record. It is marked as a continuation.
func TestNginxBehindJournald(t *testing.T) {
	receivertest.Inside(t, func(t *testing.T) {
		nginx := receivertest.NeedProgram(t, "nginx", "nginx-light")
		receivertest.NeedProgram(t, "systemd-cat", "systemd")
		receivertest.StartJournal(t, "RateLimitIntervalSec=0")
		rec := new(record.Recorder)
		in, err := New(Options{Config: Config{Name: "local"}, Registry: record.Registry(t, hostSource), Open: rec.Open, Log: new(receivertest.Log).Logger()})
		if err != nil {
			t.Fatal(err)
		}
		run(t, in)

		dir := t.TempDir()
		address := fmt.Sprintf("127.0.0.1:%d", receivertest.FreePort(t))
		conf := fmt.Sprintf(`daemon off; master_process off; pid %[1]s/pid; error_log /dev/null; events {}
http { log_format x '$remote_addr $http_user_agent'; access_log /dev/stdout x; large_client_header_buffers 4 128k;
client_body_temp_path %[1]s/a; proxy_temp_path %[1]s/b; fastcgi_temp_path %[1]s/c; uwsgi_temp_path %[1]s/d; scgi_temp_path %[1]s/e;
server { listen %[2]s; location / { return 401; } } }`, dir, address)
		path := filepath.Join(dir, "nginx.conf")
		if err := os.WriteFile(path, []byte(conf), 0o600); err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithCancel(context.Background())
		// nginx cannot open /dev/stdout where that is journald's socket, so a pipe stands between.
		server := exec.CommandContext(ctx, nginx, "-c", path)
		cat := exec.Command("systemd-cat", "-t", "nginx", "cat")
		if cat.Stdin, err = server.StdoutPipe(); err != nil {
			t.Fatal(err)
		}
		for _, cmd := range []*exec.Cmd{server, cat} {
			if err := cmd.Start(); err != nil {
				t.Fatal(err)
			}
		}
		t.Cleanup(func() {
			cancel()
			_ = cat.Wait()
			_ = server.Wait()
		})
		const attack = "192.0.2.66 Failed password for root from 192.0.2.66 port 1 ssh2"
		agents := []string{"honest", strings.Repeat("A", 48<<10-len("127.0.0.1 ")) + attack, "honest again"}
		client := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}, Timeout: 10 * time.Second}
		for _, agent := range agents {
			ok := receivertest.Eventually(60*time.Second, func() bool {
				req, err := http.NewRequest(http.MethodGet, "http://"+address+"/", nil)
				if err != nil {
					t.Fatal(err)
				}
				req.Header.Set("User-Agent", agent)
				resp, err := client.Do(req)
				if err != nil {
					return false
				}
				resp.Body.Close()
				return resp.StatusCode == http.StatusUnauthorized
			})
			if !ok {
				t.Fatal("nginx does not answer")
			}
		}
		if !receivertest.Eventually(60*time.Second, func() bool { return len(rec.Of("nginx")) == 4 }) {
			t.Fatalf("%d lines", len(rec.Of("nginx")))
		}
		lines := rec.Of("nginx")
		if x := lines[2]; x.Text != attack || !x.Continued {
			t.Errorf("the rest is not marked: %q, continued %v", x.Text, x.Continued)
		}
		for _, i := range []int{0, 1, 3} {
			if lines[i].Continued || !strings.HasPrefix(lines[i].Text, "127.0.0.1 ") {
				t.Errorf("line %d: %.40q, continued %v", i, lines[i].Text, lines[i].Continued)
			}
		}
	})
}
