package frame

import (
	"bytes"
	"errors"
	"io"
	"strings"
	"testing"
	"testing/iotest"
)

// record is a frame that was kept.
type record struct {
	text         string
	truncated    bool
	unterminated bool
}

// readAll reads until an error, which it returns.
func readAll(r *Reader) ([]record, error) {
	var all []record
	for {
		f, err := r.Next()
		if err != nil {
			return all, err
		}
		all = append(all, record{string(f.Bytes), f.Truncated, f.Unterminated})
	}
}

// render writes records down for comparison: "…" marks a truncated one, "?" an unterminated one.
func render(all []record) string {
	var b strings.Builder
	for _, r := range all {
		b.WriteString("(" + r.text)
		if r.truncated {
			b.WriteString("…")
		}
		if r.unterminated {
			b.WriteString("?")
		}
		b.WriteString(")")
	}
	return b.String()
}

var readerCases = []struct {
	name    string
	mode    Mode
	max     int // 8 when 0
	in      string
	want    string // as render writes it
	err     error  // io.EOF when nil
	errText string
}{
	{name: "empty stream"},
	{name: "LF ends a frame", in: "<1>a\n<2>b\n", want: "(<1>a)(<2>b)"},
	{name: "CRLF ends a frame", in: "<1>a\r\n<2>b\r\n", want: "(<1>a)(<2>b)"},
	{name: "NUL ends a frame", in: "<1>a\x00<2>b\x00", want: "(<1>a)(<2>b)"},
	{name: "terminators may be mixed", in: "a\x00b\nc\r\nd\n\x00e\x00\n", want: "(a)(b)(c)(d)(e)"},
	{name: "empty frames are skipped", in: "\n\n\r\n\x00a\n\n\n", want: "(a)"},
	{name: "CR inside is data", in: "a\rb\n\rc\r\r\n", want: "(a\rb)(\rc\r)"},
	{name: "CR before NUL is data", in: "a\r\x00", want: "(a\r)"},
	{name: "last line without a terminator is delivered", in: "a\nb", want: "(a)(b?)"},
	{name: "last line that ends in CR", in: "a\nb\r", want: "(a)(b?)"},
	{name: "a lone CR at the end is nothing", in: "a\n\r", want: "(a)"},
	{name: "digits in LF mode are text", in: "<1>a\n12 b\n9999 c\n", want: "(<1>a)(12 b)(9999 c)"},
	{name: "digits first with LF set by the listener", mode: LF, in: "12 b\n3 c\n", want: "(12 b)(3 c)"},
	{name: "minus is no digit", in: "-5 \n", want: "(-5 )"},
	{name: "line of exactly the limit", in: "12345678\nb\n", mode: LF, want: "(12345678)(b)"},
	{name: "line of exactly the limit and CRLF", in: "12345678\r\nb\n", mode: LF, want: "(12345678)(b)"},
	{name: "line of exactly the limit at the end", in: "12345678", mode: LF, want: "(12345678?)"},
	{name: "line of exactly the limit and CR at the end", in: "12345678\r", mode: LF, want: "(12345678?)"},
	{name: "line of one byte more", in: "123456789\nb\n", mode: LF, want: "(12345678…)(b)"},
	{name: "line of one byte more and CRLF", in: "123456789\r\nb\n", mode: LF, want: "(12345678…)(b)"},
	{name: "line of the limit, CR and more", in: "12345678\rx\nb\n", mode: LF, want: "(12345678…)(b)"},
	{name: "long line ends in NUL", in: "123456789abc\x00b\n", mode: LF, want: "(12345678…)(b)"},
	{name: "long line at the end", in: "a\n123456789", mode: LF, want: "(a)(12345678…)"},

	{name: "octet counting", in: "5 <1>ab5 <2>cd", want: "(<1>ab)(<2>cd)"},
	{name: "LF inside a counted frame is data", in: "5 a\nb\ncd"[:7] + "1 x", want: "(a\nb\nc)(x)"},
	{name: "NUL inside a counted frame is data", in: "3 a\x00b", want: "(a\x00b)"},
	{name: "exactly one trailing LF is stripped", in: "4 ab\n\n2 c\n", want: "(ab\n)(c)"},
	{name: "CR in front of a trailing LF is data", in: "4 ab\r\n", want: "(ab\r)"},
	{name: "a counted frame of one LF is skipped", in: "1 \n1 a", want: "(a)"},
	{name: "counted frame of exactly the limit", in: "8 123456781 b", want: "(12345678)(b)"},
	{name: "counted frame of the limit and LF", in: "9 12345678\n1 b", want: "(12345678)(b)"},
	{name: "counted frame of one byte more", in: "9 1234567891 b", want: "(12345678…)(b)"},
	{name: "counted frame far above the limit", in: "30 123456789 1 forged 5 <0>ab wxy1 b", want: "(12345678…)(b)"},
	{name: "six digits are honoured", in: "100000 " + strings.Repeat("x", 100000) + "1 b", want: "(xxxxxxxx…)(b)"},
	{name: "seven digits are not", in: "1000000 x", err: ErrFraming, errText: "more than 6 digits"},
	{name: "2,000 digits", in: strings.Repeat("1", 2000), err: ErrFraming, errText: "more than 6 digits"},
	{name: "largest integer", in: "9223372036854775807 x", err: ErrFraming, errText: "more than 6 digits"},
	{name: "count of zero", in: "0 ", err: ErrFraming, errText: "must begin with 1 to 9"},
	{name: "leading zero", in: "007 x", err: ErrFraming, errText: "must begin with 1 to 9"},
	{name: "no space behind the count", in: "5<1>ab", err: ErrFraming, errText: "must end in a space, found byte 0x3c"},
	{name: "LF behind a counted frame", in: "2 ab\n2 cd", want: "(ab)", err: ErrFraming, errText: "octet count expected, found byte 0x0a"},
	{name: "text behind a counted frame, never resynchronised", in: "2 ab<1>x\n2 cd", want: "(ab)", err: ErrFraming, errText: "found byte 0x3c"},
	{name: "octet set by the listener", mode: Octet, in: "<1>a\n", err: ErrFraming, errText: "octet count expected, found byte 0x3c"},
	{name: "end inside a counted frame", in: "2 ab5 cd", want: "(ab)", err: io.ErrUnexpectedEOF},
	{name: "end inside a count", in: "2 ab5", want: "(ab)", err: io.ErrUnexpectedEOF},
	{name: "end inside a discarded rest", in: "30 1234567890", want: "(12345678…)", err: io.ErrUnexpectedEOF},

	{name: "TLS handshake on a plain stream", in: "\x16\x03\x01\x02\x00", err: ErrFraming, errText: "TLS handshake"},
	{name: "a handshake byte behind an empty line is text", in: "\n\x16\n", want: "(\x16)"},
	{name: "HTTP request on a plain stream", max: 100, in: "GET / HTTP/1.1\r\nHost: x\r\n<1>a\r\n", err: ErrFraming, errText: "HTTP request"},
	{name: "HTTP upload on a plain stream", max: 100, in: "POST /upload HTTP/1.0\n\n<1>a\n", err: ErrFraming, errText: "HTTP request"},
	{name: "an HTTP request line later is text", max: 100, in: "<1>a\nGET / HTTP/1.1\n", want: "(<1>a)(GET / HTTP/1.1)"},
	{name: "an HTTP request line with a PRI is text", max: 100, in: "<1>GET / HTTP/1.1\n", want: "(<1>GET / HTTP/1.1)"},
}

