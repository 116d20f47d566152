package control_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"go.uber.org/goleak"

	"stockade/cmd/stockade/control"
	"stockade/cmd/stockade/control/controltest"
)

func TestMain(m *testing.M) {
	if socket := os.Getenv(helperSocket); socket != "" {
		helperClient(context.Background(), socket)
		return
	}
	goleak.VerifyTestMain(m)
}

// folder is a short path for sockets: t.TempDir holds the test's name and may be too long.
func folder(t *testing.T) string {
	t.Helper()
	dir, err := os.MkdirTemp("", "ctl")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	return dir
}

func options(t *testing.T, fake *controltest.Fake) control.Options {
	return control.Options{
		Socket:   filepath.Join(folder(t), "control.sock"),
		Services: control.ServicesOf(fake),
		Log:      slog.New(slog.DiscardHandler),
	}
}

// serve runs a server until the test ends.
func serve(t *testing.T, o control.Options) {
	t.Helper()
	s, err := control.New(o)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- s.Run(ctx) }()
	<-s.Ready()
	t.Cleanup(func() {
		cancel()
		if err := <-done; err != nil {
			t.Errorf("Run: %v", err)
		}
		if _, err := os.Lstat(o.Socket); !errors.Is(err, fs.ErrNotExist) {
			t.Errorf("socket left behind: %v", err)
		}
	})
}

func client(t *testing.T, socket string) *control.Client {
	t.Helper()
	c, err := control.Dial(t.Context(), socket)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.Close)
	return c
}

// raw is a client that sends what it is told to.
func raw(t *testing.T, socket string) *http.Client {
	tr := &http.Transport{DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
		return new(net.Dialer).DialContext(ctx, "unix", socket)
	}}
	t.Cleanup(tr.CloseIdleConnections)
	return &http.Client{Transport: tr}
}

func do(t *testing.T, c *http.Client, method, path, body string, header ...string) (int, string) {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), method, "http://stockade"+path, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	for i := 0; i+1 < len(header); i += 2 {
		req.Header.Set(header[i], header[i+1])
	}
	res, err := c.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = res.Body.Close() }()
	answer, err := io.ReadAll(res.Body)
	if err != nil {
		t.Fatal(err)
	}
	return res.StatusCode, string(answer)
}

const jsonType = "application/json"

