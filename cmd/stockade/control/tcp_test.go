package control_test

import (
	"bufio"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"math/big"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"

	"stockade/cmd/stockade/control"
	"stockade/cmd/stockade/control/controltest"
)

const secret = "correct-horse-battery-staple"

// ca is a certificate authority in a folder.
type ca struct {
	t    *testing.T
	dir  string
	cert *x509.Certificate
	key  *ecdsa.PrivateKey
}

func newCA(t *testing.T) *ca {
	t.Helper()
	c := &ca{t: t, dir: folder(t)}
	c.cert, c.key = c.sign("ca", &x509.Certificate{IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign})
	return c
}

// sign writes name.pem and name.key; the first certificate signs itself.
func (c *ca) sign(name string, template *x509.Certificate) (*x509.Certificate, *ecdsa.PrivateKey) {
	c.t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		c.t.Fatal(err)
	}
	template.SerialNumber = big.NewInt(time.Now().UnixNano())
	template.Subject = pkix.Name{CommonName: name}
	template.NotBefore = time.Now().Add(-time.Hour)
	if template.NotAfter.IsZero() {
		template.NotAfter = time.Now().Add(time.Hour)
	}
	parent, parentKey := c.cert, c.key
	if parent == nil {
		parent, parentKey = template, key
	}
	der, err := x509.CreateCertificate(rand.Reader, template, parent, &key.PublicKey, parentKey)
	if err != nil {
		c.t.Fatal(err)
	}
	keyDER, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		c.t.Fatal(err)
	}
	c.write(name+".pem", pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}))
	c.write(name+".key", pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: keyDER}))
	cert, err := x509.ParseCertificate(der)
	if err != nil {
		c.t.Fatal(err)
	}
	return cert, key
}

func (c *ca) write(name string, data []byte) {
	c.t.Helper()
	if err := os.WriteFile(c.path(name), data, 0o600); err != nil {
		c.t.Fatal(err)
	}
}

func (c *ca) path(name string) string { return filepath.Join(c.dir, name) }

func (c *ca) server() {
	c.sign("server", &x509.Certificate{DNSNames: []string{"stockade.lan"}, IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)},
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth}})
}

func (c *ca) client(name string) {
	c.sign(name, &x509.Certificate{DNSNames: []string{name}, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth}})
}

// tcpOptions are TLS with a client CA and a token.
func (c *ca) tcpOptions() control.TCPOptions {
	c.server()
	c.write("token", []byte(secret+"\n"))
	return control.TCPOptions{Listen: "127.0.0.1:0", Cert: c.path("server.pem"), Key: c.path("server.key"),
		ClientCA: c.path("ca.pem"), TokenFile: c.path("token")}
}

// serveTCP runs a server until the test ends and returns its address over TCP.
func serveTCP(t *testing.T, fake *controltest.Fake, tcp control.TCPOptions) string {
	t.Helper()
	o := options(t, fake)
	o.TCP = tcp
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
	})
	return s.TCPAddr().String()
}

// web is a client over TLS; name "" shows no certificate.
func (c *ca) web(name, addr string) *http.Client {
	pool := x509.NewCertPool()
	pool.AddCert(c.cert)
	conf := &tls.Config{RootCAs: pool, ServerName: "127.0.0.1"}
	if name != "" {
		pair, err := tls.LoadX509KeyPair(c.path(name+".pem"), c.path(name+".key"))
		if err != nil {
			c.t.Fatal(err)
		}
		conf.Certificates = []tls.Certificate{pair}
	}
	return plain(c.t, addr, conf)
}

// plain is a client that connects to addr whatever the host of its request.
func plain(t *testing.T, addr string, conf *tls.Config) *http.Client {
	dial := func(ctx context.Context, _, _ string) (net.Conn, error) {
		return new(net.Dialer).DialContext(ctx, "tcp", addr)
	}
	tr := &http.Transport{TLSClientConfig: conf, DialContext: dial}
	t.Cleanup(tr.CloseIdleConnections)
	return &http.Client{Transport: tr, Timeout: 20 * time.Second}
}

