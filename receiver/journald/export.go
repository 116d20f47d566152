package journald

import (
	"bufio"
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
)

// The limits of a record. journald writes none that exceeds them.
const (
	MaxMessage = 64 << 10  // bytes of MESSAGE that are kept; the rest is skipped
	MaxFields  = 1024      // of a record; one with more is dropped and counted
	MaxField   = 768 << 20 // bytes that a field may declare
	MaxRecord  = 1 << 30   // bytes of a record with all its fields

	maxName  = 64   // bytes of a field's name
	maxValue = 4096 // bytes of a kept field other than MESSAGE; a longer one counts as absent
)

// ErrFormat ends a stream that is not in the journal export format: where one record ends and
// the next begins is not known any more.
var ErrFormat = errors.New("not the journal export format")

// Field is a field of a record that is kept.
type Field uint8

// The fields that are kept.
const (
	Cursor Field = iota
	Seqnum
	SeqnumID
	Realtime
	Message
	MessageID
	Priority
	Facility
	Identifier
	SyslogPID
	PID
	UID
	Comm
	Exe
	Unit
	Hostname
	Transport
	StreamID
	LineBreak
	ContainerID
	PartialMessage
	PartialLast
	PartialOrdinal
	Dropped
	numFields
)

// known returns the field of a name, numFields for one that is not kept.
func known(name []byte) Field {
	switch string(name) {
	case "__CURSOR":
		return Cursor
	case "__SEQNUM":
		return Seqnum
	case "__SEQNUM_ID":
		return SeqnumID
	case "__REALTIME_TIMESTAMP":
		return Realtime
	case "MESSAGE":
		return Message
	case "MESSAGE_ID":
		return MessageID
	case "PRIORITY":
		return Priority
	case "SYSLOG_FACILITY":
		return Facility
	case "SYSLOG_IDENTIFIER":
		return Identifier
	case "SYSLOG_PID":
		return SyslogPID
	case "_PID":
		return PID
	case "_UID":
		return UID
	case "_COMM":
		return Comm
	case "_EXE":
		return Exe
	case "_SYSTEMD_UNIT":
		return Unit
	case "_HOSTNAME":
		return Hostname
	case "_TRANSPORT":
		return Transport
	case "_STREAM_ID":
		return StreamID
	case "_LINE_BREAK":
		return LineBreak
	case "CONTAINER_ID_FULL":
		return ContainerID
	case "CONTAINER_PARTIAL_MESSAGE":
		return PartialMessage
	case "CONTAINER_PARTIAL_LAST":
		return PartialLast
	case "CONTAINER_PARTIAL_ORDINAL":
		return PartialOrdinal
	case "N_DROPPED":
		return Dropped
	}
	return numFields
}

// Record is one record of a journal. Its bytes belong to the Reader.
type Record struct {
	Size      int64 // bytes of the record in the stream
	Fields    int   // of the record, kept or not
	Truncated bool  // MESSAGE was longer than MaxMessage and its end is gone
	Conflict  bool  // a trusted field came twice with different values: none of them is to be believed
	Oversize  bool  // the record has more than MaxFields fields

	store []byte
	spans [numFields]span
}

type span struct{ from, to int }

// Get returns the value of a field, nil when the record lacks it. The first of several values
// counts. It is valid until the following call of Reader.Next.
func (r *Record) Get(f Field) []byte {
	s := r.spans[f]
	if s.to == 0 {
		return nil
	}
	return r.store[s.from:s.to:s.to]
}

func (r *Record) reset() {
	r.Size, r.Fields, r.Truncated, r.Conflict, r.Oversize = 0, 0, false, false, false
	r.store = append(r.store[:0], 0) // so that no span ends at 0
	r.spans = [numFields]span{}
}

// Reader reads the journal export format. It belongs to one goroutine and holds at most about
// 200 KiB, whatever the stream says.
type Reader struct {
	br     *bufio.Reader
	rec    Record
	inside bool
}

// NewReader returns a Reader of a stream.
func NewReader(r io.Reader) *Reader { return &Reader{br: bufio.NewReaderSize(r, 16<<10)} }

// Inside reports whether the last read of the stream was for the rest of a record.
func (r *Reader) Inside() bool { return r.inside || r.br.Buffered() > 0 }

// Next returns the next record, valid until the following call of Next. It returns io.EOF at a
// stream's end between two records, io.ErrUnexpectedEOF inside one, an error that wraps ErrFormat,
// or that of the stream. No error but io.EOF comes with a record that is half read.
func (r *Reader) Next() (*Record, error) {
	rec := &r.rec
	rec.reset()
	for {
		end, err := r.field()
		r.inside = rec.Fields > 0 && !end
		switch {
		case err != nil:
			if rec.Size > 0 && errors.Is(err, io.EOF) {
				return nil, io.ErrUnexpectedEOF
			}
			return nil, err
		case end && rec.Fields > 0:
			return rec, nil
		case end:
			rec.Size = 0 // empty lines between records
		}
	}
}

