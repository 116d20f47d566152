package admin

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/goccy/go-yaml"

	"stockade/cmd/stockade/e2e/rig"
)

// requests are all that the API has, as METHOD PATH, from its description.
func requests(t *testing.T) (list []string) {
	t.Helper()
	text, err := os.ReadFile("../../../../examples/openapi.yaml")
	if err != nil {
		t.Fatal(err)
	}
	var doc struct{ Paths map[string]map[string]any }
	if err := yaml.Unmarshal(text, &doc); err != nil {
		t.Fatal(err)
	}
	for path, methods := range doc.Paths {
		for method := range methods {
			if m := strings.ToUpper(method); m == "GET" || m == "POST" {
				list = append(list, m+" "+strings.ReplaceAll(path, "{jail}", "app"))
			}
		}
	}
	if slices.Sort(list); len(list) < 20 {
		t.Fatalf("%d requests: %q", len(list), list)
	}
	return list
}

// TestT9OtherUsersAreRefused lets a plain user, and one of the readers' group, try all requests of the API.
func TestT9OtherUsersAreRefused(t *testing.T) {
	rig.RequireRoot(t)
	t.Run("without a group the socket is closed", func(t *testing.T) {
		a := newAttacked(t, "")
		for range 100 {
			if c, err := a.dialAs(plain); !errors.Is(err, syscall.EACCES) {
				if err == nil {
					c.Close()
				}
				t.Fatalf("dial = %v", err)
			}
		}
		a.unchanged(t)
	})
	t.Run("with readers each request is judged", func(t *testing.T) {
		a := newAttacked(t, fmt.Sprintf(", read_group: %q", fmt.Sprint(readers)))
		stranger := over(t, func() (net.Conn, error) { return a.dialAs(plain) })
		reader := over(t, func() (net.Conn, error) { return a.dialAs(plain, 4, readers) })
		refused, read := 0, 0
		for _, r := range requests(t) {
			method, path, _ := strings.Cut(r, " ")
			for _, body := range []string{"", "{}", `{"all":true}`, `{"address":"198.18.0.9"}`} {
				if status := ask(t, stranger, method, "http://stockade"+path, body, "Content-Type", "application/json"); status != http.StatusForbidden {
					t.Errorf("a plain user's %s %s: %d", r, body, status)
				}
				status := ask(t, reader, method, "http://stockade"+path, body, "Content-Type", "application/json")
				if (method == "POST") != (status == http.StatusForbidden) {
					t.Errorf("a reader's %s %s: %d", r, body, status)
				}
				refused++
				if status == http.StatusOK {
					read++
				}
			}
		}
		t.Logf("a plain user was refused %d of %d times; a reader read %d times and changed nothing", refused, refused, read)
		a.unchanged(t)
	})
}

// TestT9CrossOriginRequestsChangeNothing sends 1,000 requests as a web page in the admin's browser could,
// half of them to the socket as root and half over TCP with the token that a browser should not have.
func TestT9CrossOriginRequestsChangeNothing(t *testing.T) {
	a := newAttacked(t, "")
	headers := [][]string{
		{"Sec-Fetch-Site", "cross-site"}, {"Sec-Fetch-Site", "same-site"},
		{"Origin", "https://example.org"}, {"Origin", "null"}, {"Origin", "http://" + a.tcp + ".example.org"},
	}
	types := []string{"application/json", "text/plain", "application/x-www-form-urlencoded", "multipart/form-data"}
	bodies := [][2]string{
		{"/v1/ban", `{"address":"198.18.0.7"}`}, {"/v1/unban", `{"all":true}`}, {"/v1/reload", `{}`},
		{"/v1/approve", `{"source":"here"}`}, {"/v1/log", `{"level":"debug"}`},
	}
	local := over(t, func() (net.Conn, error) { return net.Dial("unix", a.Socket) })
	remote := over(t, a.dialTCP)
	by := map[int]int{}
	for i := range 1000 {
		c, base, more := local, "http://stockade", headers[i%len(headers)]
		if i%2 == 1 {
			c, base = remote, "http://"+a.tcp
			more = append([]string{"Authorization", "Bearer " + token}, more...)
			if i%7 == 0 {
				more = []string{"Authorization", "Bearer " + token, "Host", "rebound.example.org"}
			}
		}
		r := bodies[i/10%len(bodies)]
		status := ask(t, c, "POST", base+r[0], r[1], append([]string{"Content-Type", types[i%len(types)]}, more...)...)
		if by[status]++; status != http.StatusForbidden && status != http.StatusMisdirectedRequest {
			t.Errorf("request %d to %s with %q: %d", i, r[0], more, status)
		}
	}
	t.Logf("answers by status: %v", by)
	a.unchanged(t)
	if status := ask(t, remote, "GET", "http://"+a.tcp+"/v1/bans", "", "Authorization", "Bearer "+token); status != http.StatusOK {
		t.Errorf("the token's own request: %d", status)
	}
}