func TestReader(t *testing.T) {
	for _, c := range readerCases {
		t.Run(c.name, func(t *testing.T) {
			if c.max == 0 {
				c.max = 8
			}
			if c.err == nil {
				c.err = io.EOF
			}
			for name, src := range map[string]io.Reader{
				"whole":                   strings.NewReader(c.in),
				"by bytes":                iotest.OneByteReader(strings.NewReader(c.in)),
				"data and error together": iotest.DataErrReader(strings.NewReader(c.in)),
			} {
				r := NewReader(src, Options{Mode: c.mode, Max: c.max})
				all, err := readAll(r)
				if got := render(all); got != c.want {
					t.Errorf("%s: got %q, want %q", name, got, c.want)
				}
				if !errors.Is(err, c.err) || !strings.Contains(err.Error(), c.errText) {
					t.Errorf("%s: error %v, want %v with %q", name, err, c.err, c.errText)
				}
				if _, again := r.Next(); !errors.Is(again, c.err) {
					t.Errorf("%s: error %v when asked again, want %v", name, again, c.err)
				}
			}
		})
	}
}

func TestSwallowAttack(t *testing.T) {
	// A sender with LF framing forwards a text of several lines that an attacker wrote.
	in := "<38>first\n<38>attack\n9999 \n<38>second\n0 <0>x\n<38>third\n"
	all, err := readAll(NewReader(strings.NewReader(in), Options{}))
	want := "(<38>first)(<38>attack)(9999 )(<38>second)(0 <0>x)(<38>third)"
	if got := render(all); got != want || !errors.Is(err, io.EOF) {
		t.Errorf("got %q and %v, want %q", got, err, want)
	}
}

