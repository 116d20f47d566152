package replay

import (
	"errors"
	"fmt"
	"io"
	"strconv"

	"stockade/receiver/decode"
	"stockade/receiver/journald"
)

// export reads a journal export into blocks that are decoded already.
type export struct {
	r   *journald.Reader
	d   *decoder
	cut map[string]bool // streams and containers whose last record was cut
}

func newExport(in *input, d *decoder) *export {
	return &export{journald.NewReader(in.text), d, make(map[string]bool)}
}

// fill reads records into an empty block. The error comes with the last ones.
func (x *export) fill(b *block) error {
	for len(b.buf) < blockBytes {
		rec, err := x.r.Next()
		if errors.Is(err, io.EOF) {
			return io.EOF
		}
		if err != nil {
			return fmt.Errorf("journal export: %w", err)
		}
		x.record(b, rec)
		b.count++
	}
	return nil
}

// continued reports whether a record continues one that was cut: it begins with text that the
// sender of the first chose.
func (x *export) continued(rec *journald.Record) bool {
	key, cut := string(rec.Get(journald.StreamID)), string(rec.Get(journald.LineBreak)) == "line-max"
	if key == "" {
		id := rec.Get(journald.ContainerID)
		if len(id) == 0 {
			return false
		}
		key = string(rec.Get(journald.PID)) + " " + string(id)
		cut = string(rec.Get(journald.PartialMessage)) == "true" && string(rec.Get(journald.PartialLast)) != "true"
	}
	was := x.cut[key]
	if cut {
		x.cut[key] = true
	} else {
		delete(x.cut, key)
	}
	return was
}

func (x *export) record(b *block, rec *journald.Record) {
	if x.continued(rec) || rec.Oversize || rec.Truncated {
		return
	}
	keep := func(v []byte) []byte {
		if len(b.buf)+len(v) > cap(b.buf) {
			b.buf = make([]byte, 0, bufferBytes) // what was kept so far keeps the old one
		}
		from := len(b.buf)
		b.buf = append(b.buf, v...)
		return b.buf[from:len(b.buf):len(b.buf)]
	}
	first := func(fields ...journald.Field) []byte {
		for _, f := range fields {
			if v := rec.Get(f); len(v) > 0 {
				return keep(v)
			}
		}
		return nil
	}
	m := &x.d.message
	*m = decode.Message{Form: decode.Journal, Facility: -1, Repeat: 1}
	if n, err := strconv.ParseInt(string(rec.Get(journald.Facility)), 10, 8); err == nil && n >= 0 && n < 24 {
		m.Facility = int8(n)
	}
	m.Hostname, m.App = first(journald.Hostname), first(journald.Identifier, journald.Comm)
	m.ProcID, m.Text = first(journald.PID, journald.SyslogPID), first(journald.Message)
	us, err := strconv.ParseInt(string(rec.Get(journald.Realtime)), 10, 64)
	if err != nil || us < 0 || us > 1<<53 {
		us = 0
	}
	x.d.keep(b, m, m.Text, nil, us*1000, true)
}
