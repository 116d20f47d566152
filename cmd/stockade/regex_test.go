package main

import (
	"bytes"
	"io"
	"maps"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/iotest"

	"stockade/jails/filter"
)

func TestEachLine(t *testing.T) {
	long := strings.Repeat("x", 3*maxRegexLine)
	tests := []struct {
		name, in string
		want     []string
	}{
		{"empty", "", nil},
		{"no newline at the end", "a\nb", []string{"a", "b"}},
		{"empty lines stay", "a\n\nb\n", []string{"a", "", "b"}},
		{"carriage returns", "a\r\nb\r\n", []string{"a", "b"}},
		{"a line that is too long is cut, the next one whole", long + "\nb\n", []string{long[:maxRegexLine], "b"}},
		{"a long last line", "a\n" + long, []string{"a", long[:maxRegexLine]}},
		{"exactly the limit", long[:maxRegexLine] + "\nb", []string{long[:maxRegexLine], "b"}},
		{"bytes that are no text", "\x00\xff\n", []string{"\x00\xff"}},
	}
	for _, tt := range tests {
		for _, r := range []string{"whole", "by halves"} {
			in := iotest.HalfReader(strings.NewReader(tt.in))
			if r == "whole" {
				in = strings.NewReader(tt.in)
			}
			var got []string
			if err := eachLine(in, func(line []byte) error {
				got = append(got, string(line))
				return nil
			}); err != nil {
				t.Fatal(err)
			}
			if strings.Join(got, "\n") != strings.Join(tt.want, "\n") || len(got) != len(tt.want) {
				t.Errorf("%s, %s: %d lines, want %d", tt.name, r, len(got), len(tt.want))
			}
		}
	}
	if err := eachLine(iotest.ErrReader(bytes.ErrTooLarge), nil); err == nil {
		t.Error("a read error is lost")
	}
}

func TestSplitOptions(t *testing.T) {
	tests := []struct {
		in, name string
		options  map[string]string
		fault    string
	}{
		{in: "sshd", name: "sshd"},
		{in: "sshd[mode=aggressive]", name: "sshd", options: map[string]string{"mode": "aggressive"}},
		{in: `sshd[a="1", b='2']`, name: "sshd", options: map[string]string{"a": "1", "b": "2"}},
		{in: "sshd[mode=aggressive", fault: "no ]"},
		{in: "sshd[mode]", fault: "key=value"},
		{in: "sshd[=x]", fault: "key=value"},
	}
	for _, tt := range tests {
		name, options, err := splitOptions(tt.in)
		if tt.fault != "" {
			if err == nil || !strings.Contains(err.Error(), tt.fault) {
				t.Errorf("%s: error %v, want %q", tt.in, err, tt.fault)
			}
			continue
		}
		if err != nil || name != tt.name || !maps.Equal(options, tt.options) {
			t.Errorf("%s: %q %v %v", tt.in, name, options, err)
		}
	}
}

func TestMeaningOfThePattern(t *testing.T) {
	for pattern, want := range map[string]struct{ regex, file bool }{
		"sshd":                          {false, false},
		"sshd[mode=aggressive]":         {false, false},
		"^<HOST> failed":                {true, false},
		"two words":                     {true, false},
		"/etc/fail2ban/filter.d/x.conf": {false, true},
		"./x.conf[mode=extra]":          {false, true},
		"fail2ban:x.conf":               {false, true},
		"^<HOST> GET /x":                {true, true}, // a regular expression wins
	} {
		var o regexOptions
		if err := o.read([]string{"-", pattern}); err != nil {
			t.Fatal(err)
		}
		if o.patternIsRegex != want.regex || o.isFile() != want.file {
			t.Errorf("%q: regex %t, file %t", pattern, o.patternIsRegex, o.isFile())
		}
	}
}

func TestOutOfOneFailure(t *testing.T) {
	v := verdict{match: filter.Match{
		Addr: netip.MustParseAddr("2001:db8::7"), Bits: -1, User: "o'k\x1b", Users: []string{"a", "b"}, Port: "22", Attempts: 2,
		Fields: []filter.Field{{Name: "method", Value: "password"}},
	}}
	for what, want := range map[string]string{
		"ip": "2001:db8::7", "ID": "2001:db8::7", "host": "2001:db8::7", "ip6": "2001:db8::7", "ip4": "", "fport": "22", "users": "a, b",
		"method": "password", "nothing": "", "time": "", "attempts": "2", "msg": "the line", "<ip>:<F-PORT/> <F-USER>": `2001:db8::7:22 o'k\x1b`,
		"<ip> <": "2001:db8::7 <", "row": "['2001:db8::7',\tnull,\t{'ip6': '2001:db8::7', 'user': 'o\\'k\\x1b', 'fport': '22', 'method': 'password'}],",
	} {
		if got := v.out(what, []byte("the line")); got != want {
			t.Errorf("%s: %q, want %q", what, got, want)
		}
	}
}

func TestProgressOfABigLog(t *testing.T) {
	path := filepath.Join(t.TempDir(), "big.log")
	f, err := os.Create(path)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = f.Close() }()
	if err := f.Truncate(bigLog); err != nil {
		t.Fatal(err)
	}
	var screen bytes.Buffer
	p := newProgress(f, &bar{w: &screen, on: true})
	if _, err := io.Copy(io.Discard, p); err != nil {
		t.Fatal(err)
	}
	if n := strings.Count(screen.String(), "\r"); n < 2 || n > bigLog/progressStep+1 || !strings.Contains(screen.String(), "100 % of 16.8 MB") {
		t.Errorf("%d times: %q", n, screen.String())
	}
	screen.Reset()
	if _, err := io.Copy(io.Discard, newProgress(strings.NewReader(strings.Repeat("x", 2*progressStep)), &bar{w: &screen, on: true})); err != nil || screen.Len() > 0 {
		t.Errorf("of what is no big file: %q %v", screen.String(), err)
	}
}
