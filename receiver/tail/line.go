package tail

import (
	"bytes"
	"time"

	"stockade/receiver"
	"stockade/receiver/decode"
)

// lines hands on the whole lines of data, which stand at the file's position, and returns how
// many bytes are done with.
func (t *Tail) lines(f *file, data []byte) (used int) {
	for used < len(data) {
		rest := data[used:]
		if rest[0] == 0 && !f.skip && len(f.prefix) == 0 {
			// Truncated under a writer that does not append, a file has a hole in front.
			n := 0
			for n < len(rest) && rest[n] == 0 {
				n++
			}
			used += n
			continue
		}
		i := bytes.IndexByte(rest, '\n')
		if i < 0 {
			switch {
			case f.skip:
				return len(data)
			case len(f.prefix)+len(rest) > MaxLine+1: // a CR may stand before the LF
				t.put(f, t.join(f, rest))
				f.skip = true
				return len(data)
			}
			return used
		}
		used += i + 1
		if f.skip {
			f.skip = false
			continue
		}
		t.put(f, t.join(f, rest[:i]))
	}
	return used
}

// join returns a line with the beginning that an earlier content left behind.
func (t *Tail) join(f *file, line []byte) []byte {
	if len(f.prefix) == 0 {
		return line
	}
	t.joined = append(append(t.joined[:0], f.prefix...), line...)
	f.prefix = nil
	return t.joined
}

// put hands on one line without its LF. It allocates nothing.
func (t *Tail) put(f *file, line []byte) {
	if n := len(line); n > 0 && line[n-1] == '\r' {
		line = line[:n-1]
	}
	e := &t.entry
	e.Truncated = len(line) > MaxLine
	if e.Truncated {
		line = line[:MaxLine]
	}
	maimed := f.maimed
	f.maimed = false
	if len(line) == 0 {
		return
	}
	if t.decoder.DecodeLine(line, t.now, &e.Message) {
		f.syslog = true
		if len(e.App) == 0 {
			e.App = t.app
		}
	} else {
		e.App = t.app
		if t.o.Cut != nil {
			if rest, at, ok := t.o.Cut(line, t.now); ok {
				e.Text, e.Stamp = rest, at
			}
		}
	}
	e.Continued = maimed || f.cut
	f.cut = f.syslog && cutByCarrier(line, e.Text)
	e.Received, e.Listener, e.Source = t.now, t.o.Config.Name, t.source
	e.Peer = receiver.Peer{Level: f.worth.Level, UID: f.worth.UID, GID: -1, PID: -1}
	e.Origin = receiver.Origin{}
	if !f.syslog && f.worth.UID >= 0 {
		e.Origin = receiver.Origin{Known: true, UID: uint32(f.worth.UID)} //nolint:gosec // a kernel uid fits
	}
	e.Raw = line
	t.batch.add(e)
	t.sink.Put(e)
}

// batch counts the lines of one read, to be added up once.
type batch struct {
	lines, bytes, truncated, malformed, continued int64
	forms                                         [decode.Forms]int64
}

func (b *batch) add(e *receiver.Entry) {
	b.lines++
	b.bytes += int64(len(e.Raw))
	b.forms[e.Form]++
	if e.Truncated {
		b.truncated++
	}
	if e.Malformed {
		b.malformed++
	}
	if e.Continued {
		b.continued++
	}
}

// settle adds a batch to the counters of the tail and its source.
func (t *Tail) settle() {
	b := &t.batch
	if b.lines == 0 {
		return
	}
	t.entries.Add(b.lines)
	t.bytes.Add(b.bytes)
	t.truncated.Add(b.truncated)
	t.malformed.Add(b.malformed)
	t.continued.Add(b.continued)
	for i, n := range b.forms {
		if n > 0 {
			t.forms[i].Add(n)
		}
	}
	t.source.Lines.Add(b.lines)
	t.source.LastSeen.Store(t.now.UnixNano())
	*b = batch{}
}

// lose counts what a rotation took away unread.
func (t *Tail) lose(c *content, why string) {
	now := time.Now()
	t.refused.Add(ReasonRotated, now, []byte(c.path))
	if t.source != nil {
		t.source.Refused.Add(ReasonRotated, now, []byte(c.path))
	}
	t.log.Warn("lines were gone before they were read", "path", clip(c.path), "detail", why)
}
