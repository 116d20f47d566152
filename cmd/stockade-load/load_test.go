package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"
)

// lines runs a load to standard output and returns what it wrote.
func lines(t *testing.T, o options) []string {
	t.Helper()
	o.to = "-"
	if o.framing == "" {
		o.framing = "lf"
	}
	l, err := newLoad(o)
	if err != nil {
		t.Fatal(err)
	}
	var out, bar bytes.Buffer
	r, err := l.run(t.Context(), &out, &bar)
	if err != nil {
		t.Fatal(err)
	}
	list := strings.Split(strings.TrimSuffix(out.String(), "\n"), "\n")
	if r.lines != o.count || len(list) != o.count || r.bytes != out.Len()-o.count {
		t.Fatalf("reported %d lines and %d bytes; wrote %d lines and %d bytes with their ends; want %d lines",
			r.lines, r.bytes, len(list), out.Len(), o.count)
	}
	if bar.Len() != 0 {
		t.Fatalf("a progress bar outside a terminal: %q", bar.String())
	}
	return list
}

func TestEveryLineHasItsNumber(t *testing.T) {
	for i, line := range lines(t, options{count: 1000, addresses: 7, failures: 0.5}) {
		if !strings.Contains(line, fmt.Sprintf("[%d]: ", i+1)) {
			t.Fatalf("line %d is %q", i+1, line)
		}
	}
}

func TestShareAndAddresses(t *testing.T) {
	failed := regexp.MustCompile(`Failed password for invalid user admin\d+ from (\S+) port`)
	for _, c := range []struct {
		failures  float64
		addresses int
	}{{1, 1}, {1, 500}, {0.2, 50}, {0.001, 2}, {0.3333, 10}, {0, 1}} {
		seen := make(map[string]int)
		total := 0
		for _, line := range lines(t, options{count: 10000, addresses: c.addresses, failures: c.failures}) {
			if m := failed.FindStringSubmatch(line); m != nil {
				total++
				seen[m[1]]++
			}
		}
		if want := int(c.failures * 10000); total < want || total > want+1 {
			t.Errorf("-failures %v: %d of 10000 lines, want %d", c.failures, total, want)
		}
		if want := min(c.addresses, total); len(seen) != want {
			t.Errorf("-failures %v: %d addresses, want %d", c.failures, len(seen), want)
		}
		for addr, n := range seen {
			if want := total / len(seen); n < want || n > want+1 {
				t.Errorf("-failures %v: %s has %d failures, want %d", c.failures, addr, n, want)
			}
		}
	}
}

func TestAddress(t *testing.T) {
	for i, want := range map[int]string{0: "198.18.0.0", 255: "198.18.0.255", 256: "198.18.1.0", 1<<17 - 1: "198.19.255.255"} {
		if got := address(i).String(); got != want {
			t.Errorf("address %d is %s, want %s", i, got, want)
		}
	}
}

func TestTemplates(t *testing.T) {
	file := filepath.Join(t.TempDir(), "templates")
	text := "one {n} {addr}\r\n\ntwo {n} {other} {\n<38>{stamp} three"
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	list := lines(t, options{count: 4, addresses: 2, failures: 1, template: file})
	want := []string{`one 1 198\.18\.0\.0`, `two 2 {other} {`, `<38>[A-Z][a-z]{2} [ \d]\d \d\d:\d\d:\d\d three`, `one 4 198\.18\.0\.1`}
	for i := range want {
		if !regexp.MustCompile("^" + want[i] + "$").MatchString(list[i]) {
			t.Errorf("line %d is %q, want %q", i+1, list[i], want[i])
		}
	}
}

func TestLongLineIsCut(t *testing.T) {
	file := filepath.Join(t.TempDir(), "templates")
	if err := os.WriteFile(file, bytes.Repeat([]byte("x"), 3*maxLine), 0o600); err != nil {
		t.Fatal(err)
	}
	if got := len(lines(t, options{count: 1, addresses: 1, failures: 1, template: file})[0]); got != maxLine {
		t.Errorf("a line of %d bytes, want %d", got, maxLine)
	}
}

func TestBadOptions(t *testing.T) {
	good := options{to: "udp:127.0.0.1:514", framing: "lf", count: 1, addresses: 1, failures: 1}
	empty := filepath.Join(t.TempDir(), "empty")
	if err := os.WriteFile(empty, []byte("\n\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		name, want string
		change     func(*options)
	}{
		{"no target", "want udp:HOST:PORT", func(o *options) { o.to = "" }},
		{"unknown transport", `unknown transport "http"`, func(o *options) { o.to = "http://x" }},
		{"count of zero", "-count 0: must be at least 1", func(o *options) { o.count = 0 }},
		{"no address", "between 1 and 131072", func(o *options) { o.addresses = 0 }},
		{"too many addresses", "between 1 and 131072", func(o *options) { o.addresses = 1<<17 + 1 }},
		{"share above one", "between 0 and 1", func(o *options) { o.failures = 1.1 }},
		{"negative rate", "must not be negative", func(o *options) { o.rate = -1 }},
		{"unknown framing", "one of lf, octet", func(o *options) { o.framing = "nul" }},
		{"missing template", "no such file", func(o *options) { o.template = filepath.Join(t.TempDir(), "x") }},
		{"empty template", "holds no line", func(o *options) { o.template = empty }},
	} {
		o := good
		c.change(&o)
		if _, err := newLoad(o); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: error %v, want one with %q", c.name, err, c.want)
		}
	}
	if _, err := newLoad(good); err != nil {
		t.Error(err)
	}
}

func TestRate(t *testing.T) {
	begin := time.Now()
	lines(t, options{count: 100, addresses: 1, failures: 1, rate: 1000})
	if took := time.Since(begin); took < 90*time.Millisecond {
		t.Errorf("100 lines at 1000 a second took %s", took)
	}
}

// ending is a writer whose reader ends the run once it has seen enough.
type ending struct {
	bytes.Buffer
	cancel context.CancelFunc
}

func (e *ending) Write(p []byte) (int, error) {
	e.cancel()
	return e.Buffer.Write(p)
}

func TestInterrupted(t *testing.T) {
	l, err := newLoad(options{to: "-", framing: "lf", count: 1 << 30, addresses: 1, failures: 1})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	out := &ending{cancel: cancel}
	r, err := l.run(ctx, out, &bytes.Buffer{})
	if err != nil {
		t.Fatal(err)
	}
	if n := bytes.Count(out.Bytes(), []byte("\n")); n != r.lines || n == 0 {
		t.Errorf("%d lines were written and %d reported", n, r.lines)
	}
}

// failing is a writer that takes nothing.
type failing struct{}

var errFull = errors.New("the disk is full")

func (failing) Write([]byte) (int, error) { return 0, errFull }

func TestOutputFails(t *testing.T) {
	l, err := newLoad(options{to: "-", framing: "lf", count: 1000, addresses: 1, failures: 1})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := l.run(t.Context(), failing{}, &bytes.Buffer{}); !errors.Is(err, errFull) {
		t.Errorf("error %v, want %v", err, errFull)
	}
}

func TestNobodyListens(t *testing.T) {
	l, err := newLoad(options{to: "unixgram:" + filepath.Join(t.TempDir(), "none"), framing: "lf", count: 1, addresses: 1})
	if err != nil {
		t.Fatal(err)
	}
	var at *net.OpError
	if _, err := l.run(t.Context(), nil, &bytes.Buffer{}); !errors.As(err, &at) {
		t.Errorf("error %v, want one of the network", err)
	}
}
