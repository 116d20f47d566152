package frame

import (
	"bytes"
	"errors"
	"io"
	"testing"
)

// FuzzReader holds that the frames do not depend on how the stream is cut, that limits hold,
// that every stream ends in a known error, and that the frames are made of the stream's bytes.
func FuzzReader(f *testing.F) {
	for _, c := range readerCases {
		f.Add([]byte(c.in), uint8(c.mode), uint16(c.max), []byte{1})
	}
	for _, k := range killers {
		f.Add([]byte(k), uint8(Auto), uint16(0), []byte{3, 200})
	}
	f.Add(bytes.Repeat([]byte("<38>line\r\n"), 1000), uint8(Auto), uint16(5000), []byte{255, 7, 100})

	f.Fuzz(func(t *testing.T, data []byte, mode uint8, limit uint16, cuts []byte) {
		o := Options{Mode: Mode(mode % 3), Max: int(limit)}
		r := NewReader(bytes.NewReader(data), o)
		want, wantErr := readAll(r)
		if !errors.Is(wantErr, io.EOF) && !errors.Is(wantErr, io.ErrUnexpectedEOF) && !errors.Is(wantErr, ErrFraming) {
			t.Fatalf("error %v", wantErr)
		}
		if errors.Is(wantErr, io.ErrUnexpectedEOF) && r.Mode() != Octet || errors.Is(wantErr, ErrFraming) && r.Mode() == LF && !r.first {
			t.Fatalf("error %v in mode %v", wantErr, r.Mode())
		}
		rest := data
		for i, w := range want {
			switch {
			case w.text == "":
				t.Fatal("an empty frame was delivered")
			case len(w.text) > r.max:
				t.Fatalf("%d bytes above the limit of %d", len(w.text), r.max)
			case w.truncated && len(w.text) != r.max:
				t.Fatalf("truncated to %d bytes, limit %d", len(w.text), r.max)
			case w.unterminated && i != len(want)-1:
				t.Fatal("unterminated in the middle")
			}
			at := bytes.Index(rest, []byte(w.text))
			if at < 0 {
				t.Fatalf("frame %q is not in the rest of the stream", w.text)
			}
			rest = rest[at+len(w.text):]
		}

		i := 0
		c := &cutter{data, func(int) int {
			if len(cuts) == 0 {
				return 1
			}
			i++
			return int(cuts[i%len(cuts)])
		}}
		cut := NewReader(c, o)
		var got []record
		var err error
		for {
			buffered := cut.Buffered()
			left := len(c.data)
			var fr Frame
			if fr, err = cut.Next(); err != nil {
				break
			}
			if buffered && len(c.data) != left {
				t.Fatal("Next read although Buffered was true")
			}
			got = append(got, record{string(fr.Bytes), fr.Truncated, fr.Unterminated})
		}
		if render(got) != render(want) || !errors.Is(err, wantErr) && err.Error() != wantErr.Error() {
			t.Fatalf("cut: %q and %v\nwhole: %q and %v", render(got), err, render(want), wantErr)
		}
	})
}
