package frame

import (
	"bytes"
	"errors"
	"flag"
	"fmt"
	"io"
	"math/rand/v2"
	"runtime"
	"strings"
	"testing"
	"time"
)

var long = flag.Bool("long", false, "run the long forms of the bars")

// killers are inputs that ended or hung other receivers (bar B1).
var killers = []string{
	"<13>", "<0>", "<", "<999>", "<" + strings.Repeat("4", 5000), "-1 ", "-5 ", "0 ", "007 x",
	strings.Repeat("1", 2000), "9223372036854775807", "9223372036854775807 x", "\x00\x00\x00", "<167>2022-08-21T00:07:06.7",
	strings.Repeat("1", 65536), "1 ", "999999 ", "5", "\x16", "\xff\xfe", "\r", "1 \n",
}

func TestB1KillerCorpus(t *testing.T) {
	for _, k := range killers {
		name := k[:min(len(k), 24)]
		for _, mode := range []Mode{Auto, Octet, LF} {
			var err error
			best := time.Hour
			for range 5 { // the machine is shared: one quiet run is enough
				began := time.Now()
				_, err = readAll(NewReader(strings.NewReader(k), Options{Mode: mode}))
				best = min(best, time.Since(began))
			}
			if best > 50*time.Millisecond { // the bar is 1 ms
				t.Errorf("%q as %v: took %v", name, mode, best)
			}
			if !errors.Is(err, io.EOF) && !errors.Is(err, io.ErrUnexpectedEOF) && !errors.Is(err, ErrFraming) {
				t.Errorf("%q as %v: %v", name, mode, err)
			}
		}
		good, err := readAll(NewReader(strings.NewReader("<38>good\n"), Options{}))
		if render(good) != "(<38>good)" || !errors.Is(err, io.EOF) {
			t.Errorf("after %q a good sender got %q and %v", name, render(good), err)
		}
	}
}

// cutter returns the pieces between its cut points, one a read.
type cutter struct {
	data []byte
	next func(left int) int
}

func (c *cutter) Read(p []byte) (int, error) {
	if len(c.data) == 0 {
		return 0, io.EOF
	}
	n := min(max(c.next(len(c.data)), 1), len(p), len(c.data))
	copy(p, c.data[:n])
	c.data = c.data[n:]
	return n, nil
}

// stream makes a stream of n frames of mixed sizes, some above the limit, in one framing.
func stream(mode Mode, n, limit int, rng *rand.Rand) []byte {
	var b []byte
	for i := range n {
		size := rng.IntN(120)
		switch rng.IntN(50) {
		case 0:
			size = limit - 2 + rng.IntN(5)
		case 1:
			size = rng.IntN(3 * limit)
		}
		text := fmt.Appendf(nil, "<38>%d ", i)
		for len(text) < size {
			text = append(text, "abc 1234567 \r\x00é<0>"[rng.IntN(19)])
		}
		if mode == Octet {
			if rng.IntN(3) == 0 {
				text = append(text, '\n')
			}
			b = fmt.Appendf(b, "%d %s", len(text), text)
			continue
		}
		b = append(b, text...)
		b = append(b, []string{"\n", "\r\n", "\x00", "\n\n"}[rng.IntN(4)]...)
	}
	return b
}

func TestB3SegmentationInvariance(t *testing.T) {
	const limit = 6000 // above the small buffer, so that both buffers are in use
	frames := 10_000
	if testing.Short() {
		frames = 1_000
	}
	rng := rand.New(rand.NewPCG(3, 3))
	for _, mode := range []Mode{LF, Octet} {
		data := stream(mode, frames, limit, rng)
		want, wantErr := readAll(NewReader(bytes.NewReader(data), Options{Max: limit, Mode: mode}))
		if !errors.Is(wantErr, io.EOF) || mode == Octet && len(want) != frames || len(want) < frames {
			t.Fatalf("%v: %d frames and %v", mode, len(want), wantErr)
		}
		text := render(want)
		cuts := map[string]func(int) int{
			"every byte": func(int) int { return 1 },
			"small":      func(int) int { return 1 + rng.IntN(50) },
			"mixed":      func(int) int { return 1 << rng.IntN(16) },
			"4096":       func(int) int { return 4096 },
			"4095":       func(int) int { return 4095 },
		}
		for name, next := range cuts {
			got, err := readAll(NewReader(&cutter{data, next}, Options{Max: limit, Mode: mode}))
			if !errors.Is(err, io.EOF) || render(got) != text {
				t.Errorf("%v cut by %s: %d frames and %v, want the %d frames of the uncut stream", mode, name, len(got), err, len(want))
			}
		}
	}
}

func TestB3EveryTwoCuts(t *testing.T) {
	for _, c := range readerCases {
		if len(c.in) > 60 {
			continue
		}
		limit := c.max
		if limit == 0 {
			limit = 8
		}
		for i := 0; i <= len(c.in); i++ {
			for j := i; j <= len(c.in); j++ {
				src := &script{steps: []step{{c.in[:i], nil}, {c.in[i:j], nil}, {c.in[j:], nil}}}
				all, err := readAll(NewReader(src, Options{Mode: c.mode, Max: limit}))
				if got := render(all); got != c.want || c.err != nil && !errors.Is(err, c.err) {
					t.Fatalf("%s, cut at %d and %d: got %q and %v, want %q", c.name, i, j, got, err, c.want)
				}
			}
		}
	}
}