func TestServer(t *testing.T) {
	fake := &controltest.Fake{}
	o := options(t, fake)
	serve(t, o)
	c := raw(t, o.Socket)
	ban := `{"address":"192.0.2.7"}`
	tests := []struct {
		name, method, path, body, contentType string
		status                                int
		want                                  string // exact, or a part when it begins with …
	}{
		{"ping", "GET", "/v1/ping", "", "", 200, `{"pong":true}`},
		{"version", "GET", "/v1/version", "", "", 200, `…"go":"go1`},
		{"status", "GET", "/v1/status", "", "", 200, `…{"state":"ok","degraded":[],"backend":"observe","version":`},
		{"empty list of bans is []", "GET", "/v1/bans", "", "", 200, `[]`},
		{"sources", "GET", "/v1/sources", "", "", 200, `…"refused":{},"quota_left":null,"last_seen":"2026-11-24T09:59:00Z"`},
		{"jails", "GET", "/v1/jails", "", "", 200, `…"bantime":-1,"ports":[],"min_trust":"tls","apps":[]`},
		{"jail report without bans", "GET", "/v1/status/sshd", "", "", 200,
			`{"name":"sshd","failed_current":1,"failed_total":7,"banned_current":0,"banned_total":0,"sources":["this-host"],"banned":[]}`},
		{"unknown jail", "GET", "/v1/status/nope", "", "", 400, `{"code":"usage","message":"unknown jail \"nope\": one of sshd, manual"}`},
		{"unknown path", "GET", "/v2/bans", "", "", 404, `{"code":"usage","message":"no such request: GET \"/v2/bans\""}`},
		{"wrong method", "POST", "/v1/bans", "{}", jsonType, 404, `…no such request: POST`},
		{"misspelt query parameter", "GET", "/v1/bans?jial=sshd", "", "", 400, `…query parameter \"jial\" is unknown`},
		{"repeated query parameter", "GET", "/v1/bans?jail=sshd&jail=web", "", "", 400, `…unknown or repeated`},
		{"explain without address", "GET", "/v1/explain", "", "", 400, `…not an IPv4 or IPv6 address`},
		{"explain of nothing", "GET", "/v1/explain?address=192.0.2.9", "", "", 200,
			`…{"address":"192.0.2.9","banned":false,"bans":[],"windows":[],"evidence":[],"never_ban":null,"verdict":"not banned: nothing is known`},
		{"explain escapes what a terminal acts on", "GET", "/v1/explain?address=198.51.100.9", "", "", 200, `…root\u001b[2J\u009b31m from`},
		{"ban as a form", "POST", "/v1/ban", "address=192.0.2.7", "application/x-www-form-urlencoded", 415, `…application/json`},
		{"ban without content type", "POST", "/v1/ban", ban, "", 415, `…application/json`},
		{"ban with an unknown field", "POST", "/v1/ban", `{"address":"192.0.2.7","jial":"sshd"}`, jsonType, 400, `…unknown field`},
		{"two values in a body", "POST", "/v1/ban", ban + ban, jsonType, 400, `…more than one JSON value`},
		{"ban without address", "POST", "/v1/ban", `{}`, jsonType, 400, `…no address`},
		{"ban of a name", "POST", "/v1/ban", `{"address":"example.org"}`, jsonType, 400, `…not an IPv4 or IPv6 address`},
		{"ban of a zone", "POST", "/v1/ban", `{"address":"fe80::1%eth0"}`, jsonType, 400, `…a zone cannot be banned`},
		{"ban of octal digits", "POST", "/v1/ban", `{"address":"010.0.0.1"}`, jsonType, 400, `…not an IPv4 or IPv6 address`},
		{"ban with host bits", "POST", "/v1/ban", `{"address":"192.0.2.7/24"}`, jsonType, 400, `…did you mean 192.0.2.0/24?`},
		{"ban for no time", "POST", "/v1/ban", `{"address":"192.0.2.7","for":0}`, jsonType, 400, `…must be -1 (permanent) or between 1 and`},
		{"ban for 51 years", "POST", "/v1/ban", `{"address":"192.0.2.7","for":1609435656}`, jsonType, 400, `…must be -1`},
		{"ban with a control character", "POST", "/v1/ban", `{"address":"192.0.2.7","reason":"a\nb"}`, jsonType, 400, `…no control characters`},
		{"too wide for IPv4", "POST", "/v1/ban", `{"address":"10.0.0.0/15"}`, jsonType, 409, `…{"code":"width","message":"prefix 10.0.0.0/15 is too wide`},
		{"too wide in disguise", "POST", "/v1/ban", `{"address":"::ffff:10.0.0.0/111"}`, jsonType, 409, `…{"code":"width"`},
		{"too wide for IPv6", "POST", "/v1/ban", `{"address":"2001::/31"}`, jsonType, 409, `…{"code":"width"`},
		{"everything", "POST", "/v1/ban", `{"address":"0.0.0.0/0"}`, jsonType, 409, `…{"code":"width"`},
		{"everything by force is still protected", "POST", "/v1/ban", `{"address":"0.0.0.0/0","force":true}`, jsonType, 409, `…{"code":"protected"`},
		{"own login", "POST", "/v1/ban", `{"address":"198.51.100.0/24","session":"198.51.100.4"}`, jsonType, 409, `…{"code":"lock_out"`},
		{"own login by force", "POST", "/v1/ban", `{"address":"198.51.100.4","session":"::ffff:198.51.100.4","force":true}`, jsonType, 409, `…{"code":"lock_out"`},
		{"own login's neighbour in the same /64", "POST", "/v1/ban", `{"address":"2001:db8::1","session":"2001:db8::2"}`, jsonType, 409, `…{"code":"lock_out"`},
		{"protected", "POST", "/v1/ban", `{"address":"203.0.113.7"}`, jsonType, 409, `…{"code":"protected"`},
		{"unban of nothing", "POST", "/v1/unban", `{}`, jsonType, 400, `…exactly one of`},
		{"unban of two things", "POST", "/v1/unban", `{"all":true,"source":"web1"}`, jsonType, 400, `…exactly one of`},
		{"unban with since alone", "POST", "/v1/unban", `{"all":true,"since":"2026-11-24T10:00:00Z"}`, jsonType, 400, `…since goes with a source`},
		{"unban of an address that is free", "POST", "/v1/unban", `{"address":"192.0.2.7"}`, jsonType, 404, `{"code":"not_found","message":"nothing to unban"}`},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			var header []string
			if tt.contentType != "" {
				header = []string{"Content-Type", tt.contentType}
			}
			status, got := do(t, c, tt.method, tt.path, tt.body, header...)
			part, isPart := strings.CutPrefix(tt.want, "…")
			if status != tt.status || isPart && !strings.Contains(got, part) || !isPart && got != tt.want+"\n" && strings.Join(strings.Fields(got), "") != tt.want {
				t.Errorf("got %d %s\nwant %d %s", status, got, tt.status, tt.want)
			}
		})
	}
	if n := fake.Changes(); n != 0 {
		t.Errorf("%d changes by refused requests", n)
	}
}

