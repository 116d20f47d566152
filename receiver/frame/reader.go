package frame

import (
	"bytes"
	"errors"
	"fmt"
	"io"
)

// Sizes in bytes.
const (
	DefaultMax = 65536 // of one frame, when Options.Max is 0

	smallSize = 4096 // what an idle Reader holds
	slack     = 16   // room beside Max for a count, its space and a terminator
	maxDigits = 6    // of MSG-LEN
	maxEmpty  = 100  // reads in a row that return neither bytes nor an error
)

// ErrFraming is wrapped by every framing error. The stream's frame edges are lost for good:
// close the connection.
var ErrFraming = errors.New("framing lost")

// Options configure a Reader. The zero value is Auto with the default limit.
type Options struct {
	Mode Mode
	Max  int // bytes of one frame; 0 means DefaultMax
}

// Frame is one message as it came, without its framing.
type Frame struct {
	Bytes        []byte // never empty; belongs to the Reader, or to the datagram's owner
	Truncated    bool   // the message was longer than the limit; its end is gone
	Unterminated bool   // the stream ended where a terminator was due: the end may be missing
}

// Reader cuts a stream into frames. It belongs to one goroutine.
type Reader struct {
	src  io.Reader
	mode Mode
	max  int

	small []byte  // nil until the first read
	big   *[]byte // borrowed from the pool; nil while small is in use
	buf   []byte  // the buffer in use
	start int     // buf[start:end] is not consumed yet
	end   int
	noLF  int // buf[start:noLF] holds no LF (LF mode)
	noNUL int // buf[start:noNUL] holds no NUL, and buf[noNUL] is one if it was read (LF mode)

	skip     int  // octet mode: bytes of a truncated frame still to be discarded
	skipLine bool // LF mode: the rest of a truncated line is being discarded
	begun    bool // the first octet was seen
	first    bool // no frame was delivered yet
	filled   bool // the last read filled the buffer: more is likely waiting

	ahead   Frame // found by Buffered, not yet delivered
	isAhead bool
	readErr error // came together with bytes, not yet returned
	err     error // final
}

// NewReader returns a Reader of the stream src. It reads nothing yet.
func NewReader(src io.Reader, o Options) *Reader {
	if o.Max <= 0 {
		o.Max = DefaultMax
	}
	return &Reader{src: src, mode: o.Mode, max: o.Max, first: true}
}

// Next returns the next frame. Its bytes are valid until the following call of Next.
//
// It reads from the stream only when no complete frame is buffered. At the end of the stream,
// at a frame edge, it returns io.EOF; inside an octet-counted frame io.ErrUnexpectedEOF. An
// error that wraps ErrFraming is final. Any other error is the stream's own, as it came: the
// reader's state is kept, and Next may be called again, for example after a read deadline.
func (r *Reader) Next() (Frame, error) {
	if r.isAhead {
		r.isAhead = false
		return r.ahead, nil
	}
	for {
		if r.err == nil {
			if f, ok := r.cut(); ok {
				r.first = false
				return f, nil
			}
		}
		if r.err != nil {
			r.release()
			return Frame{}, r.err
		}
		if err := r.readErr; err != nil {
			r.readErr = nil
			if !errors.Is(err, io.EOF) {
				return Frame{}, err
			}
			if f, ok := r.finish(); ok {
				return f, nil
			}
			continue
		}
		r.fill()
	}
}

// Partial reports whether the stream stands inside a frame: some of its bytes are here and the
// rest is awaited. It may be called from within the stream's Read, and it is what a deadline on
// unfinished frames needs; that deadline counts from the moment Partial becomes true, not from
// each read.
func (r *Reader) Partial() bool {
	return !r.isAhead && r.err == nil && (r.end > r.start || r.skip > 0 || r.skipLine)
}

// Buffered reports whether Next would return without reading from the stream. The bytes of the
// last frame stay valid.
func (r *Reader) Buffered() bool {
	if r.isAhead || r.err != nil || r.readErr != nil {
		return true
	}
	r.ahead, r.isAhead = r.cut()
	if r.isAhead {
		r.first = false
	}
	return r.isAhead || r.err != nil
}

// Mode returns the stream's mode: Auto until the first octet has arrived.
func (r *Reader) Mode() Mode { return r.mode }

// cut takes the next complete frame out of the buffer. It may set r.err.
func (r *Reader) cut() (Frame, bool) {
	if !r.begun && r.end > r.start {
		r.begun = true
		if r.buf[r.start] == tlsHandshake {
			r.fail("the stream begins like a TLS handshake, but this listener expects plain syslog")
			return Frame{}, false
		}
		if r.mode == Auto {
			r.mode = LF
			if c := r.buf[r.start]; '0' <= c && c <= '9' {
				r.mode = Octet
			}
		}
	}
	switch r.mode {
	case LF:
		return r.cutLine()
	case Octet:
		return r.cutCounted()
	}
	return Frame{}, false
}

// fail records a framing error with its reason.
func (r *Reader) fail(format string, args ...any) {
	r.err = fmt.Errorf("%w: %s", ErrFraming, fmt.Sprintf(format, args...))
}