// TestT10TyposChangeNothing makes an operator's mistakes: patterns that ban whom a client names, bans of
// everybody and of himself, and a configuration of which one line is wrong.
func TestT10TyposChangeNothing(t *testing.T) {
	a := newAttacked(t, "")
	for _, tt := range []struct{ name, with, want string }{
		{"an address from anywhere", `'.*<IP>.*'`, "$"},
		{"an address from anywhere, by its right name", `'.*<HOST>.*'`, "it takes an address from any place of the line"},
		{"nothing but an address", `'<ADDR>'`, "it takes an address from any place of the line"},
		{"a pattern that matches the empty line", `'^(?:failed from <HOST>)?'`, "it matches the empty line"},
		{"a pattern without an address", `'^failed$'`, "it names no address"},
		{"half a bracket", `'^failed (login from <HOST>$'`, "app"},
	} {
		a.Rewrite(strings.Replace(a.good, `'^failed login from <HOST>$'`, tt.with, 1))
		for _, verb := range []string{"check", "reload"} {
			out, code := a.Run(verb)
			if code != 2 || !strings.Contains(out, a.Config+":6:") || !strings.Contains(strings.TrimSuffix(out, "\n")+"$", tt.want) {
				t.Errorf("%s: %s exits with %d:\n%s", tt.name, verb, code, out)
			}
		}
	}
	// All or nothing: the good half of a bad file is not used.
	a.Rewrite(strings.NewReplacer("maxretry: 3", "maxretry: 2", "quota: none", "quota: nonne").Replace(a.good))
	if out, code := a.Run("reload"); code != 2 || !strings.Contains(out, a.Config+":4:") {
		t.Errorf("half a reload exits with %d:\n%s", code, out)
	}
	a.Rewrite(a.good)
	t.Setenv("SSH_CONNECTION", "198.18.7.7 50000 198.18.7.1 22")
	for _, args := range []string{
		"ban 0.0.0.0/0", "ban ::/0", "ban 0.0.0.0/0 --force", "ban ::/0 --force", "ban 128.0.0.0/1",
		"ban 198.18.7.7", "ban 198.18.7.0/24 --force", "ban ::ffff:198.18.7.7", "ban 127.0.0.1 --force",
	} {
		if out, code := a.Run(strings.Fields(args)...); code != 1 || !strings.HasPrefix(out, "stockade: ") {
			t.Errorf("%s exits with %d: %s", args, code, out)
		}
	}
	a.unchanged(t)
}

// TestC13OthersGoOnBesideSlowClients holds 1,000 connections open that never finish a request, sends what
// is too large or of another kind, and measures what others wait and what the daemon grows by.
func TestC13OthersGoOnBesideSlowClients(t *testing.T) {
	a := newAttacked(t, "")
	pings := func() (p99 time.Duration) {
		t.Helper()
		c, err := a.Dial()
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		took := make([]time.Duration, 300)
		for i := range took {
			begin := time.Now()
			if err := c.Ping(t.Context()); err != nil {
				t.Fatal(err)
			}
			took[i] = time.Since(begin)
		}
		slices.Sort(took)
		return took[len(took)*99/100]
	}
	idle := pings()
	before := a.Memory("VmRSS")
	for i := range 1000 {
		c, err := net.Dial("unix", a.Socket)
		if i%2 == 1 {
			c, err = a.dialTCP()
		}
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		_, _ = io.WriteString(c, "POST /v1/ban HTTP/1.1\r\nHo") // one too many is closed at once
	}
	beside := pings()
	grown := a.Memory("VmRSS") - before
	t.Logf("1,000 slow clients: ping p99 %s, idle %s; %d KiB more memory", beside, idle, grown>>10)
	if limit := max(500*time.Millisecond, 10*idle); beside > limit {
		t.Errorf("others wait %s, want at most %s", beside, limit)
	}
	if grown > 5*16<<20 {
		t.Errorf("the daemon grew by %d MiB", grown>>20)
	}

	big := append([]byte(`{"reason":"`), bytes.Repeat([]byte("x"), 2<<20)...)
	head := "POST /v1/ban HTTP/1.1\r\nHost: " + a.tcp + "\r\nContent-Type: application/json\r\nAuthorization: Bearer " + token + "\r\n"
	for _, tt := range []struct{ name, request, want string }{
		{"a body above 1 MiB", fmt.Sprintf("%sContent-Length: %d\r\n\r\n%s", head, len(big), big), "413"},
		{"a chunked body above 1 MiB", fmt.Sprintf("%sTransfer-Encoding: chunked\r\n\r\n%x\r\n%s\r\n0\r\n\r\n", head, len(big), big), "413"},
		{"a body in gzip", head + "Content-Encoding: gzip\r\nContent-Length: 2\r\n\r\n{}", "415"},
		{"a header of 1 MiB", "GET /v1/ping HTTP/1.1\r\nHost: " + a.tcp + "\r\nX: " + string(big[:1<<20]) + "\r\n\r\n", "431"},
		{"the preface of h2c", "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", "4"},
	} {
		for _, dial := range []func() (net.Conn, error){a.dialTCP, func() (net.Conn, error) { return net.Dial("unix", a.Socket) }} {
			c, err := dial()
			if err != nil {
				t.Fatal(err)
			}
			_ = c.SetDeadline(time.Now().Add(30 * time.Second))
			go func() { _, _ = io.WriteString(c, tt.request) }()
			answer := make([]byte, len("HTTP/1.1 413"))
			if _, err := io.ReadFull(c, answer); err != nil || !strings.HasPrefix(string(answer), "HTTP/1.1 "+tt.want) {
				t.Errorf("%s: %q, %v, want %s", tt.name, answer, err, tt.want)
			}
			c.Close()
		}
	}
	a.unchanged(t)
}