func TestClientRoundTrip(t *testing.T) {
	fake := &controltest.Fake{}
	o := options(t, fake)
	serve(t, o)
	c := client(t, o.Socket)
	ctx := t.Context()
	if err := c.Ping(ctx); err != nil {
		t.Fatal(err)
	}
	target, err := control.ParseTarget("2001:db8:1::7")
	if err != nil {
		t.Fatal(err)
	}
	forever := control.Seconds(-1)
	res, err := c.Ban(ctx, control.BanRequest{Address: target, For: &forever, Reason: "quote \" <é>"})
	if err != nil || !res.Changed || res.Ban.End != nil || res.Ban.Address.String() != "2001:db8:1::/64" {
		t.Fatalf("Ban = %+v, %v", res, err)
	}
	hour := control.Seconds(3600)
	if res, err = c.Ban(ctx, control.BanRequest{Address: target, For: &hour}); err != nil || res.Changed {
		t.Fatalf("a shorter ban changed something: %+v, %v", res, err)
	}
	bans, err := c.Bans(ctx, "manual")
	if err != nil || len(bans) != 1 || bans[0].Reason != "quote \" <é>" || !bans[0].Start.Equal(controltest.Now) {
		t.Fatalf("Bans = %+v, %v", bans, err)
	}
	e, err := c.Explain(ctx, target)
	if err != nil || !e.Banned || e.NeverBan != "" {
		t.Fatalf("Explain = %+v, %v", e, err)
	}
	if n, err := c.Unban(ctx, control.UnbanRequest{Address: target}); err != nil || n.Unbanned != 1 {
		t.Fatalf("Unban = %+v, %v", n, err)
	}
	var refused *control.Error
	if _, err = c.Unban(ctx, control.UnbanRequest{Address: target}); !errors.As(err, &refused) || refused.Code != control.CodeNotFound {
		t.Fatalf("second Unban = %v", err)
	}
	fake.FailReload(&control.Error{Code: control.CodeBadConfig, Message: "bad configuration",
		Problems: []control.Problem{{File: "stockade.yaml", Line: 3, Column: 5, Severity: "error", Message: "unknown key"}}})
	if _, err = c.Reload(ctx, control.ReloadRequest{}); !errors.As(err, &refused) || refused.Code != control.CodeBadConfig || len(refused.Problems) != 1 {
		t.Fatalf("Reload = %v", err)
	}
	if _, err := c.Version(ctx); err != nil {
		t.Fatal(err)
	}
	if sources, err := c.Sources(ctx); err != nil || len(sources) != 3 {
		t.Fatalf("Sources = %v, %v", sources, err)
	}
	if jails, err := c.Jails(ctx); err != nil || len(jails) != 2 {
		t.Fatalf("Jails = %v, %v", jails, err)
	}
	fake.Degrade(control.Degraded{Name: "observe_fallback", Cause: "no CAP_NET_ADMIN", Since: controltest.Now})
	if st, err := c.Status(ctx); err != nil || st.State != control.StateDegraded || len(st.Degraded) != 1 {
		t.Fatalf("Status = %+v, %v", st, err)
	}
}

func TestClientOfAbsentDaemon(t *testing.T) {
	dir := folder(t)
	stale := filepath.Join(dir, "stale.sock")
	abandon(t, stale)
	for path, part := range map[string]string{
		filepath.Join(dir, "none.sock"): "no such file",
		stale:                           "connection refused",
	} {
		begin := time.Now()
		_, err := control.Dial(t.Context(), path)
		var gone *control.UnreachableError
		if !errors.As(err, &gone) || !strings.HasPrefix(err.Error(), "no daemon at "+path+": ") ||
			!strings.Contains(err.Error(), part) || strings.Count(err.Error(), path) != 1 || strings.Contains(err.Error(), "\n") {
			t.Errorf("Dial = %v", err)
		}
		if d := time.Since(begin); d > 5*time.Second {
			t.Errorf("took %s", d)
		}
	}
}

