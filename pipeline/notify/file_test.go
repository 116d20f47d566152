package notify

import (
	"bytes"
	"context"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"
)

func testOptions() *Options {
	return &Options{Log: slog.New(slog.DiscardHandler), Bans: func(string) []Ban { return nil }}
}

func TestFormats(t *testing.T) {
	bans := func(string) []Ban {
		return []Ban{
			{Prefix: netip.MustParsePrefix("2001:db8:7::/64"), Jail: "sshd"},
			{Prefix: netip.MustParsePrefix("192.0.2.7/32"), Jail: "web\n/system reset"},
			{Prefix: netip.MustParsePrefix("192.0.2.7/32"), Jail: "sshd"},
			{Prefix: netip.MustParsePrefix("198.51.100.0/24"), Jail: "sshd"},
		}
	}
	for format, want := range map[string]string{
		"list":       "192.0.2.7\n198.51.100.0/24\n2001:db8:7::/64\n",
		"hosts.deny": "ALL: 192.0.2.7\nALL: 198.51.100.0/24\nALL: [2001:db8:7::]/64\n",
		"nginx":      "192.0.2.7 1;\n198.51.100.0/24 1;\n2001:db8:7::/64 1;\n",
		"mikrotik": "/ip firewall address-list remove [find list=stockade]\n" +
			"/ip firewall address-list add list=stockade address=192.0.2.7/32 comment=sshd\n" +
			"/ip firewall address-list add list=stockade address=198.51.100.0/24 comment=sshd\n" +
			"/ipv6 firewall address-list remove [find list=stockade]\n" +
			"/ipv6 firewall address-list add list=stockade address=2001:db8:7::/64 comment=sshd\n",
	} {
		path := filepath.Join(t.TempDir(), "bans")
		f := file{&Config{Path: path, Format: format}, bans}
		if err := f.send(t.Context(), nil); err != nil {
			t.Fatal(err)
		}
		text, err := os.ReadFile(path)
		if err != nil || string(text) != fileMark+want {
			t.Errorf("%s: %v\n%s", format, err, text)
		}
	}
	if got := word("web\n/system reset;"); got != "websystemreset" {
		t.Errorf("word %q", got)
	}
}

