package control_test

import (
	"bufio"
	"bytes"
	"fmt"
	"io"
	"net"
	"net/http"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"

	"stockade/cmd/stockade/control"
	"stockade/cmd/stockade/control/controltest"
)

func TestCrossOriginRequestsChangeNothing(t *testing.T) {
	fake := &controltest.Fake{}
	o := options(t, fake)
	serve(t, o)
	c := raw(t, o.Socket)
	headers := [][]string{
		{"Sec-Fetch-Site", "cross-site"},
		{"Sec-Fetch-Site", "same-site"},
		{"Origin", "https://example.org"},
		{"Origin", "null"},
		{"Origin", "http://stockade.example.org"},
	}
	types := []string{"application/json", "text/plain", "application/x-www-form-urlencoded", "multipart/form-data"}
	requests := [][2]string{
		{"/v1/ban", `{"address":"192.0.2.7"}`},
		{"/v1/unban", `{"all":true}`},
		{"/v1/reload", `{}`},
	}
	for i := range 1000 {
		r := requests[i%len(requests)]
		status, body := do(t, c, http.MethodPost, r[0], r[1],
			append([]string{"Content-Type", types[i%len(types)]}, headers[i%len(headers)]...)...)
		if status != http.StatusForbidden || !strings.Contains(body, "cross-origin") {
			t.Fatalf("request %d: %d %s", i, status, body)
		}
	}
	if n := fake.Changes(); n != 0 {
		t.Errorf("%d changes", n)
	}
}

func TestLimits(t *testing.T) {
	fake := &controltest.Fake{}
	o := options(t, fake)
	serve(t, o)
	post := func(body io.Reader, header ...string) string {
		req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, "http://stockade/v1/ban", body)
		if err != nil {
			t.Fatal(err)
		}
		req.Header.Set("Content-Type", "application/json")
		for i := 0; i+1 < len(header); i += 2 {
			req.Header.Set(header[i], header[i+1])
		}
		var out bytes.Buffer
		if err := req.Write(&out); err != nil {
			t.Fatal(err)
		}
		return out.String()
	}
	big := `{"address":"192.0.2.7","reason":"` + strings.Repeat("x", 2<<20) + `"}`
	tests := []struct{ name, request, want string }{
		{"body above 1 MiB", post(strings.NewReader(big)), "413"},
		{"chunked body above 1 MiB", post(io.MultiReader(strings.NewReader(big))), "413"},
		{"gzip body", post(strings.NewReader("{}"), "Content-Encoding", "gzip"), "415"},
		{"header of 1 MiB", "GET /v1/ping HTTP/1.1\r\nHost: stockade\r\nX: " + strings.Repeat("x", 1<<20) + "\r\n\r\n", "431"},
		{"no host", "GET /v1/ping HTTP/1.1\r\n\r\n", "400"},
		{"h2c preface", "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", "400"},
		{"no HTTP", "\x00\x01\x02 nonsense\r\n\r\n", "400"},
		{"nested arrays", post(strings.NewReader(strings.Repeat("[", 1<<19))), "400"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			c, err := net.Dial("unix", o.Socket)
			if err != nil {
				t.Fatal(err)
			}
			defer func() { _ = c.Close() }()
			_ = c.SetDeadline(time.Now().Add(20 * time.Second))
			go func() { _, _ = io.WriteString(c, tt.request) }()
			line, err := bufio.NewReader(c).ReadString('\n')
			if err != nil || !strings.HasPrefix(line, "HTTP/1.1 "+tt.want) {
				t.Errorf("answer %q, %v; want %s", line, err, tt.want)
			}
		})
	}
	if n := fake.Changes(); n != 0 {
		t.Errorf("%d changes", n)
	}
}

func TestSlowClientsDoNotHoldOthersUp(t *testing.T) {
	fake := &controltest.Fake{}
	o := options(t, fake)
	serve(t, o)
	c := client(t, o.Socket)
	heap := func() uint64 {
		runtime.GC()
		var m runtime.MemStats
		runtime.ReadMemStats(&m)
		return m.HeapInuse + m.StackInuse
	}
	before := heap()
	n := 1000
	if testing.Short() {
		n = 200
	}
	for range n {
		s, err := net.Dial("unix", o.Socket)
		if err != nil {
			t.Fatal(err)
		}
		defer func() { _ = s.Close() }()
		if _, err := io.WriteString(s, "POST /v1/ban HTTP/1.1\r\nHo"); err != nil {
			break // closed at once: more than one user may have
		}
	}
	var took []time.Duration
	for range 50 {
		begin := time.Now()
		if err := c.Ping(t.Context()); err != nil {
			t.Fatal(err)
		}
		took = append(took, time.Since(begin))
	}
	slices.Sort(took)
	median, worst := took[len(took)/2], took[len(took)-1] // one ping may have waited for a processor
	grown := int64(heap()) - int64(before)
	t.Logf("%d slow clients: ping p50 %s, worst %s, %d KiB more memory", n, median, worst, grown>>10)
	if median > 500*time.Millisecond || worst > 10*time.Second {
		t.Errorf("half of the pings took %s and more beside %d slow clients, one %s", median, n, worst)
	}
	if grown > 5*16<<20 {
		t.Errorf("%d slow clients hold %d MiB", n, grown>>20)
	}
}

func TestMetrics(t *testing.T) {
	fake := &controltest.Fake{}
	o := options(t, fake)
	serve(t, o)
	c := raw(t, o.Socket)
	status, text := do(t, c, http.MethodGet, "/metrics", "")
	for _, want := range []string{
		`stockade_messages_total{format="rfc3164",listener="local"} 120`,
		`# TYPE stockade_messages_total counter`,
		`stockade_queue_depth 3`,
		`stockade_line_to_ban_seconds_bucket{le="0.01"} 4`,
		`stockade_line_to_ban_seconds_bucket{le="+Inf"} 4`,
		`stockade_build_info{`,
		`go_goroutines `,
	} {
		if !strings.Contains(text, want) {
			t.Errorf("status %d: %q is missing", status, want)
		}
	}
	if strings.Contains(text, "f2b_") {
		t.Error("names of fail2ban exporters without being asked for")
	}
	_, text = do(t, c, http.MethodGet, "/metrics?compat=fail2ban", "")
	for _, want := range []string{
		`f2b_up 1`, `f2b_jail_count 2`, `f2b_jail_failed_total{jail="sshd"} 7`,
		`f2b_config_jail_ban_time{jail="web"} -1`, `f2b_config_jail_max_retries{jail="sshd"} 5`, `stockade_queue_depth 3`,
	} {
		if !strings.Contains(text, want) {
			t.Errorf("compat: %q is missing", want)
		}
	}
}

func Example_escape() {
	fmt.Println(control.Escape("plain é “text”"))
	fmt.Println(control.Escape("clear\x1b[2J and \u009b31m, \xff, \u202e, a\\b"))
	// Output:
	// plain é “text”
	// clear\x1b[2J and \u009b31m, \xff, \u202e, a\b
}
