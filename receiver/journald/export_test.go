package journald

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"strings"
	"testing"
	"testing/iotest"
	"time"

	"stockade/receiver"
)

func binaryField(name, value string) string {
	return name + "\n" + string(binary.LittleEndian.AppendUint64(nil, uint64(len(value)))) + value + "\n"
}

// read returns what a stream holds, one text a record, and the error that ends it.
func read(r io.Reader) (records []string, err error) {
	x := NewReader(r)
	for {
		rec, err := x.Next()
		if err != nil {
			return records, err
		}
		text := fmt.Sprintf("%d/%q", rec.Fields, rec.Get(Message))
		if rec.Truncated {
			text += " truncated"
		}
		if rec.Conflict {
			text += " conflict"
		}
		if rec.Oversize {
			text += " oversize"
		}
		records = append(records, text)
	}
}

func TestReader(t *testing.T) {
	many := strings.Repeat("X=1\n", MaxFields)
	for _, x := range []struct {
		name, in, want string
		err            error
	}{
		{"nothing", "", "", io.EOF},
		{"two records", "MESSAGE=a\n_UID=0\n\nMESSAGE=b\n\n", `2/"a" 1/"b"`, io.EOF},
		{"empty lines between records", "\n\nMESSAGE=a\n\n\n\nMESSAGE=b\n\n\n", `1/"a" 1/"b"`, io.EOF},
		{"a value with an equals sign", "MESSAGE=a=b=\n\n", `1/"a=b="`, io.EOF},
		{"an empty value", "MESSAGE=\n\n", `1/""`, io.EOF},
		{"a field with a length", binaryField("MESSAGE", "a\n\nMESSAGE=b\n\n") + "\n", `1/"a\n\nMESSAGE=b\n\n"`, io.EOF},
		{"a field with length 0", binaryField("MESSAGE", "") + "\n", `1/""`, io.EOF},
		{"the first of two values counts", "MESSAGE=a\nMESSAGE=b\n\n", `2/"a"`, io.EOF},
		{"a trusted field twice", "MESSAGE=a\n_UID=0\n_UID=1\n\n", `3/"a" conflict`, io.EOF},
		{"a trusted field twice alike", "MESSAGE=a\n_UID=0\n_UID=0\n\n", `3/"a"`, io.EOF},
		{"a trusted field too long", "MESSAGE=a\n_EXE=" + strings.Repeat("/", maxValue+1) + "\n\n", `2/"a" conflict`, io.EOF},
		{"a long field that is not kept", "X=" + strings.Repeat("y", 100<<10) + "\nMESSAGE=a\n\n", `2/"a"`, io.EOF},
		{"too many fields", many + "MESSAGE=a\n\nMESSAGE=b\n\n", `1025/"" oversize 1/"b"`, io.EOF},
		{"it ends inside a record", "MESSAGE=a\n\nMESSAGE=b\n", `1/"a"`, io.ErrUnexpectedEOF},
		{"it ends inside a line", "MESSAGE=a", "", io.ErrUnexpectedEOF},
		{"it ends inside a length", "MESSAGE\n\x01\x00", "", io.ErrUnexpectedEOF},
		{"it ends inside a value", "MESSAGE\n\x05\x00\x00\x00\x00\x00\x00\x00ab", "", io.ErrUnexpectedEOF},
		{"a length that lies", "MESSAGE\n\x01\x00\x00\x00\x00\x00\x00\x00ab\n\n", "", ErrFormat},
		{"a huge length", "MESSAGE\n\xff\xff\xff\xff\xff\xff\xff\xffab\n\n", "", ErrFormat},
		{"a field without a name", "=a\n\n", "", ErrFormat},
		{"a long name", strings.Repeat("N", 65) + "=a\n\n", "", ErrFormat},
		{"a name without end", strings.Repeat("N", 100<<10), "", ErrFormat},
	} {
		t.Run(x.name, func(t *testing.T) {
			for _, r := range []io.Reader{strings.NewReader(x.in), iotest.OneByteReader(strings.NewReader(x.in))} {
				have, err := read(r)
				if strings.Join(have, " ") != x.want || !errors.Is(err, x.err) {
					t.Errorf("%s, %v; want %s, %v", have, err, x.want, x.err)
				}
			}
		})
	}
}

func TestALongMessageIsCut(t *testing.T) {
	for _, n := range []int{MaxMessage - 1, MaxMessage, MaxMessage + 1, 3 * MaxMessage} {
		text := strings.Repeat("m", n)
		for _, in := range []string{"MESSAGE=" + text + "\n\n", binaryField("MESSAGE", text) + "\n"} {
			rec, err := NewReader(strings.NewReader(in)).Next()
			if err != nil {
				t.Fatal(err)
			}
			if len(rec.Get(Message)) != min(n, MaxMessage) || rec.Truncated != (n > MaxMessage) || rec.Size != int64(len(in)) {
				t.Errorf("%d bytes: %d kept, truncated %v, size %d of %d", n, len(rec.Get(Message)), rec.Truncated, rec.Size, len(in))
			}
		}
	}
}

