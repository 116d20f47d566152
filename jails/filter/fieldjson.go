package filter

import (
	"bytes"
	"strconv"
	"unicode/utf8"
)

const maxJSONDepth = 32

// jsonReader walks a JSON object and keeps the values of the wanted paths.
type jsonReader struct {
	e     *extractor
	v     *values
	in    []byte
	pos   int
	depth int
	// matched is how many segments of each wanted path the current position fulfils.
	matched [maxFields]uint8
}

// readJSON reads a line that is one JSON object, possibly after "@cee:". A path's segments are
// parted by dots; an array's elements are called 0, 1, ... It reports false on anything that is
// not well formed, and when a wanted path occurs twice.
func (e *extractor) readJSON(line []byte, v *values) bool {
	line = bytes.TrimPrefix(line, []byte("@cee:"))
	line = bytes.Trim(line, " \t\r\n")
	if len(line) < 2 || line[0] != '{' || line[len(line)-1] != '}' {
		return false
	}
	r := jsonReader{e: e, v: v, in: line}
	return r.value() && r.pos == len(r.in)
}

func (r *jsonReader) space() {
	for r.pos < len(r.in) {
		switch r.in[r.pos] {
		case ' ', '\t', '\n', '\r':
			r.pos++
		default:
			return
		}
	}
}

func (r *jsonReader) next() byte {
	if r.pos < len(r.in) {
		return r.in[r.pos]
	}
	return 0
}

func (r *jsonReader) value() bool {
	r.space()
	switch r.next() {
	case '{':
		return r.object()
	case '[':
		return r.array()
	case '"':
		s, ok := r.text()
		return ok && r.keep(s)
	}
	start := r.pos
	for r.pos < len(r.in) && !bytes.ContainsRune([]byte(",]} \t\r\n\"{[:"), rune(r.in[r.pos])) {
		r.pos++
	}
	word := r.in[start:r.pos]
	if string(word) == "null" {
		return true
	}
	return len(word) > 0 && r.keep(word)
}

// keep stores the value if the current position is a wanted one.
func (r *jsonReader) keep(value []byte) bool {
	for k, n := range r.matched[:len(r.e.keys)] {
		if int(n) == r.depth && int(n) == len(r.e.paths[k]) && !r.e.set(r.v, k, value) {
			return false
		}
	}
	return true
}

// enter goes one step down; leave takes it back.
func (r *jsonReader) enter(name []byte) {
	for k := range r.e.keys {
		path := r.e.paths[k]
		if int(r.matched[k]) == r.depth && r.depth < len(path) && string(name) == path[r.depth] {
			r.matched[k]++
		}
	}
	r.depth++
}

func (r *jsonReader) leave() {
	r.depth--
	for k := range r.e.keys {
		r.matched[k] = min(r.matched[k], uint8(r.depth)) //nolint:gosec // depth is at most maxJSONDepth
	}
}

func (r *jsonReader) object() bool {
	if r.depth >= maxJSONDepth {
		return false
	}
	r.pos++
	r.space()
	if r.next() == '}' {
		r.pos++
		return true
	}
	for {
		r.space()
		if r.next() != '"' {
			return false
		}
		name, ok := r.text()
		if !ok {
			return false
		}
		r.space()
		if r.next() != ':' {
			return false
		}
		r.pos++
		r.enter(name)
		ok = r.value()
		r.leave()
		if !ok {
			return false
		}
		r.space()
		switch r.next() {
		case ',':
			r.pos++
		case '}':
			r.pos++
			return true
		default:
			return false
		}
	}
}

func (r *jsonReader) array() bool {
	if r.depth >= maxJSONDepth {
		return false
	}
	r.pos++
	r.space()
	if r.next() == ']' {
		r.pos++
		return true
	}
	for i := 0; ; i++ {
		var index [20]byte
		r.enter(strconv.AppendInt(index[:0], int64(i), 10))
		ok := r.value()
		r.leave()
		if !ok {
			return false
		}
		r.space()
		switch r.next() {
		case ',':
			r.pos++
		case ']':
			r.pos++
			return true
		default:
			return false
		}
	}
}

// text reads a string. Without escapes it is a part of the line, else it is in the scratch.
func (r *jsonReader) text() ([]byte, bool) {
	r.pos++
	start := r.pos
	for r.pos < len(r.in) {
		switch r.in[r.pos] {
		case '"':
			s := r.in[start:r.pos]
			r.pos++
			return s, true
		case '\\':
			return r.escaped(start)
		}
		r.pos++
	}
	return nil, false
}

func (r *jsonReader) escaped(start int) ([]byte, bool) {
	from := len(r.v.scratch)
	r.v.scratch = append(r.v.scratch, r.in[start:r.pos]...)
	for r.pos < len(r.in) {
		c := r.in[r.pos]
		r.pos++
		switch {
		case c == '"':
			return r.v.scratch[from:len(r.v.scratch):len(r.v.scratch)], true
		case c != '\\':
			r.v.scratch = append(r.v.scratch, c)
		case !r.escape():
			return nil, false
		}
	}
	return nil, false
}

func (r *jsonReader) escape() bool {
	c := r.next()
	r.pos++
	switch c {
	case '"', '\\', '/':
	case 'n':
		c = '\n'
	case 't':
		c = '\t'
	case 'r':
		c = '\r'
	case 'b':
		c = '\b'
	case 'f':
		c = '\f'
	case 'u':
		if r.pos+4 > len(r.in) {
			return false
		}
		n, err := strconv.ParseUint(string(r.in[r.pos:r.pos+4]), 16, 32)
		if err != nil {
			return false
		}
		r.pos += 4
		r.v.scratch = utf8.AppendRune(r.v.scratch, rune(n))
		return true
	default:
		return false
	}
	r.v.scratch = append(r.v.scratch, c)
	return true
}