// field reads one field, or the empty line that ends a record.
func (r *Reader) field() (end bool, err error) {
	line, err := r.br.ReadSlice('\n')
	r.rec.Size += int64(len(line))
	if err != nil && !errors.Is(err, bufio.ErrBufferFull) {
		return false, err
	}
	if len(line) == 1 {
		return true, nil
	}
	eq := bytes.IndexByte(line, '=')
	whole := err == nil
	switch {
	case eq < 0 && !whole || eq > maxName:
		return false, fmt.Errorf("%w: a field name is longer than %d bytes", ErrFormat, maxName)
	case eq == 0:
		return false, fmt.Errorf("%w: a field has no name", ErrFormat)
	}
	if r.rec.Fields++; r.rec.Fields > MaxFields {
		r.rec.Oversize = true
	}
	if eq < 0 {
		return false, r.binary(line[:len(line)-1])
	}
	f := r.wanted(line[:eq])
	value := line[eq+1:]
	if whole {
		value = value[:len(value)-1]
	}
	k := r.keep(f)
	k.add(value)
	for !whole {
		line, err = r.br.ReadSlice('\n')
		r.rec.Size += int64(len(line))
		if err != nil && !errors.Is(err, bufio.ErrBufferFull) {
			return false, err
		}
		if whole = err == nil; whole {
			line = line[:len(line)-1]
		}
		if r.rec.Size > MaxRecord {
			return false, fmt.Errorf("%w: a record is longer than %d bytes", ErrFormat, MaxRecord)
		}
		k.add(line)
	}
	k.done()
	return false, nil
}

// binary reads a field in the form with a length: the name is already read.
func (r *Reader) binary(name []byte) error {
	if len(name) > maxName {
		return fmt.Errorf("%w: a field name is longer than %d bytes", ErrFormat, maxName)
	}
	k := r.keep(r.wanted(name))
	head, err := r.br.Peek(8)
	if err != nil {
		return err
	}
	left := binary.LittleEndian.Uint64(head)
	if left > MaxField || r.rec.Size+int64(left) > MaxRecord { //nolint:gosec // at most MaxField
		return fmt.Errorf("%w: a field of %d bytes is longer than %d", ErrFormat, left, MaxField)
	}
	_, _ = r.br.Discard(8) // peeked at
	r.rec.Size += 8 + int64(left) + 1
	for left > 0 {
		if r.br.Buffered() == 0 {
			if _, err := r.br.Peek(1); err != nil {
				return err
			}
		}
		part, _ := r.br.Peek(int(min(left, uint64(r.br.Buffered())))) //nolint:gosec // at most the buffer
		k.add(part)
		left -= uint64(len(part))
		_, _ = r.br.Discard(len(part)) // peeked at
	}
	k.done()
	c, err := r.br.ReadByte()
	if err != nil {
		return err
	}
	if c != '\n' {
		return fmt.Errorf("%w: a field with a length does not end where it says", ErrFormat)
	}
	return nil
}

// wanted returns the field to keep, numFields to skip it.
func (r *Reader) wanted(name []byte) Field {
	if r.rec.Oversize {
		return numFields
	}
	return known(name)
}

// keeper stores the value of one field as it comes in.
type keeper struct {
	rec   *Record
	field Field
	from  int
	limit int
	over  bool
}

func (r *Reader) keep(f Field) keeper {
	k := keeper{rec: &r.rec, field: f, from: len(r.rec.store), limit: maxValue}
	if f == Message {
		k.limit = MaxMessage
	}
	return k
}

func (k *keeper) add(part []byte) {
	if k.field == numFields {
		return
	}
	room := k.limit - (len(k.rec.store) - k.from)
	if len(part) > room {
		k.over = true
		part = part[:room]
	}
	k.rec.store = append(k.rec.store, part...)
}

func (k *keeper) done() {
	if k.field == numFields {
		return
	}
	rec := k.rec
	now := span{k.from, len(rec.store)}
	if old := rec.Get(k.field); old != nil {
		if trusted(k.field) && (k.over || !bytes.Equal(old, rec.store[now.from:now.to])) {
			rec.Conflict = true
		}
		rec.store = rec.store[:k.from]
		return
	}
	if k.over && k.field != Message {
		rec.Conflict = rec.Conflict || trusted(k.field)
		rec.store = rec.store[:k.from]
		return
	}
	rec.Truncated = rec.Truncated || k.over
	rec.spans[k.field] = now
}

// trusted reports whether journald sets the field itself.
func trusted(f Field) bool {
	switch f {
	case PID, UID, Comm, Exe, Unit, Hostname, Transport, StreamID, LineBreak:
		return true
	}
	return false
}