// TestMemoryIsBounded: whatever is in a record, little of it is held.
func TestMemoryIsBounded(t *testing.T) {
	var b bytes.Buffer
	for range 10 {
		b.WriteString(binaryField("COREDUMP", strings.Repeat("c", 1<<20)))
		b.WriteString("MESSAGE=" + strings.Repeat("m", 1<<20) + "\n_EXE=" + strings.Repeat("e", 1<<20) + "\n\n")
	}
	r := NewReader(&b)
	for n := 0; ; n++ {
		if _, err := r.Next(); err != nil {
			if n != 10 || !errors.Is(err, io.EOF) {
				t.Fatalf("%d records, %v", n, err)
			}
			break
		}
	}
	if c := cap(r.rec.store); c > 256<<10 {
		t.Errorf("%d bytes are held", c)
	}
}

func TestARecordCostsNoAllocation(t *testing.T) {
	var b bytes.Buffer
	for i := range 1000 {
		entry(&b, time.Unix(1, 0), i+1, "sshd", "Failed password for root from 192.0.2.7 port 1 ssh2", "_UID=0", "_EXE=/usr/sbin/sshd",
			"_SYSTEMD_UNIT=ssh.service", "_PID=1", "_STREAM_ID=abc", "_LINE_BREAK=eof")
	}
	data := b.Bytes()
	m, p := newMapper("j"), new(positions)
	src := bytes.NewReader(data)
	r := NewReader(src)
	var s receiver.Source
	// Start-up costs: buffers, names. They are paid once.
	n := testing.AllocsPerRun(5, func() {
		src.Reset(data)
		for {
			rec, err := r.Next()
			if err != nil {
				return
			}
			if id, n, at, ok := positionOf(rec); ok {
				p.advance(id, n, at)
			}
			m.fill(rec, &s, receiver.Peer{}, true, time.Time{})
		}
	})
	if n > 5 {
		t.Errorf("%v allocations for 1,000 records", n)
	}
}

func BenchmarkReader(b *testing.B) {
	var buf bytes.Buffer
	for i := range 1000 {
		entry(&buf, time.Unix(1, 0), i+1, "sshd", "Failed password for root from 192.0.2.7 port 1 ssh2", "_UID=0", "_EXE=/usr/sbin/sshd",
			"_SYSTEMD_UNIT=ssh.service", "_PID=1")
	}
	b.SetBytes(int64(buf.Len()))
	b.ReportAllocs()
	for b.Loop() {
		r := NewReader(bytes.NewReader(buf.Bytes()))
		for {
			if _, err := r.Next(); err != nil {
				break
			}
		}
	}
}

func TestOrigins(t *testing.T) {
	for _, x := range []struct {
		name, fields string
		want         receiver.Origin
	}{
		{"all of it", "_UID=0\n_EXE=/usr/sbin/sshd\n_SYSTEMD_UNIT=ssh.service\n", receiver.Origin{Known: true, Exe: "/usr/sbin/sshd", Unit: "ssh.service"}},
		{"a user alone", "_UID=1000\n", receiver.Origin{Known: true, UID: 1000}},
		{"exe never without uid", "_EXE=/usr/sbin/sshd\n", receiver.Origin{}},
		{"no number", "_UID=-1\n", receiver.Origin{}},
		{"too large", "_UID=4294967296\n", receiver.Origin{}},
		{"two users", "_UID=0\n_UID=1000\n", receiver.Origin{}},
		{"the writer's own word", "UID=0\n", receiver.Origin{}},
		{"the kernel", "_TRANSPORT=kernel\n", receiver.Origin{Known: true}},
		{"a carrier by exe", "_UID=0\n_EXE=/usr/sbin/rsyslogd\n", receiver.Origin{}},
		{"a carrier by unit", "_UID=0\n_SYSTEMD_UNIT=docker.service\n", receiver.Origin{}},
		{"a shim", "_UID=0\n_EXE=/usr/bin/containerd-shim-runc-v2\n", receiver.Origin{}},
	} {
		rec, err := NewReader(strings.NewReader("MESSAGE=x\n" + x.fields + "\n")).Next()
		if err != nil {
			t.Fatal(err)
		}
		if have := make(writers).origin(rec); have != x.want {
			t.Errorf("%s: %+v", x.name, have)
		}
	}
}