// repeated is n bytes of c, then the tail.
func repeated(c byte, n int64, tail string) io.Reader {
	return io.MultiReader(io.LimitReader(constant(c), n), strings.NewReader(tail))
}

type constant byte

func (c constant) Read(p []byte) (int, error) {
	p[0] = byte(c)
	for n := 1; n < len(p); n *= 2 {
		copy(p[n:], p[:n])
	}
	return len(p), nil
}

func TestB4EndlessLine(t *testing.T) {
	size := int64(64 << 20)
	if testing.Short() {
		size = 8 << 20
	}
	for name, src := range map[string]io.Reader{
		"lf":    repeated('x', size, "\n<38>next\n"),
		"lf 1":  repeated('1', size, "\n<38>next\n"),
		"octet": io.MultiReader(strings.NewReader("999999 "), repeated('x', 999999, "8 <38>next")),
	} {
		mode := LF
		if name == "octet" {
			mode = Octet
		}
		r := NewReader(src, Options{Mode: mode})
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		all, err := readAll(r)
		runtime.ReadMemStats(&after)
		if !errors.Is(err, io.EOF) || len(all) != 2 || !all[0].truncated || len(all[0].text) != DefaultMax || all[1] != (record{text: "<38>next"}) {
			t.Errorf("%s: %d frames and %v, want one truncated and the next one intact", name, len(all), err)
		}
		if grown := after.TotalAlloc - before.TotalAlloc; grown > 1<<20 {
			t.Errorf("%s: allocated %d bytes in all, want at most 1 MiB", name, grown)
		}
	}
}

// B4 says per framing, and counting cannot declare more than 999,999 bytes: an endless count is
// an error after seven digits.
func TestB4EndlessCount(t *testing.T) {
	src := &counted{r: constant('1')}
	all, err := readAll(NewReader(src, Options{}))
	if len(all) != 0 || !errors.Is(err, ErrFraming) || src.n > smallSize {
		t.Errorf("%d frames, %v after %d bytes", len(all), err, src.n)
	}
}

type counted struct {
	r io.Reader
	n int
}

func (c *counted) Read(p []byte) (int, error) {
	n, err := c.r.Read(p)
	c.n += n
	return n, err
}

func TestB5OversizeSplitSweep(t *testing.T) {
	limits := []int{2048, 4096, 8192}
	if *long {
		limits = append(limits, 65536)
	}
	for _, limit := range limits {
		for at := limit - 64; at <= limit+64; at++ {
			// A forged frame stands at byte at of a frame that is too long.
			for _, forged := range []string{"<0>forged", "9 <0>forged", "\r<0>forged"} {
				body := strings.Repeat("x", at) + forged + strings.Repeat("y", 200)
				checkSweep(t, limit, at, LF, body+"\n<38>next\n")
				checkSweep(t, limit, at, LF, body+"\r\n<38>next\r\n")
				checkSweep(t, limit, at, Octet, fmt.Sprintf("%d %s8 <38>next", len(body), body))
			}
		}
	}
}

func checkSweep(t *testing.T, limit, at int, mode Mode, in string) {
	t.Helper()
	all, err := readAll(NewReader(strings.NewReader(in), Options{Mode: mode, Max: limit}))
	if !errors.Is(err, io.EOF) || len(all) != 2 || !all[0].truncated || len(all[0].text) != limit || all[1].text != "<38>next" {
		t.Fatalf("%v, limit %d, forged at %d: %d frames and %v", mode, limit, at, len(all), err)
	}
}

func TestB6Sizes(t *testing.T) {
	for _, size := range []int{480, 1180, 2048, 8190, 8191, 8192, 8193, 65535, 65536, 65537} {
		body := strings.Repeat("x", size)
		for _, c := range []struct {
			mode Mode
			in   string
		}{
			{LF, body + "\n"},
			{LF, body + "\r\n"},
			{LF, body + "\x00"},
			{Octet, fmt.Sprintf("%d %s", size, body)},
			{Octet, fmt.Sprintf("%d %s\n", size+1, body)},
		} {
			r := NewReader(strings.NewReader(c.in), Options{Mode: c.mode})
			f, err := r.Next()
			if err != nil || len(f.Bytes) != min(size, DefaultMax) || f.Truncated != (size > DefaultMax) {
				t.Errorf("%v, %d bytes: got %d, truncated %v, %v", c.mode, size, len(f.Bytes), f.Truncated, err)
			}
			if _, err := r.Next(); !errors.Is(err, io.EOF) {
				t.Errorf("%v, %d bytes: then %v, want EOF", c.mode, size, err)
			}
		}
		if f := Datagram([]byte(body), DefaultMax); len(f.Bytes) != min(size, DefaultMax) || f.Truncated != (size > DefaultMax) {
			t.Errorf("datagram of %d bytes: got %d, truncated %v", size, len(f.Bytes), f.Truncated)
		}
	}
}
