package frame

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"strings"
	"testing"
)

// ring is an endless stream that repeats its data, at most piece bytes a read.
type ring struct {
	data  []byte
	at    int
	piece int
}

func (r *ring) Read(p []byte) (int, error) {
	n := copy(p[:min(len(p), r.piece)], r.data[r.at:])
	r.at = (r.at + n) % len(r.data)
	return n, nil
}

func TestAnIdleReaderIsSmall(t *testing.T) {
	for name, in := range map[string]string{
		"one line":       "<38>a\n",
		"a large line":   strings.Repeat("x", 60_000) + "\n",
		"a long line":    strings.Repeat("x", 200_000) + "\n",
		"many lines":     strings.Repeat("<38>some line\n", 50_000),
		"large, counted": "60000 " + strings.Repeat("x", 60_000),
	} {
		idle := false
		src := &script{steps: []step{{in, nil}}}
		r := NewReader(src, Options{})
		src.hook = func() {
			if len(src.steps) == 0 && !idle {
				idle = true
				if len(r.buf) != smallSize || r.big != nil {
					t.Errorf("%s: %d bytes held while idle, want %d", name, len(r.buf), smallSize)
				}
			}
		}
		if _, err := readAll(r); !errors.Is(err, io.EOF) || !idle {
			t.Errorf("%s: %v", name, err)
		}
		if r.buf != nil || r.big != nil || r.small != nil {
			t.Errorf("%s: buffers held after the end", name)
		}
	}
}

func TestANewReaderHoldsNoBuffer(t *testing.T) {
	if r := NewReader(bytes.NewReader(nil), Options{}); r.buf != nil {
		t.Errorf("%d bytes held before the first read", len(r.buf))
	}
}

func BenchmarkReader(b *testing.B) {
	const line = "<38>Nov 24 06:00:00 web1 sshd[4711]: Failed password for invalid user admin from 192.0.2.7 port 55000 ssh2"
	for name, data := range map[string]string{
		"lf":    line + "\n",
		"octet": fmt.Sprintf("%d %s", len(line), line),
	} {
		b.Run(name, func(b *testing.B) {
			r := NewReader(&ring{data: []byte(strings.Repeat(data, 1000)), piece: 1 << 20}, Options{})
			b.SetBytes(int64(len(data)))
			b.ReportAllocs()
			for b.Loop() {
				if _, err := r.Next(); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