// abandon leaves a socket file that nobody listens on.
func abandon(t *testing.T, path string) {
	t.Helper()
	l, err := net.ListenUnix("unix", &net.UnixAddr{Name: path, Net: "unix"})
	if err != nil {
		t.Fatal(err)
	}
	l.SetUnlinkOnClose(false)
	_ = l.Close()
}

func TestSocket(t *testing.T) {
	fake := &controltest.Fake{}
	t.Run("a stale socket is replaced", func(t *testing.T) {
		o := options(t, fake)
		abandon(t, o.Socket)
		serve(t, o)
		if err := client(t, o.Socket).Ping(t.Context()); err != nil {
			t.Error(err)
		}
	})
	t.Run("a live socket is refused and stays", func(t *testing.T) {
		o := options(t, fake)
		serve(t, o)
		if _, err := control.New(o); !errors.Is(err, syscall.EADDRINUSE) {
			t.Errorf("second New = %v", err)
		}
		if err := client(t, o.Socket).Ping(t.Context()); err != nil {
			t.Error(err)
		}
	})
	t.Run("a file that is no socket is refused and stays", func(t *testing.T) {
		o := options(t, fake)
		if err := os.WriteFile(o.Socket, []byte("x"), 0o600); err != nil {
			t.Fatal(err)
		}
		if _, err := control.New(o); err == nil || !strings.Contains(err.Error(), "no socket") {
			t.Errorf("New = %v", err)
		}
		if _, err := os.Stat(o.Socket); err != nil {
			t.Error(err)
		}
	})
	t.Run("a path that is too long is refused", func(t *testing.T) {
		o := options(t, fake)
		o.Socket = "/" + strings.Repeat("x", 107)
		if _, err := control.New(o); err == nil || !strings.Contains(err.Error(), "at most 107") {
			t.Errorf("New = %v", err)
		}
	})
	t.Run("a server that never ran leaves nothing", func(t *testing.T) {
		o := options(t, fake)
		s, err := control.New(o)
		if err != nil {
			t.Fatal(err)
		}
		if err := errors.Join(s.Close(), s.Close()); err != nil {
			t.Error(err)
		}
		if _, err := os.Lstat(o.Socket); !errors.Is(err, fs.ErrNotExist) {
			t.Errorf("socket left behind: %v", err)
		}
	})
	t.Run("a socket that another daemon took over is left to it", func(t *testing.T) {
		o := options(t, fake)
		s, err := control.New(o)
		if err != nil {
			t.Fatal(err)
		}
		if err := os.Remove(o.Socket); err != nil {
			t.Fatal(err)
		}
		other := o
		serve(t, other)
		if err := s.Close(); err != nil {
			t.Error(err)
		}
		if err := client(t, o.Socket).Ping(t.Context()); err != nil {
			t.Error(err)
		}
	})
	t.Run("modes", func(t *testing.T) {
		gid := fmt.Sprint(os.Getegid())
		for _, tt := range []struct {
			group, readGroup string
			mode             fs.FileMode
		}{
			{"", "", 0o600},
			{gid, "", 0o660},
			{gid, gid, 0o666},
			{"", gid, 0o666},
			{"no-such-group", "", 0o600},
		} {
			o := options(t, fake)
			o.Group, o.ReadGroup = tt.group, tt.readGroup
			s, err := control.New(o)
			if err != nil {
				t.Fatal(err)
			}
			info, err := os.Stat(o.Socket)
			if err != nil {
				t.Fatal(err)
			}
			if info.Mode().Perm() != tt.mode {
				t.Errorf("group %q, read group %q: mode %o, want %o", tt.group, tt.readGroup, info.Mode().Perm(), tt.mode)
			}
			if err := s.Close(); err != nil {
				t.Error(err)
			}
		}
	})
}

func TestStopDoesNotWaitForASlowService(t *testing.T) {
	fake := &controltest.Fake{}
	hanging, release := fake.Hang()
	defer release()
	o := options(t, fake)
	s, err := control.New(o)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- s.Run(ctx) }()
	c := client(t, o.Socket)
	asked := make(chan error, 1)
	go func() {
		_, err := c.Status(t.Context())
		asked <- err
	}()
	<-hanging
	if err := client(t, o.Socket).Ping(t.Context()); err != nil {
		t.Fatal(err)
	}
	cancel()
	select {
	case err := <-done:
		if err != nil {
			t.Errorf("Run = %v", err)
		}
	case <-time.After(20 * time.Second):
		t.Fatal("Run does not end")
	}
	if err := <-asked; err == nil {
		t.Error("the hanging request succeeded")
	}
}
