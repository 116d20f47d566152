package decode

import "bytes"

// maxElements is how many elements of structured data are compared for duplicate IDs; a message
// with more of them is malformed.
const maxElements = 32

// sdScanner walks over structured data (RFC 5424 section 6.3).
type sdScanner struct {
	b []byte
	i int
}

// element enters the next element and returns its SD-ID; false at the end or at an error.
func (s *sdScanner) element() ([]byte, bool) {
	if s.i >= len(s.b) || s.b[s.i] != '[' {
		return nil, false
	}
	s.i++
	return s.name()
}

// name reads an SD-NAME.
func (s *sdScanner) name() ([]byte, bool) {
	from := s.i
	for s.i < len(s.b) && s.b[s.i] > ' ' && s.b[s.i] != '=' && s.b[s.i] != ']' && s.b[s.i] != '"' {
		s.i++
	}
	return s.b[from:s.i], s.i > from
}

// param reads the next parameter of the entered element. more is false when the element has ended
// (s.i stands behind its "]") or is broken (ok is false).
func (s *sdScanner) param() (name, value []byte, more, ok bool) {
	if s.i >= len(s.b) {
		return nil, nil, false, false
	}
	if s.b[s.i] == ']' {
		s.i++
		return nil, nil, false, true
	}
	if s.b[s.i] != ' ' {
		return nil, nil, false, false
	}
	s.i++
	if name, ok = s.name(); !ok || len(s.b)-s.i < 3 || s.b[s.i] != '=' || s.b[s.i+1] != '"' {
		return nil, nil, false, false
	}
	s.i += 2
	from := s.i
	for s.i < len(s.b) && s.b[s.i] != '"' {
		if s.b[s.i] == '\\' {
			s.i++
		}
		s.i++
	}
	if s.i >= len(s.b) {
		return nil, nil, false, false
	}
	s.i++
	return name, s.b[from : s.i-1], true, true
}

// checkSD returns the length of the structured data that b begins with, 0 when it is broken, and
// whether it is clean: unbroken and without duplicate IDs.
func checkSD(b []byte) (n int, clean bool) {
	s := sdScanner{b: b}
	var ids [maxElements][]byte
	clean = true
	count := 0
	for s.i < len(b) && b[s.i] == '[' {
		id, ok := s.element()
		if !ok {
			return 0, false
		}
		for more := true; more; {
			if _, _, more, ok = s.param(); !ok {
				return 0, false
			}
		}
		if count == maxElements {
			clean = false
			continue
		}
		for _, other := range ids[:count] {
			if bytes.Equal(other, id) {
				clean = false
			}
		}
		ids[count] = id
		count++
	}
	if s.i < len(b) && b[s.i] != ' ' {
		return 0, false
	}
	return s.i, clean
}

// Param looks up one parameter of structured data (Message.SD), appends its unescaped value to
// dst and returns the result. It returns dst as it was, and false, when the parameter is absent,
// when the structured data is broken, and when the answer is ambiguous: the SD-ID, or the name
// inside its element, occurs twice. It allocates only when dst has no room.
func Param(sd []byte, id, name string, dst []byte) ([]byte, bool) {
	s := sdScanner{b: sd}
	var value []byte
	ids, names := 0, 0
	for s.i < len(sd) {
		eid, ok := s.element()
		if !ok {
			return dst, false
		}
		match := string(eid) == id
		if match {
			ids++
		}
		for {
			pname, v, more, ok := s.param()
			if !ok {
				return dst, false
			}
			if !more {
				break
			}
			if match && string(pname) == name {
				value = v
				names++
			}
		}
	}
	if ids != 1 || names != 1 {
		return dst, false
	}
	return appendUnescaped(dst, value), true
}

// appendUnescaped appends a PARAM-VALUE without its escapes: a backslash before '"', '\' and ']'.
func appendUnescaped(dst, v []byte) []byte {
	for {
		i := bytes.IndexByte(v, '\\')
		if i < 0 || i+1 == len(v) {
			return append(dst, v...)
		}
		dst = append(dst, v[:i]...)
		if c := v[i+1]; c != '"' && c != '\\' && c != ']' {
			dst = append(dst, '\\')
		}
		dst = append(dst, v[i+1])
		v = v[i+2:]
	}
}