func TestErrorsOfTheStreamAreNotFinal(t *testing.T) {
	boom := errors.New("deadline")
	src := &script{steps: []step{{"<1>a\n<2>", nil}, {"", boom}, {"b\n", boom}, {"<3>c\n", nil}}}
	r := NewReader(src, Options{})
	var got []string
	for range 6 {
		f, err := r.Next()
		switch {
		case err == nil:
			got = append(got, string(f.Bytes))
		case errors.Is(err, boom):
			got = append(got, "error")
		default:
			got = append(got, err.Error())
		}
	}
	want := "<1>a error <2>b error <3>c EOF"
	if s := strings.Join(got, " "); s != want {
		t.Errorf("got %q, want %q", s, want)
	}
}

// script is a stream of prepared reads.
type script struct {
	steps []step
	reads int
	hook  func() // called before each read
}

type step struct {
	data string
	err  error
}

func (s *script) Read(p []byte) (int, error) {
	if s.hook != nil {
		s.hook()
	}
	s.reads++
	if len(s.steps) == 0 {
		return 0, io.EOF
	}
	st := s.steps[0]
	n := copy(p, st.data)
	if n < len(st.data) {
		s.steps[0].data = st.data[n:]
		return n, nil
	}
	s.steps = s.steps[1:]
	return n, st.err
}

func TestPartialAndBuffered(t *testing.T) {
	src := &script{steps: []step{
		{"<1>a\n<2>b\n<3", nil}, {">c\n", nil}, {"\r", nil}, {"\n", nil}, {"123456789", nil}, {"x", nil}, {"\n", nil},
	}}
	r := NewReader(src, Options{Mode: LF, Max: 8})
	var atRead []bool // Partial before each read
	src.hook = func() { atRead = append(atRead, r.Partial()) }

	if r.Partial() || r.Buffered() {
		t.Error("a new reader holds nothing")
	}
	want := []struct {
		text     string
		buffered bool // after it
	}{{"<1>a", true}, {"<2>b", false}, {"<3>c", false}, {"12345678", false}}
	for _, w := range want {
		f, err := r.Next()
		if err != nil || string(f.Bytes) != w.text {
			t.Fatalf("got %q and %v, want %q", f.Bytes, err, w.text)
		}
		reads := src.reads
		if got := r.Buffered(); got != w.buffered {
			t.Errorf("after %q: Buffered is %v", w.text, got)
		}
		if string(f.Bytes) != w.text || src.reads != reads {
			t.Errorf("Buffered changed the frame to %q, or read", f.Bytes)
		}
	}
	if _, err := r.Next(); !errors.Is(err, io.EOF) {
		t.Errorf("got %v, want EOF", err)
	}
	wantAtRead := []bool{false, true, false, true, false, true, true, false}
	if len(atRead) != len(wantAtRead) {
		t.Fatalf("%d reads, want %d", len(atRead), len(wantAtRead))
	}
	for i := range atRead {
		if atRead[i] != wantAtRead[i] {
			t.Errorf("read %d: Partial is %v", i, atRead[i])
		}
	}
}