// ask makes one request and returns the status and the answer; 0 when there was none.
func ask(t *testing.T, c *http.Client, method, url, body string, header ...string) (int, string) {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), method, url, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	for i := 0; i+1 < len(header); i += 2 {
		if header[i] == "Host" {
			req.Host = header[i+1]
			continue
		}
		req.Header.Set(header[i], header[i+1])
	}
	res, err := c.Do(req)
	if err != nil {
		return 0, err.Error()
	}
	defer func() { _ = res.Body.Close() }()
	answer, err := io.ReadAll(res.Body)
	if err != nil {
		t.Fatal(err)
	}
	return res.StatusCode, string(answer)
}

func TestTCPRoles(t *testing.T) {
	fake := &controltest.Fake{}
	c := newCA(t)
	tcp := c.tcpOptions()
	c.client("reader")
	other := newCA(t)
	other.client("stranger")
	addr := serveTCP(t, fake, tcp)
	base := "https://" + addr
	bearer := []string{"Authorization", "Bearer " + secret}
	ban := []string{"Content-Type", jsonType}
	ban7 := `{"address":"192.0.2.7"}`
	stranger := c.web("", addr)
	pair, err := tls.LoadX509KeyPair(other.path("stranger.pem"), other.path("stranger.key"))
	if err != nil {
		t.Fatal(err)
	}
	foreign := c.web("", addr)
	foreign.Transport.(*http.Transport).TLSClientConfig.Certificates = []tls.Certificate{pair}
	tests := []struct {
		name   string
		client *http.Client
		method string
		path   string
		header []string
		status int
	}{
		{"nobody may look", stranger, "GET", "/v1/status", nil, 401},
		{"nobody may scrape", stranger, "GET", "/metrics", nil, 401},
		{"nobody may ban", stranger, "POST", "/v1/ban", ban, 401},
		{"a wrong token is nobody's", stranger, "GET", "/v1/status", []string{"Authorization", "Bearer " + secret + "x"}, 401},
		{"a token as a password is nobody's", stranger, "GET", "/v1/status", []string{"Authorization", "Basic " + secret}, 401},
		{"the token looks", stranger, "GET", "/v1/status", bearer, 200},
		{"the token scrapes", stranger, "GET", "/metrics", bearer, 200},
		{"a certificate looks", c.web("reader", addr), "GET", "/v1/bans", nil, 200},
		{"a certificate scrapes", c.web("reader", addr), "GET", "/metrics", nil, 200},
		{"a certificate does not ban", c.web("reader", addr), "POST", "/v1/ban", ban, 403},
		{"another CA's certificate has no answer", foreign, "GET", "/v1/status", nil, 0},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			body := ""
			if tt.method == "POST" {
				body = ban7
			}
			if status, answer := ask(t, tt.client, tt.method, base+tt.path, body, tt.header...); status != tt.status {
				t.Errorf("%d %s, want %d", status, answer, tt.status)
			}
		})
	}
	if fake.Changes() != 0 {
		t.Error("somebody changed something")
	}
	if status, answer := ask(t, stranger, "POST", base+"/v1/ban", ban7, append(ban, bearer...)...); status != 200 {
		t.Errorf("ban with the token: %d %s", status, answer)
	}
	if fake.Changes() != 1 {
		t.Error("the token's ban changed nothing")
	}
}

func TestTCPHosts(t *testing.T) {
	c := newCA(t)
	addr := serveTCP(t, &controltest.Fake{}, c.tcpOptions())
	_, port, _ := net.SplitHostPort(addr)
	for host, want := range map[string]int{
		addr: 200, "127.0.0.1": 200, "localhost:" + port: 200, "stockade.lan": 200, "STOCKADE.lan:" + port: 200,
		"evil.example.org:" + port: 421, "192.0.2.1": 421, "stockade.lan.example.org": 421, "[::1]:" + port: 421,
	} {
		status, _ := ask(t, c.web("", addr), "GET", "https://"+addr+"/v1/ping", "", "Authorization", "Bearer "+secret, "Host", host)
		if status != want {
			t.Errorf("host %q: %d, want %d", host, status, want)
		}
	}
}