func TestContinuations(t *testing.T) {
	const docker = "_PID=9\nCONTAINER_ID_FULL=abc\n"
	for _, x := range []struct {
		name    string
		records []string
		want    string
	}{
		{"journald's line limit", []string{"_STREAM_ID=a\n_LINE_BREAK=line-max\n", "_STREAM_ID=b\n", "_STREAM_ID=a\n_LINE_BREAK=line-max\n", "_STREAM_ID=a\n", "_STREAM_ID=a\n"}, "00110"},
		{"Docker", []string{docker + "CONTAINER_PARTIAL_MESSAGE=true\n", docker + "CONTAINER_PARTIAL_MESSAGE=true\n", docker, docker}, "0110"},
		{"Docker with numbers", []string{docker + "CONTAINER_PARTIAL_MESSAGE=true\nCONTAINER_PARTIAL_ORDINAL=1\nCONTAINER_PARTIAL_LAST=false\n",
			docker + "CONTAINER_PARTIAL_MESSAGE=true\nCONTAINER_PARTIAL_ORDINAL=2\nCONTAINER_PARTIAL_LAST=true\n", docker}, "010"},
		{"the middle alone", []string{docker + "CONTAINER_PARTIAL_MESSAGE=true\nCONTAINER_PARTIAL_ORDINAL=2\n"}, "1"},
		{"another process cannot silence", []string{"_PID=8\nCONTAINER_ID_FULL=abc\nCONTAINER_PARTIAL_MESSAGE=true\n", docker}, "00"},
	} {
		m, have := newMapper("j"), ""
		for _, fields := range x.records {
			rec, err := NewReader(strings.NewReader("MESSAGE=x\n" + fields + "\n")).Next()
			if err != nil {
				t.Fatal(err)
			}
			if m.cuts.continued(rec) {
				have += "1"
			} else {
				have += "0"
			}
		}
		if have != x.want {
			t.Errorf("%s: %s, want %s", x.name, have, x.want)
		}
	}
}

func TestPositions(t *testing.T) {
	p := new(positions)
	for i, x := range []struct {
		id   string
		n    uint64
		at   int64
		seen bool
		gap  uint64
	}{
		{"a", 5, 100, false, 0},
		{"a", 6, 101, false, 0},
		{"a", 6, 101, true, 0},
		{"a", 5, 100, true, 0},
		{"a", 9, 90, false, 2}, // a clock set back
		{"b", 1, 102, false, 0},
		{"a", 10, 103, false, 0},
		{"a", 3, 200, false, 0}, // a machine set back to an older snapshot
		{"b", 1, 102, true, 0},
	} {
		if seen, gap := p.advance([]byte(x.id), x.n, x.at); seen != x.seen || gap != x.gap {
			t.Errorf("%d: seen %v, gap %d", i, seen, gap)
		}
	}
	for i := range 1000 {
		p.advance(fmt.Appendf(nil, "id%d", i), 1, 1)
	}
	if len(p.Last) != maxIDs {
		t.Errorf("%d sequences are kept", len(p.Last))
	}
	for _, x := range []string{"", "s=", "i=1", "s=a;i=g", "s=" + strings.Repeat("a", 65) + ";i=1"} {
		if _, _, _, ok := parseCursor([]byte(x)); ok {
			t.Errorf("%q is a cursor", x)
		}
	}
}

// FuzzReader: no panic, bounded memory, and any cutting of the bytes gives the same records.
func FuzzReader(f *testing.F) {
	f.Add([]byte("MESSAGE=a\n_UID=0\n\nMESSAGE=b\n\n"))
	f.Add([]byte(binaryField("MESSAGE", "a\nb") + "_PID=1\n\n"))
	f.Add([]byte("__CURSOR=s=1;i=2;t=3\nMESSAGE_ID=" + suppressedID + "\n_TRANSPORT=driver\nMESSAGE=Suppressed 7 messages\n\n"))
	f.Add([]byte("MESSAGE\n\xff\xff\xff\xff\xff\xff\xff\xffab\n\n"))
	f.Fuzz(func(t *testing.T, data []byte) {
		whole, errWhole := read(bytes.NewReader(data))
		single, errSingle := read(iotest.OneByteReader(bytes.NewReader(data)))
		if strings.Join(whole, "|") != strings.Join(single, "|") || errWhole.Error() != errSingle.Error() {
			t.Fatalf("%v %v, byte by byte %v %v", whole, errWhole, single, errSingle)
		}
		r, m := NewReader(bytes.NewReader(data)), newMapper("j")
		for {
			rec, err := r.Next()
			if err != nil {
				break
			}
			e := m.fill(rec, &receiver.Source{}, receiver.Peer{}, true, time.Time{})
			if len(e.Text) > MaxMessage || loss(rec) < 0 {
				t.Fatalf("%d bytes of text, loss %d", len(e.Text), loss(rec))
			}
			positionOf(rec)
		}
		if cap(r.rec.store) > 256<<10 {
			t.Fatalf("%d bytes are held", cap(r.rec.store))
		}
	})
}