func TestPartialOfCountedFrames(t *testing.T) {
	src := &script{steps: []step{{"2 ab3", nil}, {" ", nil}, {"xy", nil}, {"z12 1234567890", nil}, {"ab", nil}}}
	r := NewReader(src, Options{Mode: Octet, Max: 8})
	var atRead []bool
	src.hook = func() { atRead = append(atRead, r.Partial()) }
	all, err := readAll(r)
	if got := render(all); got != "(ab)(xyz)(12345678…)" || !errors.Is(err, io.EOF) {
		t.Errorf("got %q and %v", got, err)
	}
	want := []bool{false, true, true, true, true, false}
	for i := range want {
		if len(atRead) != len(want) || atRead[i] != want[i] {
			t.Fatalf("Partial before the reads: %v, want %v", atRead, want)
		}
	}
}

func TestNoReadWhileAFrameIsBuffered(t *testing.T) {
	src := &script{steps: []step{{"a\nb\n\nc\n", nil}}}
	r := NewReader(src, Options{})
	for range 3 {
		if _, err := r.Next(); err != nil {
			t.Fatal(err)
		}
		if src.reads != 1 {
			t.Fatalf("%d reads for three frames that came together", src.reads)
		}
	}
}

func TestAStreamThatNeverDelivers(t *testing.T) {
	r := NewReader(emptyReader{}, Options{})
	if _, err := r.Next(); !errors.Is(err, io.ErrNoProgress) {
		t.Errorf("got %v, want io.ErrNoProgress", err)
	}
}

type emptyReader struct{}

func (emptyReader) Read([]byte) (int, error) { return 0, nil }

func TestParseMode(t *testing.T) {
	for in, want := range map[string]Mode{"": Auto, "auto": Auto, "octet": Octet, "lf": LF} {
		if got, err := ParseMode(in); got != want || err != nil {
			t.Errorf("ParseMode(%q) = %v, %v", in, got, err)
		}
		if in != "" && want.String() != in {
			t.Errorf("%v.String() is not %q", want, in)
		}
	}
	if _, err := ParseMode("Octet"); err == nil || !strings.Contains(err.Error(), "must be auto, octet or lf") {
		t.Errorf("got %v", err)
	}
}

func TestModeIsLatched(t *testing.T) {
	for in, want := range map[string]Mode{"1 a": Octet, "<1>a\n": LF, "\n1 a": LF, "": Auto} {
		r := NewReader(strings.NewReader(in), Options{})
		_, _ = readAll(r)
		if r.Mode() != want {
			t.Errorf("%q: mode %v, want %v", in, r.Mode(), want)
		}
	}
}

func TestDatagram(t *testing.T) {
	for _, c := range []struct {
		name, in, want string
		truncated      bool
	}{
		{"plain", "<1>a", "<1>a", false},
		{"trailing LF", "<1>a\n", "<1>a", false},
		{"trailing CRLF", "<1>a\r\n", "<1>a", false},
		{"trailing NUL", "<1>a\x00", "<1>a", false},
		{"LF and NUL", "<1>a\n\x00", "<1>a", false},
		{"each only once", "<1>a\n\n\x00", "<1>a\n", false},
		{"LF inside is data", "<1>\n<2>", "<1>\n<2>", false},
		{"a count is text", "5 abc", "5 abc", false},
		{"the limit exactly", "12345678\n", "12345678", false},
		{"one byte more", "123456789", "12345678", true},
		{"empty", "", "", false},
		{"only a terminator", "\r\n", "", false},
	} {
		f := Datagram([]byte(c.in), 8)
		if string(f.Bytes) != c.want || f.Truncated != c.truncated || f.Unterminated {
			t.Errorf("%s: got %q %v, want %q %v", c.name, f.Bytes, f.Truncated, c.want, c.truncated)
		}
	}
	if f := Datagram(bytes.Repeat([]byte{'x'}, DefaultMax+1), 0); !f.Truncated || len(f.Bytes) != DefaultMax {
		t.Errorf("limit 0: %d bytes", len(f.Bytes))
	}
}