// TestTCPCrossOrigin sends what a page in an administrator's browser could send, with all that the
// browser would add by itself: the certificate, and a token that it should not have.
func TestTCPCrossOrigin(t *testing.T) {
	fake := &controltest.Fake{}
	c := newCA(t)
	tcp := c.tcpOptions()
	c.client("admin")
	addr := serveTCP(t, fake, tcp)
	web := c.web("admin", addr)
	headers := [][]string{
		{"Sec-Fetch-Site", "cross-site"},
		{"Sec-Fetch-Site", "same-site"},
		{"Origin", "https://example.org"},
		{"Origin", "null"},
		{"Origin", "http://" + addr},
		{"Host", "rebound.example.org"},
	}
	types := []string{"application/json", "text/plain", "application/x-www-form-urlencoded", "multipart/form-data"}
	requests := [][3]string{
		{"POST", "/v1/ban", `{"address":"192.0.2.7"}`},
		{"POST", "/v1/unban", `{"all":true}`},
		{"POST", "/v1/reload", `{}`},
		{"GET", "/v1/bans", ""},
		{"OPTIONS", "/v1/ban", ""},
	}
	for i := range 1000 {
		r := requests[i%len(requests)]
		status, body := ask(t, web, r[0], "https://"+addr+r[1], r[2], append([]string{
			"Content-Type", types[i%len(types)], "Authorization", "Bearer " + secret}, headers[i%len(headers)]...)...)
		if status != http.StatusForbidden && status != http.StatusMisdirectedRequest {
			t.Fatalf("request %d: %d %s", i, status, body)
		}
	}
	if n := fake.Changes(); n != 0 {
		t.Errorf("%d changes", n)
	}
}

func TestTCPReplacedFiles(t *testing.T) {
	c := newCA(t)
	tcp := c.tcpOptions()
	addr := serveTCP(t, &controltest.Fake{}, tcp)
	try := func(token string) int {
		web := c.web("", addr)
		defer web.CloseIdleConnections()
		status, _ := ask(t, web, "GET", "https://"+addr+"/v1/ping", "", "Authorization", "Bearer "+token)
		return status
	}
	if status := try(secret); status != 200 {
		t.Fatalf("%d", status)
	}
	c.write("token", []byte("short"))
	touch(t, c.path("token"), time.Now().Add(time.Minute))
	eventually(t, func() bool { return try(secret) == 200 })
	const next = "another-token-that-is-long"
	c.write("token", []byte(next))
	touch(t, c.path("token"), time.Now().Add(2*time.Minute))
	eventually(t, func() bool { return try(next) == 200 && try(secret) == 401 })
}

func touch(t *testing.T, path string, at time.Time) {
	t.Helper()
	if err := os.Chtimes(path, at, at); err != nil {
		t.Fatal(err)
	}
}

func eventually(t *testing.T, ok func() bool) {
	t.Helper()
	for begin := time.Now(); !ok(); {
		if time.Since(begin) > 60*time.Second {
			t.Fatal("not within a minute")
		}
		time.Sleep(20 * time.Millisecond)
	}
}

func TestTCPRefusesUnsafeOptions(t *testing.T) {
	c := newCA(t)
	good := c.tcpOptions()
	c.write("short", []byte("short"))
	c.write("open", []byte(secret))
	if err := os.Chmod(c.path("open"), 0o644); err != nil {
		t.Fatal(err)
	}
	tests := []struct {
		name   string
		change func(*control.TCPOptions)
		want   string
	}{
		{"neither token nor CA", func(o *control.TCPOptions) { o.ClientCA, o.TokenFile = "", "" }, "anyone could unban"},
		{"a short token", func(o *control.TCPOptions) { o.TokenFile = c.path("short") }, "at least 16 bytes"},
		{"a token that others can read", func(o *control.TCPOptions) { o.TokenFile = c.path("open") }, "closed to others"},
		{"no token file", func(o *control.TCPOptions) { o.TokenFile = c.path("none") }, "no such file"},
		{"no certificate file", func(o *control.TCPOptions) { o.Cert = c.path("none") }, "no such file"},
		{"a CA that is none", func(o *control.TCPOptions) { o.ClientCA = c.path("server.key") }, "no certificate in PEM"},
		{"no address", func(o *control.TCPOptions) { o.Listen = "127.0.0.1:x" }, "control listener"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			o := options(t, &controltest.Fake{})
			o.TCP = good
			tt.change(&o.TCP)
			s, err := control.New(o)
			if err == nil {
				_ = s.Close()
			}
			if err == nil || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("New = %v", err)
			}
			if _, err := os.Lstat(o.Socket); err == nil {
				t.Error("the socket was left behind")
			}
		})
	}
}

