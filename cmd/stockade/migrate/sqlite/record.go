package sqlite

import (
	"encoding/binary"
	"math"
)

// Kind is what a Value is.
type Kind uint8

// The kinds of values.
const (
	Null Kind = iota
	Integer
	Real
	Text
	Blob
	Missing // it lies beyond what is read of a row
)

// Value is one value of a row.
type Value struct {
	Kind  Kind
	Int   int64 // of an Integer; of a Real, rounded down
	Bytes []byte
}

// Text returns a text or blob as a string; "" for everything else.
func (v Value) Text() string { return string(v.Bytes) }

// varint reads a number of one to nine bytes. n is 0 when it is cut off.
func varint(b []byte) (v uint64, n int) {
	for i := range min(len(b), 9) {
		if i == 8 {
			return v<<8 | uint64(b[i]), 9
		}
		v = v<<7 | uint64(b[i]&0x7f)
		if b[i] < 0x80 {
			return v, i + 1
		}
	}
	return 0, 0
}

// record takes a payload apart into its values. The bytes of texts are those of the payload. An
// INTEGER PRIMARY KEY is Null here: it is the rowid.
func record(p []byte, row []Value) ([]Value, bool) {
	size, n := varint(p)
	if n == 0 || size < uint64(n) || size > uint64(len(p)) {
		return row, false
	}
	types, body := p[n:size], p[size:]
	for len(types) > 0 {
		kind, n := varint(types)
		if n == 0 {
			return row, false
		}
		types = types[n:]
		v, rest, ok := value(kind, body)
		if !ok {
			v, rest = Value{Kind: Missing}, nil
		}
		row, body = append(row, v), rest
	}
	return row, true
}

// sizes are the lengths of the serial types below 12 (section 2.1); 10 and 11 are reserved.
var sizes = [12]int{0, 1, 2, 3, 4, 6, 8, 8, 0, 0, -1, -1}

func value(kind uint64, body []byte) (v Value, rest []byte, ok bool) {
	if kind >= 12 {
		size := (kind - 12) / 2
		if size > uint64(len(body)) {
			return v, nil, false
		}
		v = Value{Kind: Blob, Bytes: body[:size]}
		if kind%2 == 1 {
			v.Kind = Text
		}
		return v, body[size:], true
	}
	size := sizes[kind]
	if size < 0 || size > len(body) {
		return v, nil, false
	}
	switch kind {
	case 0:
	case 7:
		f := math.Float64frombits(binary.BigEndian.Uint64(body))
		v.Kind = Real
		if f > math.MinInt64 && f < math.MaxInt64 {
			v.Int = int64(math.Floor(f))
		}
	case 8, 9:
		v = Value{Kind: Integer, Int: int64(kind - 8)}
	default:
		n := int64(int8(body[0]))
		for _, b := range body[1:size] {
			n = n<<8 | int64(b)
		}
		v = Value{Kind: Integer, Int: n}
	}
	return v, body[size:], true
}
