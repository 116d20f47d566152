package decode

import (
	"bytes"
	"io"
	"testing"
	"time"

	"stockade/receiver/frame"
)

var benchLines = []struct{ name, line string }{
	{"sshd 3164", "<38>Nov 24 06:00:00 web1 sshd[4711]: Failed password for invalid user admin from 192.0.2.7 port 55000 ssh2"},
	{"sshd iso", "<38>2026-11-24T06:00:00.123456+01:00 web1 sshd[4711]: Failed password for invalid user admin from 192.0.2.7 port 55000 ssh2"},
	{"sshd 5424", "<38>1 2026-11-24T06:00:00.123456+01:00 web1 sshd 4711 - - Failed password for invalid user admin from 192.0.2.7 port 55000 ssh2"},
	{"sshd 5424 with origin", `<38>1 2026-11-24T06:00:00.123456+01:00 web1 sshd 4711 - [origin@32473 uid="0" exe="/usr/sbin/sshd" pid="4711"] Failed password for invalid user admin from 192.0.2.7 port 55000 ssh2`},
	{"journald relay", "<38>Nov 24 06:00:00 sshd[4711]: Failed password for invalid user admin from 192.0.2.7 port 55000 ssh2"},
	{"nginx", `<190>Nov 24 06:00:00 web1 nginx: 192.0.2.7 - - [24/Nov/2026:06:00:00 +0100] "GET /login HTTP/1.1" 401 162 "-" "Mozilla/5.0 (X11; Linux x86_64)"`},
	{"RouterOS", "<38>system,error,critical login failure for user root from 192.0.2.7 via ssh"},
	{"Cisco IOS", "<189>45: *Nov 24 06:00:00.123: %SEC_LOGIN-4-LOGIN_FAILED: Login failed [user: admin] [Source: 192.0.2.50]"},
}

func BenchmarkDecode(b *testing.B) {
	now := time.Date(2026, 11, 24, 6, 0, 5, 0, time.UTC)
	for _, l := range benchLines {
		b.Run(l.name, func(b *testing.B) {
			d, frame := New(time.FixedZone("", 3600)), []byte(l.line)
			var m Message
			b.SetBytes(int64(len(frame)))
			b.ReportAllocs()
			for b.Loop() {
				d.Decode(frame, now, &m)
			}
		})
	}
}

// BenchmarkFrameAndDecode takes all lines of benchLines in turn from one LF-framed stream.
func BenchmarkFrameAndDecode(b *testing.B) {
	now := time.Date(2026, 11, 24, 6, 0, 5, 0, time.UTC)
	var data []byte
	for range 200 {
		for _, l := range benchLines {
			data = append(append(data, l.line...), '\n')
		}
	}
	d, src := New(time.FixedZone("", 3600)), bytes.NewReader(data)
	r := frame.NewReader(endless{src}, frame.Options{})
	var m Message
	b.SetBytes(int64(len(data) / 200 / len(benchLines)))
	b.ReportAllocs()
	for b.Loop() {
		f, err := r.Next()
		if err != nil {
			b.Fatal(err)
		}
		d.Decode(f.Bytes, now, &m)
	}
}

// endless reads its data again and again.
type endless struct{ *bytes.Reader }

func (e endless) Read(p []byte) (int, error) {
	if e.Len() == 0 {
		if _, err := e.Seek(0, io.SeekStart); err != nil {
			return 0, err
		}
	}
	return e.Reader.Read(p)
}