// finish handles the end of the stream: it delivers a last unterminated line, and sets r.err to
// what the following call of Next returns.
func (r *Reader) finish() (Frame, bool) {
	r.err = io.EOF
	if r.mode == Octet && (r.end > r.start || r.skip > 0) {
		r.err = io.ErrUnexpectedEOF
	}
	if r.mode != LF || r.skipLine {
		return Frame{}, false
	}
	b := bytes.TrimSuffix(r.buf[r.start:r.end], []byte{'\r'})
	r.start = r.end
	if len(b) > r.max {
		return Frame{Bytes: b[:r.max], Truncated: true, Unterminated: true}, true
	}
	return Frame{Bytes: b, Unterminated: true}, len(b) > 0
}

// fill reads once, after making room.
func (r *Reader) fill() {
	r.makeRoom()
	for range maxEmpty {
		n, err := r.src.Read(r.buf[r.end:])
		if n > 0 || err != nil {
			r.end += n
			r.filled = r.end == len(r.buf)
			r.readErr = err
			return
		}
	}
	r.readErr = io.ErrNoProgress
}

// cutLine takes the next non-empty line out of the buffer.
func (r *Reader) cutLine() (Frame, bool) {
	for {
		i, ok := r.terminator()
		if !ok {
			return r.cutLong()
		}
		b := r.buf[r.start:i]
		if r.buf[i] == '\n' && len(b) > 0 && b[len(b)-1] == '\r' {
			b = b[:len(b)-1]
		}
		r.start = i + 1
		if r.skipLine {
			r.skipLine = false
			continue
		}
		if len(b) == 0 {
			continue
		}
		if len(b) > r.max { // judged before its content: it may have come in pieces, too long to be kept
			return Frame{Bytes: b[:r.max], Truncated: true}, true
		}
		if r.first && isHTTP(b) {
			r.fail("the stream begins with an HTTP request, but this listener expects syslog")
			return Frame{}, false
		}
		return Frame{Bytes: b}, true
	}
}

// cutLong deals with a buffer that holds no terminator: it delivers the head of a line that is
// surely too long, and drops what belongs to such a line.
func (r *Reader) cutLong() (Frame, bool) {
	if r.skipLine {
		r.start = r.end
		return Frame{}, false
	}
	n := r.end - r.start
	if n <= r.max || n == r.max+1 && r.buf[r.end-1] == '\r' { // that CR may begin the terminator
		return Frame{}, false
	}
	b := r.buf[r.start : r.start+r.max]
	r.start = r.end
	r.skipLine = true
	return Frame{Bytes: b, Truncated: true}, true
}

// terminator returns the index of the first LF or NUL of the buffer. No byte is searched twice
// for the same terminator, so that dribbled or NUL-ended input costs linear time.
func (r *Reader) terminator() (int, bool) {
	lf := r.end
	from := max(r.start, r.noLF)
	if i := bytes.IndexByte(r.buf[from:r.end], '\n'); i >= 0 {
		lf = from + i
	}
	r.noLF = lf
	if r.noNUL < lf { // NULs are rare: all that was read is searched at once
		from = max(r.start, r.noNUL)
		r.noNUL = r.end
		if i := bytes.IndexByte(r.buf[from:r.end], 0); i >= 0 {
			r.noNUL = from + i
		}
	}
	i := min(lf, r.noNUL)
	return i, i < r.end
}

// cutCounted takes the next octet-counted frame out of the buffer.
func (r *Reader) cutCounted() (Frame, bool) {
	for {
		if r.skip > 0 {
			n := min(r.skip, r.end-r.start)
			r.start += n
			r.skip -= n
			if r.skip > 0 {
				return Frame{}, false
			}
		}
		n, head, ok := r.count()
		if !ok || r.end-r.start < head+min(n, r.max+1) {
			return Frame{}, false
		}
		b := r.buf[r.start+head : r.start+head+min(n, r.max+1)]
		r.start += head + len(b)
		r.skip = n - len(b)
		if r.skip == 0 && b[len(b)-1] == '\n' {
			b = b[:len(b)-1]
		}
		if len(b) == 0 {
			continue
		}
		if len(b) > r.max {
			return Frame{Bytes: b[:r.max], Truncated: true}, true
		}
		return Frame{Bytes: b}, true
	}
}

// count reads MSG-LEN and its space: the declared length and the size of the head. Without a
// complete head it returns false, and sets r.err when the head can never become valid.
func (r *Reader) count() (n, head int, ok bool) {
	b := r.buf[r.start:r.end]
	for i, c := range b {
		switch {
		case '0' <= c && c <= '9':
			if n == 0 && c == '0' {
				r.fail("octet count must begin with 1 to 9")
				return 0, 0, false
			}
			if i == maxDigits {
				r.fail("octet count has more than %d digits", maxDigits)
				return 0, 0, false
			}
			n = n*10 + int(c-'0')
		case c == ' ' && i > 0:
			return n, i + 1, true
		case i == 0:
			r.fail("octet count expected, found byte 0x%02x", c)
			return 0, 0, false
		default:
			r.fail("octet count must end in a space, found byte 0x%02x", c)
			return 0, 0, false
		}
	}
	return 0, 0, false
}