func TestFileOfSomebodyElseIsLeftAlone(t *testing.T) {
	path := filepath.Join(t.TempDir(), "hosts.deny")
	if err := os.WriteFile(path, []byte("ALL: 203.0.113.1\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	f := file{&Config{Path: path, Format: "hosts.deny"}, func(string) []Ban { return nil }}
	if err := f.send(t.Context(), nil); err == nil {
		t.Error("it was replaced")
	}
	if text, err := os.ReadFile(path); err != nil || string(text) != "ALL: 203.0.113.1\n" {
		t.Errorf("%v %s", err, text)
	}
}

func TestFileFollowsTheBans(t *testing.T) {
	path := filepath.Join(t.TempDir(), "bans")
	n := start(t, Config{Name: "list", Type: TypeFile, Path: path, Format: "list", Digest: 10 * time.Millisecond})
	eventually(t, "the file is there", func() bool { _, err := os.Stat(path); return err == nil })
	first, err := os.Stat(path)
	if err != nil {
		t.Fatal(err)
	}
	n.Post(ban(1))
	eventually(t, "the event is taken", func() bool { return n.Stats()[0].Sent == 1 })
	if again, err := os.Stat(path); err != nil || !os.SameFile(first, again) {
		t.Errorf("a file that did not change was replaced: %v", err)
	}
}

// TestFileIsWrittenAtTheStop bans right before a stop: the file has it, as the kernel has.
func TestFileIsWrittenAtTheStop(t *testing.T) {
	var mu sync.Mutex
	var bans []Ban
	path := filepath.Join(t.TempDir(), "bans")
	o := *testOptions()
	o.Bans = func(string) []Ban {
		mu.Lock()
		defer mu.Unlock()
		return slices.Clone(bans)
	}
	n, err := New([]Config{{Name: "list", Type: TypeFile, Path: path, Format: "list", Digest: time.Hour}}, o)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- n.Run(ctx) }()
	eventually(t, "the file is there", func() bool { _, err := os.Stat(path); return err == nil })
	mu.Lock()
	bans = []Ban{{Prefix: netip.MustParsePrefix("192.0.2.7/32"), Jail: "sshd"}}
	mu.Unlock()
	n.Post(ban(1))
	cancel()
	if err := <-done; err != nil {
		t.Fatal(err)
	}
	if text, err := os.ReadFile(path); err != nil || string(text) != fileMark+"192.0.2.7\n" {
		t.Errorf("%v %q", err, text)
	}
}

// TestNginxReadsTheFile has a real nginx refuse what the file bans, by geo and by map.
func TestNginxReadsTheFile(t *testing.T) {
	program, err := exec.LookPath("nginx")
	if err != nil {
		program = "/usr/sbin/nginx"
	}
	if _, err := os.Stat(program); err != nil {
		if os.Getenv("STOCKADE_REQUIRE") == "all" {
			t.Fatal("nginx is missing")
		}
		t.Skip("nginx is missing")
	}
	dir := t.TempDir()
	f := file{&Config{Path: filepath.Join(dir, "bans.conf"), Format: "nginx"}, func(string) []Ban {
		return []Ban{
			{Prefix: netip.MustParsePrefix("192.0.2.7/32")}, {Prefix: netip.MustParsePrefix("198.51.100.0/24")}, {Prefix: netip.MustParsePrefix("2001:db8:7::/64")},
		}
	}}
	if err := f.send(t.Context(), nil); err != nil {
		t.Fatal(err)
	}
	// The client's address is taken from a header here, so that one host can play them all.
	const config = `pid DIR/pid; error_log DIR/error;
events {}
http {
	access_log off;
	client_body_temp_path DIR/1; proxy_temp_path DIR/2; fastcgi_temp_path DIR/3; uwsgi_temp_path DIR/4; scgi_temp_path DIR/5;
	geo $http_x_from $by_geo { default 0; include DIR/bans.conf; }
	map $http_x_from $by_map { default 0; include DIR/bans.conf; }
	server { listen unix:DIR/socket; location / { return 200 "$by_geo$by_map"; } }
}
`
	path := filepath.Join(dir, "nginx.conf")
	if err := os.WriteFile(path, []byte(strings.ReplaceAll(config, "DIR", dir)), 0o600); err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(program, "-c", path, "-p", dir, "-e", filepath.Join(dir, "error"), "-g", "daemon off; master_process off;")
	var said bytes.Buffer
	cmd.Stdout, cmd.Stderr = &said, &said
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	ended := make(chan struct{})
	go func() { _ = cmd.Wait(); close(ended) }()
	t.Cleanup(func() { _ = cmd.Process.Kill(); <-ended })
	client := &http.Client{Transport: &http.Transport{DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
		return new(net.Dialer).DialContext(ctx, "unix", filepath.Join(dir, "socket"))
	}}}
	defer client.CloseIdleConnections()
	ask := func(from string) (string, error) {
		r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "http://nginx/", nil)
		if err != nil {
			return "", err
		}
		r.Header.Set("X-From", from)
		res, err := client.Do(r)
		if err != nil {
			return "", err
		}
		defer res.Body.Close()
		text, err := io.ReadAll(res.Body)
		return string(text), err
	}
	eventually(t, "nginx answers", func() bool {
		select {
		case <-ended:
			t.Fatalf("nginx ended: %v %s", cmd.ProcessState, said.String())
		default:
		}
		_, err := ask("203.0.113.1")
		return err == nil
	})
	for from, want := range map[string]string{
		"203.0.113.1": "00", "192.0.2.7": "11", "192.0.2.8": "00", "198.51.100.9": "10", "2001:db8:7::5": "10", "2001:db8:8::5": "00",
	} {
		if got, err := ask(from); err != nil || got != want {
			t.Errorf("%s: geo and map say %q, %v; want %q", from, got, err, want)
		}
	}
}