func TestTCPLimits(t *testing.T) {
	fake := &controltest.Fake{}
	c := newCA(t)
	tcp := c.tcpOptions()
	tcp.Cert, tcp.Key, tcp.ClientCA = "", "", "" // in clear text, on loopback
	addr := serveTCP(t, fake, tcp)
	head := fmt.Sprintf("POST /v1/ban HTTP/1.1\r\nHost: %s\r\nContent-Type: application/json\r\nAuthorization: Bearer %s\r\n", addr, secret)
	big := `{"reason":"` + strings.Repeat("x", 2<<20) + `"}`
	tests := []struct{ name, request, want string }{
		{"body above 1 MiB", fmt.Sprintf("%sContent-Length: %d\r\n\r\n%s", head, len(big), big), "413"},
		{"chunked body above 1 MiB", fmt.Sprintf("%sTransfer-Encoding: chunked\r\n\r\n%x\r\n%s\r\n0\r\n\r\n", head, len(big), big), "413"},
		{"gzip body", head + "Content-Encoding: gzip\r\nContent-Length: 2\r\n\r\n{}", "415"},
		{"header of 1 MiB", "GET /v1/ping HTTP/1.1\r\nHost: " + addr + "\r\nX: " + strings.Repeat("x", 1<<20) + "\r\n\r\n", "431"},
		{"h2c preface, which has no host", "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", "421"},
		{"h2c upgrade", "GET /v1/ping HTTP/1.1\r\nHost: " + addr + "\r\nAuthorization: Bearer " + secret +
			"\r\nConnection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAMAAABkAAQAAP__\r\n\r\n", "200"},
		{"no HTTP", "\x00\x01\x02 nonsense\r\n\r\n", "400"},
		{"smuggled lengths", head + "Content-Length: 2\r\nContent-Length: 3\r\n\r\n{}", "400"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			conn, err := net.Dial("tcp", addr)
			if err != nil {
				t.Fatal(err)
			}
			defer func() { _ = conn.Close() }()
			_ = conn.SetDeadline(time.Now().Add(20 * time.Second))
			go func() { _, _ = io.WriteString(conn, tt.request) }()
			line, err := bufio.NewReader(conn).ReadString('\n')
			if err != nil || !strings.HasPrefix(line, "HTTP/1.1 "+tt.want) {
				t.Errorf("answer %q, %v; want %s", line, err, tt.want)
			}
		})
	}
	if n := fake.Changes(); n != 0 {
		t.Errorf("%d changes", n)
	}
}

// TestTCPSlowClients holds connections open from one address, and asks from it and from another.
func TestTCPSlowClients(t *testing.T) {
	fake := &controltest.Fake{}
	c := newCA(t)
	addr := serveTCP(t, fake, c.tcpOptions())
	heap := func() uint64 {
		runtime.GC()
		var m runtime.MemStats
		runtime.ReadMemStats(&m)
		return m.HeapInuse + m.StackInuse
	}
	before := heap()
	n := 1000
	if testing.Short() {
		n = 300
	}
	for range n {
		s, err := net.Dial("tcp", addr)
		if err != nil {
			t.Fatal(err)
		}
		defer func() { _ = s.Close() }()
		if _, err := s.Write([]byte{22, 3, 1, 0}); err != nil && !errors.Is(err, io.EOF) {
			continue // pushed out already
		}
	}
	web := c.web("", addr)
	var took []time.Duration
	for range 50 {
		web.CloseIdleConnections() // a handshake each time: the way of a newcomer
		begin := time.Now()
		if status, answer := ask(t, web, "GET", "https://"+addr+"/v1/ping", "", "Authorization", "Bearer "+secret); status != 200 {
			t.Fatalf("beside %d slow clients: %d %s", n, status, answer)
		}
		took = append(took, time.Since(begin))
	}
	slices.Sort(took)
	grown := int64(heap()) - int64(before)
	median, worst := took[len(took)/2], took[len(took)-1] // one ping may have waited for a processor
	t.Logf("%d slow clients: ping p50 %s, worst %s, %d KiB more memory", n, median, worst, grown>>10)
	if median > 500*time.Millisecond || worst > 10*time.Second {
		t.Errorf("half of the pings took %s and more, one %s", median, worst)
	}
	if grown > 5*16<<20 {
		t.Errorf("%d slow clients hold %d MiB", n, grown>>20)
	}
}
